"""What is kept of the ways of messages: bounded, only of the session's own, and on the host's clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from adapters.base import Outgoing, Settled
from agent.protocol.bell import Activity, AgentFrame, Changed, LiveText
from agent.protocol.messages import Ack, ChatOut, MessageIn, MessageOut
from bot.db import inbox, traces
from bot.db.inbox import Entry
from bot.db.traces import Mark
from bot.marks import MAX_MARKS, TAKEN_OVER, Marks
from bot.session import Session
from tests.fakes.rooms import HOME, accept, room


async def kept(session: Session, message_id: str) -> list[Mark]:
    """What bot.db has of a message, once everything is written that was begun to be."""
    db = session.books.db
    await db.write(lambda _: None)
    return await db.read(lambda db: traces.of(db, message_id))


async def write(session: Session, work: Callable[[sqlite3.Connection], object]) -> None:
    await session.books.db.write(work)


def out(message: MessageIn | None, number: int = 1, *, turn_id: str | None = None) -> MessageOut:
    return MessageOut(
        id=f"out-{number}",
        seq=number,
        in_reply_to=None if message is None else message.id,
        kind="chat",
        created_at=7,
        turn_id=turn_id,
        route=HOME,
        content=ChatOut(text="said"),
    )


def reply(message: MessageIn, number: int = 1, *, notice: bool = False) -> Outgoing:
    return Outgoing(f"out-{number}", HOME, "said", answers=message.event_id, notice=notice)


def kept_in_memory(marks: Marks) -> dict[str, object]:
    """What grows with the messages, but for what waits to be woken."""
    ours = {name: value for name, value in vars(marks).items() if isinstance(value, dict | set)}
    return {name: value for name, value in ours.items() if value}


# ---------------------------------------------------------------- the table


async def test_a_trace_grows_and_is_read_in_order(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        message = await accept(session, "one")
        first, second = Mark("posted", 5), Mark("sent", 6, 'a "word"\n', out="o\n1", says=3, until=9)
        await write(session, lambda db: traces.save(db, session.id, {message.id: [first]}))
        await write(session, lambda db: traces.save(db, session.id, {message.event_id: [second]}))
        assert await kept(session, message.id) == [first, second]
        db = session.books.db
        assert await db.read(lambda db: traces.answered_by(db, "o\n1")) == [message.id]
        assert await db.read(lambda db: traces.answered_by(db, "o")) == []


async def test_a_container_adds_to_no_other_session_and_never_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MAX_CHARS", 200)
    async with room(tmp_path) as session:
        message = await accept(session, "one")
        mark = Mark("posted", 5, "x" * 50)
        for _ in range(20):
            await write(
                session, lambda db: traces.save(db, session.id, {message.id: [mark], "nobody's": [mark]})
            )
        await write(session, lambda db: traces.save(db, "another", {message.id: [mark] * 99}))
        assert 2 <= len(await kept(session, message.id)) <= 4
        assert await kept(session, "nobody's") == []


async def test_only_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "KEPT", 3)
    async with room(tmp_path) as session:
        messages = [await accept(session, str(number)) for number in range(6)]
        for message in messages:
            marks = {message.id: [Mark("posted", 1)]}
            await write(session, partial(traces.save, session_id=session.id, marks=marks))
        assert [bool(await kept(session, message.id)) for message in messages] == [False] * 3 + [True] * 3


# ---------------------------------------------------------------- the marks


async def test_a_clock_that_is_set_spoils_no_time(tmp_path: Path) -> None:
    now = 1_000_000
    async with room(tmp_path) as session:
        message = await accept(session, "one")
        marks = Marks(session.id, session.books.db, clock=lambda: now)
        marks.begin(message, accepted_at=now - 3)
        marks.posted([message.id])
        now -= 3_600_000
        marks.woken("bell rung")
        now += 7_200_000
        marks.heard(LiveText(turn_id=message.id, offset=0, text="w"))
        times = [mark.at_us for mark in marks.of(message)]
        assert times == sorted(times) and len(times) == 4
        assert times[0] >= 1_000_000_000 and times[-1] < 1_060_000_000


async def test_first_words_are_measured_once(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        message = await accept(session, "one")
        marks = session.marks
        frames: list[AgentFrame] = [Activity(turn_id="another"), Activity(turn_id=message.id), Changed()]
        assert [marks.heard(frame) for frame in frames] == [None, None, None]
        words = LiveText(turn_id=message.id, offset=0, text="w")
        assert (marks.heard(words) or 0) > 0 and marks.heard(words) is None
        assert [mark.step for mark in marks.of(message)] == ["claimed", "first delta"]


async def test_what_joins_a_turn_has_its_times(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        one, two = await accept(session, "one"), await accept(session, "two")
        marks = session.marks
        marks.posted([one.id, two.id])
        marks.heard(LiveText(turn_id=one.id, offset=0, text="w"))
        marks.heard(Changed())
        marks.look()
        marks.acks(
            [
                Ack(message_id=each.id, status="completed", status_changed=9, turn_id=one.id)
                for each in (one, two)
            ]
        )
        marks.seen([out(one, turn_id=one.id)])
        marks.sent(reply(one), 0)
        assert len(marks.acknowledged(reply(one), 1)) == 2
        found = {each.id: await kept(session, each.id) for each in (one, two)}
        steps = ["posted", "claimed", "first delta", "answered", "seen", "sent", "acknowledged"]
        assert all([mark.step for mark in marks] == steps for marks in found.values())
        assert found[two.id][1].what == f"in the turn of #{one.seq}"
        assert found[two.id][1].at_us == pytest.approx(found[one.id][1].at_us, abs=5_000)
        assert all(found[each][3].says == 7 for each in found)


async def test_the_ack_of_a_container_that_has_ended_claims_nothing(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        message = await accept(session, "one")
        marks = session.marks
        old = Ack(message_id=message.id, status="processing", status_changed=9, turn_id=message.id)
        marks.acks([old])
        marks.try_lost(message.id, "it ended", until=99)
        marks.acks([old])
        marks.acks([old.model_copy(update={"status_changed": 20})])
        assert [mark.says for mark in marks.of(message)] == [20]
        assert [mark.step for mark in await kept(session, message.id)] == ["claimed", "try lost"]


async def test_one_that_is_answered_without_end_is_bounded(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        message = await accept(session, "one")
        session.marks.seen(out(message, number) for number in range(1, 2 * MAX_MARKS))
        assert len(session.marks.of(message)) == MAX_MARKS


async def test_what_is_taken_back_before_it_was_sent_is_not_remembered(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        message, marks = await accept(session, "one"), session.marks
        for number in range(1, 20, 2):
            marks.seen([out(message, number), out(None, number + 1)])
        assert len(marks._replies) == 2
        marks.seen([])
        assert not marks._replies and list(marks._ways) == [message.id]


async def test_a_late_answer_to_what_an_earlier_service_took_in(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        message = await accept(session, "one")
        marks = Marks(session.id, session.books.db)
        marks.seen([out(message), out(None, 2)])
        marks.put_off(reply(message), 0, 1, "no", until=9)
        marks.sent(reply(message), 0)
        # How long that took in all is not known any more.
        assert marks.acknowledged(reply(message), 1) == []
        marks.given_up("out-2", "no")
        found = await kept(session, message.id)
        assert [mark.step for mark in found] == [
            "restarted",
            "answered",
            "seen",
            "put off",
            "sent",
            "acknowledged",
        ]
        assert found[0].what == TAKEN_OVER
        assert kept_in_memory(marks) == {}


async def test_a_notice_is_found_by_the_event_that_it_answers(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        message = await accept(session, "one")
        marks = Marks(session.id, session.books.db)
        said = reply(message, notice=True)
        marks.sent(said, 0)
        marks.held_back(said, "nobody is there")
        marks.held_back(said, "nobody is there")
        marks.acknowledged(said, 1)
        found = [mark.step for mark in await kept(session, message.id)]
        assert found == ["restarted", "sent", "put off", "acknowledged"]


async def test_a_session_that_was_loaded_says_so_of_what_is_older_than_the_service(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        old = await accept(session, "old", now=10)
        new = await accept(session, "new", now=30)
        entries: list[Entry] = await session.books.db.read(lambda db: inbox.unfinished(db, session.id))
        marks = Marks(session.id, session.books.db, clock=lambda: 40)
        marks.resume(entries, (), since=20)
        marks.save()
        assert [mark.step for mark in await kept(session, old.id)] == ["restarted"]
        assert await kept(session, new.id) == []


async def test_nothing_is_left_in_memory_of_what_has_ended(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        message = await accept(session, "one")
        marks = session.marks
        marks.posted([message.id])
        marks.acks([Ack(message_id=message.id, status="completed", status_changed=1, turn_id="t")])
        session.end(message, turn_id="t", ok=True)
        marks.save_ended()
        session.take_settled([Settled(message.route, message.event_id, "t", True)])
        assert [mark.step for mark in await kept(session, message.id)] == ["posted", "claimed"]
        assert kept_in_memory(marks) == {}


async def test_the_row_is_found_without_a_walk_through_the_session(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        statements: list[str] = []

        def plan(db: sqlite3.Connection) -> list[str]:
            db.set_trace_callback(statements.append)
            traces.save(db, session.id, {"m": [Mark("posted", 1)]})
            db.set_trace_callback(None)
            (insert,) = [each for each in statements if each.startswith("INSERT")]
            return [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {insert}")]

        found = await session.books.db.write(plan)
        assert [line for line in found if "SCAN" in line or "session" in line] == []
        assert len([line for line in found if line.startswith("SEARCH inbox")]) == 2
