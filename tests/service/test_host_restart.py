"""The service stops, however it stops, and the next one goes on; the runners work on meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final, cast

from adapters.base import Part
from bot.turns import GAVE_UP
from tests.fakes.platform import FakePlatform
from tests.service.conftest import House, Kind

BACKENDS = ("process", "docker")

ROOT: Final = Path(__file__).parents[2]
SLOW = {"match": "slow", "steps": [{"do": "stall", "seconds": 1.2}, {"do": "result", "text": "slowly"}]}
ROUNDS: Final = 4


async def test_a_turn_outlives_the_service(house: House) -> None:
    house.script(SLOW)
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        runner = house.runner()
    assert p.texts() == []
    async with house.open() as p:
        assert await p.replies(1) == ["slowly"]
        await p.ends(1)
        assert house.runner() == runner
        await p.say("next")
        assert await p.replies(2) == ["slowly", "You said: next"]
        assert house.runner() == runner
    (row,) = house.query("SELECT max(tries) AS tries FROM inbox")
    assert row["tries"] == 0


async def test_a_turn_that_ends_while_nobody_listens_is_delivered_once(house: House) -> None:
    house.script(SLOW)
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        outbound = house.workspace().outbound

    def answered() -> bool:
        with closing(sqlite3.connect(f"file:{outbound}?mode=ro", uri=True)) as db:
            return bool(db.execute("SELECT 1 FROM messages_out").fetchone())

    await house.until(answered)
    for _ in range(2):
        async with house.open() as p:
            await p.ends(1)
            await house.until_quiet()
            assert p.texts() == ["slowly"]


async def test_a_runner_that_dies_meanwhile_is_replaced(house: House) -> None:
    house.script(SLOW)
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
    house.kill_runners()
    async with house.open() as p:
        assert await p.replies(1) == ["slowly"]
        await p.ends(1)
    (row,) = house.query("SELECT tries FROM inbox")
    assert row["tries"] == 1


async def test_what_was_accepted_and_never_posted_is_posted_and_costs_no_try(house: House) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
    house.kill_runners()
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        db.execute(
            "INSERT INTO inbox (id, event_id, session, seq, kind, trigger, state, created_at, accepted_at, tries,"
            " channel, platform_id, thread_id, content) SELECT 'lost', 'lost', session, seq + 2, kind, trigger,"
            " 'accepted', created_at, 1, 0, channel, platform_id, thread_id, content FROM inbox"
        )
        db.execute("UPDATE sessions SET last_in_seq = last_in_seq + 2")
    async with house.open() as p:
        assert await p.replies(2) == ["You said: one", "You said: one"]
        await house.until_quiet()
    assert {row["tries"] for row in house.query("SELECT tries FROM inbox")} == {0}


async def test_a_decision_that_was_not_written_down_everywhere_holds(house: House) -> None:
    house.script({"match": "crash", "steps": [{"do": "kill"}]})
    house.turns["retry_base_seconds"] = 1000
    async with house.open() as p:
        await p.say("crash")
        await house.until(lambda: bool(house.query("SELECT 1 FROM inbox WHERE tries = 1")))
    # As if the service had been killed between its own database and the session's.
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        db.execute("UPDATE inbox SET state = 'failed'")
    async with house.open() as p:
        await p.say("next")
        await p.ends(1)
        assert p.texts() == ["You said: next"]
        assert house.states() == {"failed": 1, "done": 1}


async def test_a_container_of_nobody_is_stopped(house: House) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        runner = house.runner()
    (house.data / "bot.db").unlink()
    async with house.open() as p:
        assert not Path(f"/proc/{runner}").exists()
        await p.say("two")
        await p.until(lambda: "You said: two" in p.texts())


async def test_a_frozen_runner_is_thawed_when_it_is_adopted(house: House) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        house.suspend()
    async with house.open() as p:
        await p.say("two")
        assert await p.replies(2) == ["You said: one", "You said: two"]


async def test_a_session_whose_way_out_cannot_be_opened_stops_nobody_else(house: House) -> None:
    if house.kind == "process":  # Where the mock has no way out.
        house.agent["provider"] = "tests.fakes.providers:NativeProvider"
        house.backend["allow_unsandboxed"] = True
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
    in_the_way = house.workspace().gateway
    in_the_way.mkdir()
    async with house.open() as p:
        await p.say("hello", place="p2")
        assert await p.replies(1, place="p2") == ["You said: hello"]
        assert house.app.containers.of(house.session_id()) is None
        in_the_way.rmdir()
        await p.say("two")
        assert await p.replies(2) == ["You said: one", "You said: two"]


async def test_an_older_runner_finishes_its_turn_and_is_replaced(house: House) -> None:
    house.script(SLOW)
    house.turns["heartbeat_stale_seconds"] = 4
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        old = house.runner()
    house.outdate()
    async with house.open() as p:
        assert await p.replies(1) == ["slowly"]
        await house.until(lambda: not Path(f"/proc/{old}").exists())
        await p.say("next")
        assert await p.replies(2) == ["slowly", "You said: next"]


async def test_a_part_on_its_way_is_booked_before_the_service_leaves(house: House) -> None:
    p = house.platform
    async with house.open():
        p.block("p1")
        await p.say("one")
        await p.until(lambda: len(p.tried) == 1)
        asyncio.get_running_loop().call_later(0.2, p.free, "p1")
    async with house.open():
        await p.say("two")
        assert await p.replies(2) == ["You said: one", "You said: two"]
    assert len(p.tried) == 2


async def test_a_turn_is_not_given_up_because_of_restarts(house: House) -> None:
    house.script(SLOW)
    p = house.platform
    async with house.open():
        await p.say("slow")
        await p.at_work()
    for _ in range(3):
        async with house.open():
            await asyncio.sleep(0)
    async with house.open():
        assert await p.replies(1) == ["slowly"]
    assert GAVE_UP not in p.texts()


def test_the_service_is_killed_at_any_moment(house: House) -> None:
    """What was accepted is answered once and in order, whenever the service was killed, its runners too or not."""
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    print(f"SEED={seed}")
    rng = random.Random(seed)
    said = 0
    for _ in range(ROUNDS):
        with _service(house) as service:
            for _ in range(2):
                assert service.stdout is not None and service.stdin is not None
                said += 1
                service.stdin.write(f"m{said}\n".encode())
                assert service.stdout.readline() == f"accepted m{said}\n".encode()
            try:
                service.wait(rng.uniform(0, 0.8))
            except subprocess.TimeoutExpired:
                service.kill()
        if rng.random() < 0.4:
            house.kill_runners()
    asyncio.run(_all_is_answered(house, said))


async def _all_is_answered(house: House, said: int) -> None:
    async with house.open() as p:
        await house.until_quiet()
        await p.say("last")
        await p.until(lambda: any("last" in text for text in p.texts()))
        await house.until_quiet()
    assert house.states() == {"done": said + 1}
    sent = (house.data / "sent.log").read_text().splitlines() if (house.data / "sent.log").exists() else []
    lines = [line for line in [*sent, *"\n".join(p.texts()).splitlines()] if line]
    seen = [int(line.removeprefix("You said: m")) for line in lines if "last" not in line]
    # Between the platform's word and its receipt is the one moment at which something can show twice.
    assert list(dict.fromkeys(seen)) == list(range(1, said + 1))
    assert len(seen) - len(set(seen)) <= ROUNDS
    with closing(sqlite3.connect(house.data / "bot.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _service(house: House) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.service.test_host_restart", str(house.data.parent), house.kind],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


async def _serve(root: Path, kind: Kind) -> None:
    """A service of its own: what comes in as a line is said, and what goes out is kept in a file."""
    house = House(root, kind)

    class Logged(FakePlatform):
        async def send(self, part: Part) -> str | None:
            sent = await super().send(part)
            with (house.data / "sent.log").open("a") as log:
                log.write(part.text + "\n")
            return sent

    house.platform = Logged()
    async with house.open() as p:
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            receipt = await p.say(line)
            print(receipt.state, line, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), cast(Kind, sys.argv[2])))
