"""What breaks or attacks, and that the person hears of it and the conversation goes on."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.folder import FOLDER_MODES
from bot.posting import LOST, NO_AGENT
from bot.salvage import DAMAGED
from bot.turns import GAVE_UP, MISCONFIGURED, STOPPED, UNREADABLE
from tests.fakes.misbehaving import PROVIDER
from tests.service.conftest import House

CRASH = {"match": "crash", "steps": [{"do": "kill"}]}
STALL = {"match": "stall", "steps": [{"do": "stall", "seconds": 1000}]}


def misbehaving(house: House, *, times: int = 1_000_000) -> None:
    house.agent |= {"provider": PROVIDER, "provider_options": {"times": times}}
    house.backend["allow_unsandboxed"] = True


def tries(house: House) -> list[int]:
    return [row["tries"] for row in house.query("SELECT tries FROM inbox WHERE trigger = 1 ORDER BY seq")]


# -------------------------------------------------------------------- runners that die


async def test_an_agent_that_is_not_configured_properly_says_so_at_once(house: House) -> None:
    house.script({"match": "x", "steps": [{"do": "dance"}]})
    house.turns = {"retry_base_seconds": 600}
    async with house.open() as p:
        await p.say("one")
        assert await p.replies(1) == [MISCONFIGURED]
        await p.say("two")
        assert await p.replies(2) == [MISCONFIGURED] * 2
    assert house.states() == {"failed": 2}


async def test_a_turn_that_dies_is_tried_again_and_given_up_visibly(house: House) -> None:
    house.script(CRASH)
    async with house.open() as p:
        await p.say("crash")
        assert await p.replies(1) == [GAVE_UP.format(tries=5)]
        (end,) = await p.ends(1)
        assert not end.ok
        await p.say("still there?")
        assert await p.replies(2) == [GAVE_UP.format(tries=5), "You said: still there?"]
        await house.until_quiet()
    assert house.states() == {"failed": 1, "done": 1}


async def test_a_poison_message_takes_nobody_along(house: House) -> None:
    house.script(CRASH)
    async with house.open() as p:
        await asyncio.gather(p.say("first"), p.say("crash"), p.say("last"))
        await p.ends(3)
        assert p.texts() == ["You said: first", GAVE_UP.format(tries=5), "You said: last"]
        assert [end.ok for end in p.settled()] == [True, False, True]


async def test_the_wait_between_two_tries_doubles(house: House) -> None:
    house.script(CRASH)
    house.turns |= {"max_tries": 3, "retry_base_seconds": 0.2}
    async with house.open() as p:
        waits = set()
        await p.say("crash")

        def seen() -> bool:
            for row in house.query("SELECT tries, process_after FROM inbox WHERE process_after > 0"):
                waits.add((row["tries"], row["process_after"]))
            return len(p.texts()) > 0

        await house.until(seen)
    times = dict(waits)
    assert set(times) == {1, 2} and times[2] - times[1] >= 400


async def test_what_a_provider_raises_or_prints_is_answered(house: House) -> None:
    house.script(
        {"match": "raise", "steps": [{"do": "raise", "message": "no luck"}]},
        {"match": "print", "steps": [{"do": "print", "text": "{}"}, {"do": "result", "text": "printed"}]},
    )
    async with house.open() as p:
        await p.say("raise")
        await p.ends(1)
        await p.say("print")
        await p.ends(2)
        assert "no luck" in p.texts()[0] and p.texts()[1] == "printed"
    assert house.states() == {"done": 2}


async def test_a_hung_turn_is_killed_tried_again_and_given_up(house: House) -> None:
    house.script(STALL)
    house.turns |= {"max_tries": 2, "heartbeat_stale_seconds": 1.5}
    async with house.open() as p:
        await p.say("stall")
        assert await p.replies(1) == [GAVE_UP.format(tries=2)]
        await p.say("next")
        assert (await p.replies(2))[1] == "You said: next"


async def test_a_turn_that_shows_life_for_ever_ends_at_its_limit(house: House) -> None:
    misbehaving(house)
    house.turns |= {"max_tries": 1, "heartbeat_stale_seconds": 4}
    house.agent["turn_limit_seconds"] = 2
    async with house.open() as p:
        await p.say("do:deaf")
        assert await p.replies(1) == [GAVE_UP.format(tries=1)]


async def test_turns_without_a_rest_between_them_are_not_one_long_turn(house: House) -> None:
    house.script({"match": "slow", "steps": [{"do": "stall", "seconds": 1}]})
    house.turns["heartbeat_stale_seconds"] = 2
    house.agent["turn_limit_seconds"] = 2.5
    async with house.open() as p:
        await p.say("slow 1")
        await p.at_work()
        for number in range(2, 5):
            await p.say(f"slow {number}")
            await p.ends(number - 1)
        await p.ends(4)
        assert tries(house) == [0, 0, 0, 0]


async def test_a_message_is_answered_that_comes_while_the_runner_leaves(house: House) -> None:
    async with house.open() as p:
        for number in range(1, 4):
            await p.say(f"m{number}")
            await p.ends(number)
            pid = house.runner()
            os.kill(pid, signal.SIGTERM)
        await p.say("after")
        assert (await p.replies(4))[-1] == "You said: after"
        await house.until_quiet()
    assert house.states() == {"done": 4}


async def test_a_runner_with_nothing_to_do_is_stopped_and_forgotten(house: House) -> None:
    house.backend["runner_idle_seconds"] = 0.4
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        await house.until(lambda: not house.runners())
        await house.until(lambda: not house.query("SELECT 1 FROM sessions WHERE awake = 1"))
        await p.say("again")
        assert (await p.replies(2))[1] == "You said: again"
        assert tries(house) == [0, 0]


# -------------------------------------------------------------------- commit and recovery


async def test_a_death_in_mid_commit_is_recovered_by_the_agent(house: House) -> None:
    misbehaving(house, times=1)
    async with house.open() as p:
        await p.say("do:die_in_commit")
        assert await p.replies(1) == ["You said: do:die_in_commit"]
        await p.ends(1)
        with closing(sqlite3.connect(house.workspace().outbound)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute("SELECT count(*) FROM session_state WHERE key LIKE 'key%'").fetchone() == (0,)
        assert DAMAGED not in p.texts()


async def test_a_journal_that_nobody_can_roll_back_counts_as_damage(house: House) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        await house.app.containers.stop(house.session_id())
        journal = house.workspace().outbound.with_name("outbound.db-journal")
        journal.mkdir()
        await p.say("two")
        await p.until(lambda: DAMAGED in p.texts())
        await p.until(lambda: "You said: two" in p.texts())


# -------------------------------------------------------------------- hostile outbound


@pytest.mark.parametrize("deed", ["garbage", "wal", "symlink=/etc/passwd"])
async def test_a_damaged_outbound_is_put_aside_and_said(house: House, deed: str) -> None:
    misbehaving(house, times=1)
    async with house.open() as p:
        await p.say("before")
        await p.ends(1)
        await p.say(f"do:{deed}")
        await p.until(lambda: any(text.endswith(f"do:{deed}") for text in p.texts()))
        assert DAMAGED in p.texts()
        await p.say("after")
        await p.until(lambda: "You said: after" in p.texts())
        assert len(list((house.folder() / "damaged").iterdir())) == 1
        assert p.texts().count(DAMAGED) == 1


async def test_an_agent_that_always_damages_its_outbound_is_given_up(house: House) -> None:
    misbehaving(house)
    house.turns["max_tries"] = 3
    async with house.open() as p:
        await p.say("do:garbage")
        await p.until(lambda: GAVE_UP.format(tries=3) in p.texts() and p.texts().count(DAMAGED) == 3)
        await p.say("after")
        await p.until(lambda: "You said: after" in p.texts())
        assert sorted(p.texts()[:4]) == sorted([DAMAGED] * 3 + [GAVE_UP.format(tries=3)])


async def test_a_row_for_another_place_is_refused_and_the_agent_told(house: House) -> None:
    misbehaving(house)
    async with house.open() as p:
        await p.say("hello", place="victim")
        await p.ends(1, place="victim")
        await p.say("do:send=fake/victim")
        await p.ends(1)
        await p.say("do:send=nowhere/p1")
        await p.ends(2)
        assert p.texts("victim") == ["You said: hello"]
        assert "forged" not in p.texts()
        told = house.query("SELECT content FROM inbox WHERE kind = 'system' ORDER BY seq")
        assert len(told) == 2 and all("may not write there" in row["content"] for row in told)
        assert len(house.query("SELECT 1 FROM deliveries WHERE state = 'failed'")) == 2
        # The agent reads it with its next turn.
        await p.say("well?")
        assert "may not write there" not in (await p.replies(3))[-1]
        await house.until(
            lambda: not house.query("SELECT 1 FROM inbox WHERE state IN ('accepted', 'posted')")
        )


async def test_a_number_out_of_line_is_refused_and_not_counted_on_from(house: House) -> None:
    misbehaving(house)
    async with house.open() as p:
        await p.say("do:jump=fake/p1")
        await p.ends(1)
        await house.until(lambda: len(house.query("SELECT 1 FROM deliveries WHERE state = 'failed'")) == 1)
        await p.say("next")
        await p.ends(2)
        assert "forged" not in p.texts()
        (row,) = house.query("SELECT max(last_in_seq, last_out_seq) AS seq FROM sessions")
        assert row["seq"] < 1000


async def test_forged_acks_end_nothing(house: House) -> None:
    misbehaving(house)
    house.turns["retry_base_seconds"] = 1000
    house.script(CRASH)
    house.agent["provider_options"]["times"] = 10
    async with house.open() as p:
        await p.say("crash", place="victim")
        await house.until(lambda: bool(house.query("SELECT 1 FROM inbox WHERE tries = 1")))
        (foreign,) = [row["id"] for row in house.query("SELECT id FROM inbox")]
        await p.say("one")
        await p.ends(1)
        (own,) = [row["id"] for row in house.query("SELECT id FROM inbox WHERE state = 'done'")]
        await p.say(f"do:ack=unknown,{foreign} do:fail_ack={own}")
        await p.ends(2)
        await house.until_quiet()
        states = {row["id"]: row["state"] for row in house.query("SELECT id, state FROM inbox")}
        assert states[foreign] == "posted" and states[own] == "done"
        assert UNREADABLE not in p.texts()


# -------------------------------------------------------------------- inbound


async def test_a_locked_inbox_is_freed_by_killing_and_slows_nobody(house: House) -> None:
    misbehaving(house, times=1)
    async with house.open() as p:
        await p.say("do:lock_inbound")
        await p.ends(1)
        locker = house.runner()
        said = asyncio.create_task(p.say("two"))
        await p.say("hello", place="p2")
        assert await p.replies(1, place="p2") == ["You said: hello"]
        await said
        assert (await p.replies(2))[1] == "You said: two"
        await house.until(lambda: not os.path.exists(f"/proc/{locker}"))
        await house.until_quiet()
        assert tries(house) == [0, 0, 0]


@pytest.mark.parametrize("lock", ["BEGIN EXCLUSIVE", "BEGIN"])
async def test_an_inbox_that_a_stranger_locks_is_made_anew(house: House, lock: str) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        with closing(sqlite3.connect(house.workspace().inbound, isolation_level=None)) as stranger:
            stranger.execute(lock)
            stranger.execute("SELECT count(*) FROM messages_in").fetchone()
            await p.say("two")
            assert (await p.replies(2))[1] == "You said: two"


@pytest.mark.parametrize("asleep", [False, True])
@pytest.mark.parametrize("deed", ["delete", "garbage", "truncate"])
async def test_a_broken_inbox_is_made_anew(house: House, deed: str, asleep: bool) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        if asleep:
            await house.app.containers.stop(house.session_id())
        else:
            _break(house, deed)
            await p.say("two")
            assert (await p.replies(2))[1] == "You said: two"
    if asleep:
        _break(house, deed)
        async with house.open() as p:
            await p.say("two")
            assert (await p.replies(2))[1] == "You said: two"
    assert LOST not in house.platform.texts()


def _break(house: House, deed: str) -> None:
    inbound = house.workspace().inbound
    match deed:
        case "delete":
            inbound.unlink()
        case "garbage":
            inbound.write_bytes(b"garbage" * 3000)
        case "truncate":
            os.truncate(inbound, 4096)


async def test_a_folder_that_goes_in_mid_turn_is_made_anew_and_said(house: House) -> None:
    misbehaving(house, times=1)
    async with house.open() as p:
        await p.say("do:remove")
        await p.until(lambda: "You said: do:remove" in p.texts())
        assert p.texts()[0] == LOST
        assert all((house.folder() / name).is_dir() for name in FOLDER_MODES)


@pytest.mark.parametrize("running", [True, False])
async def test_a_folder_that_goes_between_turns_is_made_anew_and_said(house: House, running: bool) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        if not running:
            await house.app.containers.stop(house.session_id())
        shutil.rmtree(house.folder())
        await p.say("two")
        await p.until(lambda: "You said: two" in p.texts())
        assert p.texts().count(LOST) == 1
        await p.ends(2)
        await house.until_quiet()


async def test_what_another_boot_wrote_is_never_trusted(house: House) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        await house.app.containers.stop(house.session_id())
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        db.execute("UPDATE sessions SET boot_id = 'another'")
    before = house.workspace().inbound.stat().st_ino
    async with house.open() as p:
        await p.say("two")
        assert (await p.replies(2))[1] == "You said: two"
        assert house.workspace().inbound.stat().st_ino != before
    (row,) = house.query("SELECT boot_id FROM sessions")
    assert row["boot_id"] != "another"


# -------------------------------------------------------------------- operations


async def test_an_interrupt_is_heeded(house: House) -> None:
    house.script(STALL)
    async with house.open() as p:
        assert not await p.interrupt()
        await p.say("stall")
        await p.at_work()
        assert await p.interrupt()
        (text,) = await p.replies(1)
        assert "topped" in text
        await house.until_quiet()
        assert not await p.interrupt()
        await p.say("next")
        assert (await p.replies(2))[1] == "You said: next"
        assert tries(house) == [0, 0]


async def test_an_interrupt_that_is_not_heeded_kills(house: House) -> None:
    misbehaving(house)
    house.interrupt_grace_seconds = 0.3
    async with house.open() as p:
        await p.say("do:deaf")
        await p.at_work()
        deaf = house.runner()
        assert await p.interrupt()
        await p.say("next")
        assert (await p.replies(2)) == [STOPPED, "You said: next"]
        assert not os.path.exists(f"/proc/{deaf}")
        assert tries(house) == [0, 0]


async def test_what_waits_for_its_next_try_can_be_stopped(house: House) -> None:
    house.script(CRASH)
    house.turns["retry_base_seconds"] = 1000
    async with house.open() as p:
        await p.say("crash")
        await house.until(lambda: tries(house) == [1])
        await house.until(lambda: not house.runners())
        assert await p.interrupt()
        assert await p.replies(1) == [STOPPED]
        await p.say("next")
        assert (await p.replies(2))[1] == "You said: next"


async def test_a_session_is_stopped_and_cleared(house: House) -> None:
    house.script(STALL)
    async with house.open() as p:
        await p.say("stall")
        await p.at_work()
        operations, session = house.app.context.operations, house.session_id()
        assert await operations.stop(session) == 1
        assert house.app.containers.of(session) is None
        assert await p.replies(1) == [STOPPED]
        await operations.clear(session)
        await house.until(lambda: bool(house.query("SELECT 1 FROM inbox WHERE state = 'posted'")))
        assert house.app.containers.of(session) is None
        await p.say("next")
        assert (await p.replies(2))[1] == "You said: next"
        await house.until(
            lambda: not house.query("SELECT 1 FROM inbox WHERE state IN ('accepted', 'posted')")
        )


async def test_a_session_that_has_only_a_clear_is_let_go(house: House) -> None:
    house.backend["runner_idle_seconds"] = 0.4
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        await house.app.containers.stop(house.session_id())
        await house.app.context.operations.clear(house.session_id())
        await house.until(lambda: not house.query("SELECT 1 FROM sessions WHERE awake = 1"))
        await p.say("two")
        await p.replies(2)
        await house.until(
            lambda: not house.query("SELECT 1 FROM inbox WHERE state IN ('accepted', 'posted')")
        )


async def test_a_frozen_session_wakes_for_a_message(house: House) -> None:
    house.agent["idle_seconds"] = 0.1
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        session = next(iter(house.app.containers)).session
        frozen = False
        async with asyncio.timeout(10):
            while not frozen:  # Its query has to end first.
                async with session.lock:
                    frozen = await house.app.containers.freeze(session)
        stat = Path(f"/proc/{house.runner()}/stat")
        await house.until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
        await p.say("two")
        assert (await p.replies(2))[1] == "You said: two"


async def test_a_busy_session_is_not_frozen(house: House) -> None:
    house.script(STALL)
    async with house.open() as p:
        await p.say("stall")
        await p.at_work()
        runner = next(iter(house.app.containers))
        async with runner.session.lock:
            assert not await house.app.containers.freeze(runner.session)
        assert not runner.frozen


# -------------------------------------------------------------------- configuration


async def test_a_session_whose_agent_is_gone_fails_visibly(house: House) -> None:
    house.script(CRASH)
    house.turns["retry_base_seconds"] = 3
    async with house.open() as p:
        await p.say("crash")
        await house.until(lambda: tries(house) == [1])
    house.agents = {"other": {}}
    async with house.open() as p:
        assert await p.replies(1) == [NO_AGENT.format(agent="assistant")]
        await house.until_quiet()
    assert house.states() == {"failed": 1}


async def test_an_adopted_runner_whose_agent_is_gone_finishes_its_turn(house: House) -> None:
    house.script(
        {"match": "slow", "steps": [{"do": "stall", "seconds": 2}, {"do": "result", "text": "done"}]}
    )
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
    house.agents = {"other": {}}
    house.turns["heartbeat_stale_seconds"] = 4
    async with house.open() as p:
        assert await p.replies(1) == ["done"]
        await house.until(lambda: not house.runners())


async def test_nothing_is_left_behind_after_many_sessions(house: House) -> None:
    house.backend["runner_idle_seconds"] = 0.4

    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    async with house.open() as p:
        await p.say("first", place="p0")
        await p.ends(1, place="p0")
        await house.until(lambda: not house.runners())
        await house.until(lambda: not house.query("SELECT 1 FROM sessions WHERE awake = 1"))
        files, tasks = open_files(), len(asyncio.all_tasks())
        for start in range(1, 17, 8):
            places = [f"p{number}" for number in range(start, start + 8)]
            await asyncio.gather(*(p.say("hello", place=place) for place in places))
            await asyncio.gather(*(p.ends(1, place=place) for place in places))
        await house.until(lambda: not house.runners())
        await house.until(lambda: not house.query("SELECT 1 FROM sessions WHERE awake = 1"))
        await house.until(lambda: open_files() <= files and len(asyncio.all_tasks()) <= tasks)
    assert not house.runners()
