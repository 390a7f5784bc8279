"""What an agent is told of its session's schedules: right whenever something was posted, and never posted for."""

from __future__ import annotations

from contextlib import closing
from sqlite3 import connect
from typing import Any

from agent.protocol.clock import now_ms
from agent.protocol.mailbox.inbound_reader import InboundReader
from agent.protocol.messages import Schedule
from bot.db.series import Draft, SeriesRecord
from bot.recurrence import At, Cron, When
from tests.service.conftest import House

BACKENDS = ("process", "docker")

DAILY = Cron(expression="0 8 * * *", timezone="Europe/Athens")


def told(house: House) -> list[Schedule]:
    """What lies in inbound.db, as the agent reads it."""
    reader = InboundReader(house.workspace().inbound, now_ms)
    with closing(reader):
        found = reader.schedules()
    assert found is not None
    return found


def states(house: House) -> list[tuple[str, str]]:
    return sorted((each.prompt, each.status) for each in told(house))


async def keep(house: House, prompt: str, when: When = DAILY) -> SeriesRecord:
    first = when.after(now_ms())
    assert first is not None
    return await house.app.context.schedules.create(house.session_id(), Draft(prompt, when, first, "test"))


async def say(house: House) -> None:
    """One more message, answered."""
    ends = len(house.platform.settled())
    await house.platform.say("hello")
    await house.platform.ends(ends + 1)


def file_of(house: House) -> Any:
    found = house.workspace().inbound.stat()
    return found.st_ino, found.st_mtime_ns


async def test_each_change_is_known_with_the_next_message(house: House) -> None:
    async with house.open():
        await say(house)
        assert told(house) == []
        before = file_of(house)
        kept = await keep(house, "one")
        assert told(house) == [] and file_of(house) == before
        await say(house)
        assert told(house) == [
            Schedule(
                series_id=kept.id,
                prompt="one",
                recurrence="every day 8:00 Europe/Athens",
                timezone="Europe/Athens",
                status="active",
                next_at=kept.next_at,
            )
        ]
        schedules = house.app.context.schedules
        await schedules.pause(kept.id)
        await say(house)
        assert states(house) == [("one", "paused")] and told(house)[0].next_at is None
        await schedules.resume(kept.id)
        await keep(house, "two")
        await say(house)
        assert states(house) == [("one", "active"), ("two", "active")]
        await schedules.cancel(kept.id)
        await say(house)
        assert states(house) == [("two", "active")]


async def test_what_is_fired_says_when_it_is_due_next_or_is_gone(house: House) -> None:
    async with house.open() as p:
        await say(house)
        once = await keep(house, "once", At(at=now_ms() + 1_500, timezone="UTC"))
        await keep(house, "daily")
        await say(house)
        assert states(house) == [("daily", "active"), ("once", "active")]
        await p.ends(3)
        assert states(house) == [("daily", "active")]
        assert house.query("SELECT status FROM series WHERE id = ?", once.id)[0]["status"] == "finished"


async def test_one_that_failed_too_often_is_paused_there_as_well(house: House) -> None:
    house.turns["max_tries"] = 1
    house.script({"match": "boom", "steps": [{"do": "crash", "code": 3}]})
    async with house.open():
        await say(house)
        kept = await keep(house, "boom")
        for failures in (1, 2, 3):
            await house.app.context.schedules.run_now(kept.id)
            await house.until(
                lambda n=failures: house.query("SELECT failures FROM series")[0]["failures"] == n  # type: ignore[misc]
            )
        await house.until_quiet()
        await say(house)
        assert states(house) == [("boom", "paused")]


async def test_a_session_that_sleeps_is_not_opened_and_knows_when_it_wakes(house: House) -> None:
    house.backend["runner_idle_seconds"] = 0.2
    async with house.open():
        await say(house)
        session = house.session_id()
        sessions = house.app.context.sessions
        await house.until(lambda: sessions.loaded(session) is None)
        before = file_of(house)
        kept = await keep(house, "one")
        await house.app.context.schedules.pause(kept.id)
        assert sessions.loaded(session) is None and file_of(house) == before
        await say(house)
        assert states(house) == [("one", "paused")]


async def test_what_changed_while_no_service_ran_or_before_it_was_written_is_right(house: House) -> None:
    async with house.open():
        await say(house)
        await keep(house, "one")
    house.kill_runners()
    with closing(connect(house.data / "bot.db")) as db, db:
        db.execute("UPDATE series SET prompt = 'changed'")
    async with house.open():
        await say(house)
        assert states(house) == [("changed", "active")]


async def test_a_file_that_was_lost_is_made_with_them(house: House) -> None:
    async with house.open():
        await say(house)
        await keep(house, "one")
        await say(house)
        house.workspace().inbound.unlink()
        await say(house)
        assert states(house) == [("one", "active")]
        await keep(house, "two")
        await say(house)
        assert states(house) == [("one", "active"), ("two", "active")]


async def test_the_agent_of_another_session_is_not_told(house: House) -> None:
    async with house.open() as p:
        await say(house)
        await keep(house, "mine")
        await p.say("hello", place="p2")
        await p.ends(1, place="p2")
        reader = InboundReader(house.workspace("p2").inbound, now_ms)
        with closing(reader):
            assert reader.schedules() == []
