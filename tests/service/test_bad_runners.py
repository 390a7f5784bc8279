"""Runners that do not do what a runner does: real processes in place of real runners. Whoever is served by one hears
of it in the end, and the others never do."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.protocol import snapshot
from agent.protocol.snapshot import Bounds
from bot import folder, patience
from bot.patience import MAX_COSTLY
from bot.received import KEPT_DAYS, Received
from bot.salvage import DAMAGED, KEPT
from bot.session import REFUSALS_TOLD
from bot.turns import GAVE_UP
from container.base import Spec
from container.process import ProcessBackend
from tests.fakes.misbehaving import PROVIDER
from tests.fakes.platform import TIMEOUT_SECONDS, FakePlatform
from tests.fakes.programs import rude_runner
from tests.service.conftest import House

RUDE = "rude"
ROOT = Path(__file__).parents[2]
GIVEN_UP = GAVE_UP.format(tries=2)


class Swapping(ProcessBackend):
    """Starts something else for the session of the place RUDE, as long as `manner` says what."""

    def __init__(self, house: House, manner: str | None) -> None:
        super().__init__(house.data / "run", "roost")
        self._house = house
        self.manner = manner
        self.rude = 0

    async def start(self, spec: Spec) -> None:
        if self.manner is not None and spec.name.endswith(self._house.session_id(RUDE)):
            self.rude += 1
            command = [sys.executable, rude_runner.__file__, self.manner]
            spec = replace(spec, command=command, env={**spec.env, "PYTHONPATH": str(ROOT)})
        await super().start(spec)


@asynccontextmanager
async def served_by(house: House, manner: str) -> AsyncIterator[tuple[FakePlatform, Swapping]]:
    """Somebody has spoken to a rude one."""
    house.turns["max_tries"] = 2
    backend = Swapping(house, manner)
    try:
        async with house.open(backend=backend) as p:
            await p.say("hello?", place=RUDE)
            await house.until(lambda: backend.rude > 0)
            yield p, backend
    finally:
        await backend.aclose()


async def others_are_served(p: FakePlatform, count: int = 3) -> None:
    for number in range(count):
        await p.say(f"m{number}", place="p2")
        assert (await p.replies(number + 1, place="p2"))[number] == f"You said: m{number}"


@pytest.mark.parametrize("manner", ["idles", "leaves", "locks"])
async def test_one_who_answers_nothing_is_given_up_visibly(house: House, manner: str) -> None:
    house.agent["turn_limit_seconds"] = 1
    house.turns["heartbeat_stale_seconds"] = 4
    async with served_by(house, manner) as (p, backend):
        await others_are_served(p)
        assert await p.replies(1, place=RUDE) == [GIVEN_UP]
        assert backend.rude == 2
        backend.manner = None
        await p.say("and now?", place=RUDE)
        assert (await p.replies(2, place=RUDE))[1] == "You said: and now?"


async def test_one_who_locks_the_inbox_is_killed_for_the_next_message(house: House) -> None:
    async with served_by(house, "locks") as (p, backend):
        await house.until((house.folder(RUDE) / "out" / "locked").exists)
        backend.manner = None
        await p.say("and now?", place=RUDE)
        await p.until(lambda: "and now?" in " ".join(p.texts(RUDE)))
        await house.until_quiet(RUDE)
        assert house.states() == {"done": 2}


@pytest.mark.parametrize("manner", ["rings", "nags"])
async def test_one_who_rings_without_end_is_looked_at_now_and_then(
    house: House, monkeypatch: pytest.MonkeyPatch, manner: str
) -> None:
    looks: list[str] = []
    read = snapshot.read

    def counted(outbox: Path, **how: Any) -> snapshot.Snapshot:
        looks.append(outbox.parent.name)
        return read(outbox, **how)

    monkeypatch.setattr(snapshot, "read", counted)
    began = time.monotonic()
    async with served_by(house, manner) as (p, _):
        await house.until(lambda: looks.count(house.session_id(RUDE)) > 20)
        await others_are_served(p, 10)
        assert looks.count(house.session_id(RUDE)) <= 40 + 10 * (time.monotonic() - began)


@pytest.mark.parametrize("manner", ["floods", "grows"])
async def test_one_who_writes_too_much_is_put_aside(house: House, manner: str) -> None:
    house.backend["file_mb"] = 96
    async with served_by(house, manner) as (p, backend):
        await others_are_served(p)
        await p.until(lambda: GIVEN_UP in p.texts(RUDE), seconds=3 * TIMEOUT_SECONDS)
        said = {text.removesuffix(KEPT.format(count=Bounds().messages)) for text in p.texts(RUDE)}
        assert said == {DAMAGED, GIVEN_UP} and backend.rude == 2
        kept = sum(file.stat().st_size for file in house.folder(RUDE).rglob("*.db*"))
        assert kept <= 2 * 97 * 2**20


async def test_one_whose_file_is_never_read_in_time_is_put_aside(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    read = snapshot.read

    def slow(outbox: Path, *, deadline_seconds: float, thorough: bool) -> snapshot.Snapshot:
        found = read(outbox, deadline_seconds=deadline_seconds, thorough=thorough)
        if outbox.parent.name != house.session_id(RUDE):
            return found
        given.append(deadline_seconds)
        raise snapshot.Costly("no time left for validating messages_out")

    monkeypatch.setattr(snapshot, "read", slow)
    monkeypatch.setattr(patience, "FIRST_WAIT_SECONDS", 0.001)
    async with served_by(house, "nags") as (p, backend):
        await p.until(lambda: GIVEN_UP in p.texts(RUDE))
        assert p.texts(RUDE) == [DAMAGED, DAMAGED, GIVEN_UP] and backend.rude == 2
        assert given[:MAX_COSTLY] == [0.25, 0.5, 1.0, *[2.0] * (MAX_COSTLY - 3)]
        assert len(given) < 3 * MAX_COSTLY
        await others_are_served(p)


async def test_one_whose_rows_are_refused_fills_no_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with served_by(house, "scribbles") as (p, _):
        refused = house.app.context.metrics.violations.labels("row")
        await house.until(lambda: refused._value.get() >= 300)
        await others_are_served(p)
    said = [record for record in caplog.records if "rows were refused" in record.getMessage()]
    assert len(said) == 1


async def test_one_who_prunes_what_it_sent_fills_no_memory(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MAX_TOLD", 50)
    house.limits["replies_per_minute"] = 10_000
    async with served_by(house, "chatters") as (p, _):
        session = await house.app.sessions.get(house.session_id(RUDE))
        most = 0

        def sent(count: int) -> bool:
            nonlocal most
            most = max(most, len(session.waiting.receipts) + len(session.waiting.forgotten))
            return len(p.texts(RUDE)) >= count

        await house.until(lambda: sent(500))
        await others_are_served(p)
        assert most <= 50 + 2 * 20


async def test_one_who_never_stops_talking_is_heard_so_much_and_no_more(house: House) -> None:
    house.limits["replies_per_minute"] = 30
    async with served_by(house, "chatters") as (p, _):
        await house.until(lambda: len(p.texts(RUDE)) >= 30)
        for number in range(10):
            await p.say(f"m{number}", place="p2")
            assert (await p.replies(number + 1, place="p2"))[number] == f"You said: m{number}"
        # Half a reply a second comes on top, and this took no minute.
        assert len(p.texts(RUDE)) <= 60


async def test_a_reply_for_the_end_of_time_is_sent_now(house: House) -> None:
    async with served_by(house, "far_ahead") as (p, _):
        assert await p.replies(1, place=RUDE) == ["later"]
        await house.until_quiet(RUDE)


async def test_one_who_lies_about_what_it_did_harms_itself(house: House) -> None:
    async with served_by(house, "lies") as (p, backend):
        await others_are_served(p)
        (end,) = await p.ends(1, place=RUDE)
        assert end.ok
        await house.until_quiet(RUDE)
        backend.manner = None
        await house.app.containers.stop(house.session_id(RUDE))
        await p.say("and now?", place=RUDE)
        assert await p.replies(1, place=RUDE) == ["You said: and now?"]
        await house.until_quiet(RUDE)
        assert house.states() == {"done": 5}


async def test_a_child_that_keeps_the_lock_is_an_end_that_people_see(house: House) -> None:
    async with served_by(house, "forks") as (p, backend):
        note = house.folder(RUDE) / "out" / "child"
        await house.until(note.exists)
        backend.manner = None
        assert await p.replies(1, place=RUDE) == [GIVEN_UP]
        await others_are_served(p)
        log = (house.data / "logs" / f"{house.session_id(RUDE)}.log").read_text()
        assert "another runner is alive" in log
        os.kill(int(note.read_text()), signal.SIGKILL)
        await p.say("and now?", place=RUDE)
        assert (await p.replies(2, place=RUDE))[1] == "You said: and now?"


async def test_an_agent_hears_of_so_many_refused_messages_and_no_more(house: House) -> None:
    house.agent |= {"provider": PROVIDER}
    house.backend["allow_unsandboxed"] = True
    async with house.open() as p:
        await p.say(" ".join(["do:send=nowhere/p1"] * (REFUSALS_TOLD + 15)))
        await p.ends(1)
        await house.until(
            lambda: len(house.query("SELECT 1 FROM deliveries WHERE state = 'failed'")) == REFUSALS_TOLD + 15
        )
        assert len(house.query("SELECT 1 FROM inbox WHERE kind = 'system'")) == REFUSALS_TOLD


async def test_old_files_of_messages_that_have_ended_are_removed(house: House, tmp_path: Path) -> None:
    house.script({"match": "slow", "steps": [{"do": "stall", "seconds": 1000}]})
    async with house.open() as p:
        for text in ("old", "new", "slow"):
            file = tmp_path / f"{text}.txt"
            file.write_text(text)
            await p.say(text, files=[(file.name, file)])
            if text != "slow":
                await p.ends(["old", "new"].index(text) + 1)
        files = house.folder() / "in" / "files"
        await house.until(lambda: len(list(files.iterdir())) == 3)
        named = {next(each.iterdir()).read_text(): each for each in files.iterdir()}
        long_ago = time.time() - (KEPT_DAYS + 1) * 86_400
        for name in ("old", "slow"):
            os.utime(named[name], (long_ago, long_ago))
        await Received(house.app.db, house.data / "sessions", clock=lambda: int(time.time() * 1000)).prune()
        assert sorted(next(each.iterdir()).read_text() for each in files.iterdir()) == ["new", "slow"]
