"""The tables of bot.db, each through the functions that own its SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.protocol.messages import MAX_QUESTION_CHARS, AskQuestion, ChatIn, MessageIn, Note, Route
from bot.actions import tell
from bot.db import deliveries, inbox, people, questions, sessions
from bot.db.engine import Database, open_database
from bot.db.sessions import SessionRecord
from bot.errors import DatabaseError

HERE = Route(channel="slack", platform_id="C1")
THREAD = Route(channel="slack", platform_id="C1", thread_id="1.5")


@pytest.fixture
def record(db: sqlite3.Connection) -> SessionRecord:
    return sessions.resolve(db, "assistant", HERE, 1000)


def accept(
    db: sqlite3.Connection, record: SessionRecord, name: str, *, trigger: bool = True, bot: bool = False
) -> MessageIn:
    return inbox.accept(
        db,
        record,
        message_id=f"id-{name}",
        event_id=f"event-{name}",
        kind="chat",
        content=ChatIn(sender="Ada", text=name, bot=bot),
        route=record.route,
        created_at=1,
        now=2000,
        trigger=trigger,
    )


def states(db: sqlite3.Connection, record: SessionRecord) -> list[tuple[str, str]]:
    return [(entry.message.id, entry.state) for entry in inbox.latest(db, record.id, 100)]


# ---------------------------------------------------------------- sessions


def test_a_place_has_one_session_for_each_agent(db: sqlite3.Connection, record: SessionRecord) -> None:
    assert sessions.resolve(db, "assistant", HERE, 2000) == record
    others = {
        sessions.resolve(db, "other", HERE, 1000).id,
        sessions.resolve(db, "assistant", THREAD, 1000).id,
        sessions.resolve(db, "assistant", HERE.model_copy(update={"channel": "discord"}), 1000).id,
    }
    assert len(others | {record.id}) == 4
    assert sessions.find(db, "assistant", THREAD) is not None
    assert sessions.find(db, "nobody", HERE) is None
    assert sorted(sessions.at_place(db, "slack", "C1")) == sorted(
        row[0] for row in db.execute("SELECT id FROM sessions WHERE channel = 'slack'")
    )


def test_a_prefix_finds_at_most_two(db: sqlite3.Connection) -> None:
    for number in range(3):
        db.execute(
            "INSERT INTO sessions (id, agent, channel, platform_id, created_at, last_active)"
            " VALUES (?, 'a', 'c', ?, 1, 1)",
            (f"ab{number}%_", str(number)),
        )
    assert [found.id for found in sessions.by_prefix(db, "ab1")] == ["ab1%_"]
    assert len(sessions.by_prefix(db, "ab")) == 2
    # What means something to LIKE or GLOB is an ordinary letter here.
    assert sessions.by_prefix(db, "%") == sessions.by_prefix(db, "ab?") == sessions.by_prefix(db, "AB") == []


def test_the_last_active_is_on_top(db: sqlite3.Connection, record: SessionRecord) -> None:
    other = sessions.resolve(db, "assistant", THREAD, 1500)
    assert [found.id for found in sessions.recent(db, 10)] == [other.id, record.id]
    accept(db, record, "hello")
    assert [found.id for found in sessions.recent(db, 1)] == [record.id]


def test_what_is_typed_finds_sessions(db: sqlite3.Connection, record: SessionRecord) -> None:
    elsewhere = Route(channel="slack", platform_id="C2")
    other = sessions.resolve(db, "assistant", elsewhere, 3000)
    thread = sessions.resolve(db, "assistant", THREAD, 2000)

    def found(typed: str, near: Route | None = None) -> list[str]:
        return [each.id for each in sessions.like(db, typed, near=near, limit=10)]

    assert found("") == [other.id, thread.id, record.id]
    assert found("", HERE) == [thread.id, record.id, other.id]
    assert found("SLACK/c1") == [thread.id, record.id]
    assert found(other.id[:6], HERE) == [other.id]
    assert found("%") == found("x" * 500) == []
    assert len(sessions.like(db, "", near=HERE, limit=2)) == 2


def test_not_every_session_is_looked_at_for_a_key(db: sqlite3.Connection, record: SessionRecord) -> None:
    for number in range(sessions.LOOKED_AT):
        sessions.resolve(db, "assistant", Route(channel="slack", platform_id=f"D{number}"), 2000)
    assert sessions.like(db, "slack/c1", near=None, limit=10) == []
    assert sessions.like(db, "slack/c1", near=HERE, limit=10) == [record]
    assert sessions.like(db, record.id, near=None, limit=10) == [record]


def test_a_seq_is_even_and_above_all_that_were(db: sqlite3.Connection, record: SessionRecord) -> None:
    assert [accept(db, record, name).seq for name in ("a", "b")] == [2, 4]
    sessions.saw_seq(db, record.id, 9)
    sessions.saw_seq(db, record.id, 7)
    assert accept(db, record, "c").seq == 10
    sessions.saw_seq(db, record.id, 11)
    assert accept(db, record, "d").seq == 12


def test_awake_and_boot_are_kept(db: sqlite3.Connection, record: SessionRecord) -> None:
    assert sessions.awake(db) == []
    sessions.set_awake(db, record.id, True)
    sessions.set_boot(db, record.id, "boot-1")
    assert sessions.awake(db) == [record.id]
    found = sessions.get(db, record.id)
    assert found is not None
    assert (found.awake, found.boot_id) == (True, "boot-1")
    sessions.set_awake(db, record.id, False)
    assert sessions.awake(db) == []


def test_many_fall_asleep_together(db: sqlite3.Connection, record: SessionRecord) -> None:
    other = sessions.resolve(db, "assistant", THREAD, 1000)
    third = sessions.resolve(db, "helper", HERE, 1000)
    for each in (record, other, third):
        sessions.set_awake(db, each.id, True)
    sessions.fall_asleep(db, [record.id, third.id, "unknown"])
    assert sessions.awake(db) == [other.id]
    before = db.total_changes
    sessions.fall_asleep(db, [record.id, third.id])
    assert db.total_changes == before


def test_sessions_are_known_by_their_ids(db: sqlite3.Connection, record: SessionRecord) -> None:
    assert sessions.known(db, [record.id, "unknown"]) == {record.id}
    assert sessions.known(db, []) == set()


# ---------------------------------------------------------------- inbox


def test_an_event_is_accepted_once(db: sqlite3.Connection, record: SessionRecord) -> None:
    assert not inbox.known(db, "event-a")
    message = accept(db, record, "a")
    assert inbox.known(db, "event-a")
    with pytest.raises(sqlite3.IntegrityError):
        accept(db, record, "a")
    (entry,) = inbox.unfinished(db, record.id)
    assert entry.message == message and entry.state == "accepted" and entry.accepted_at == 2000
    assert inbox.event_of(db, record.id, "id-a") == "event-a"
    assert inbox.event_of(db, "other", "id-a") is None and inbox.event_of(db, record.id, None) is None


def test_terminal_stays_terminal(db: sqlite3.Connection, record: SessionRecord) -> None:
    for name in ("a", "b", "c"):
        accept(db, record, name)
    inbox.settle(db, record.id, ["id-a"], turn_id="turn", now=3000)
    inbox.fail(db, record.id, ["id-a", "id-b"], error="no", now=4000)
    inbox.settle(db, record.id, ["id-b"], turn_id="turn", now=5000)
    inbox.posted(db, ["id-a", "id-b", "id-c"])
    assert states(db, record) == [("id-a", "done"), ("id-b", "failed"), ("id-c", "posted")]
    first, second, _ = inbox.latest(db, record.id, 10)
    assert (first.settled_at, first.turn_id, first.error) == (3000, "turn", None)
    assert (second.settled_at, second.turn_id, second.error) == (4000, None, "no")
    assert inbox.counts(db, record.id) == inbox.counts(db)
    assert inbox.counts(db) == {"accepted": 0, "posted": 1, "done": 1, "failed": 1}


def test_another_session_cannot_settle_it(db: sqlite3.Connection, record: SessionRecord) -> None:
    accept(db, record, "a")
    other = sessions.resolve(db, "assistant", THREAD, 1000)
    inbox.settle(db, other.id, ["id-a"], turn_id=None, now=1)
    inbox.fail(db, other.id, ["id-a"], error="no", now=1)
    assert states(db, record) == [("id-a", "accepted")]
    assert inbox.sessions_with_work(db) == [record.id]
    assert inbox.unfinished_ids(db) == {"id-a"}
    inbox.settle(db, record.id, ["id-a"], turn_id=None, now=1)
    assert inbox.sessions_with_work(db) == [] and inbox.unfinished_ids(db) == set()


def test_a_try_is_remembered(db: sqlite3.Connection, record: SessionRecord) -> None:
    accept(db, record, "a")
    inbox.retry(db, "id-a", tries=2, process_after=9000)
    (entry,) = inbox.unfinished(db, record.id)
    assert (entry.message.tries, entry.message.process_after) == (2, 9000)


def test_the_latest_are_in_order(db: sqlite3.Connection, record: SessionRecord) -> None:
    for number in range(5):
        accept(db, record, str(number))
    assert [entry.message.seq for entry in inbox.latest(db, record.id, 2)] == [8, 10]


# ---------------------------------------------------------------- deliveries and notices


def record_part(db: sqlite3.Connection, record: SessionRecord, part: int, state: str, *, last: bool) -> None:
    deliveries.record(
        db, record.id, "out", part=part, seq=3, state=state, last=last, now=5, attempts=1, next_at=70
    )


def test_bots_are_counted_from_the_last_person_on(db: sqlite3.Connection, record: SessionRecord) -> None:
    assert not inbox.only_bots_spoke(db, record.id, 1), "nobody has spoken yet"
    for name in ("1", "2"):
        accept(db, record, name, bot=True)
    assert inbox.only_bots_spoke(db, record.id, 2) and not inbox.only_bots_spoke(db, record.id, 3)
    tell(db, record.id, Note(text="no message"), event_id="note", route=HERE, trigger=False, now=1)
    assert inbox.only_bots_spoke(db, record.id, 2), "what the host says itself is nobody's message"
    elsewhere = sessions.resolve(db, "assistant", THREAD, 1000)
    assert not inbox.only_bots_spoke(db, elsewhere.id, 1)
    accept(db, record, "3")
    assert not inbox.only_bots_spoke(db, record.id, 1)
    # Rows of an earlier Roost say nothing about it, and were all from people.
    db.execute("UPDATE inbox SET by_bot = NULL")
    assert not inbox.only_bots_spoke(db, record.id, 1)


def test_bots_are_counted_over_all_threads_of_a_place(db: sqlite3.Connection, record: SessionRecord) -> None:
    accept(db, record, "1", bot=True)
    accept(db, record, "2")
    assert inbox.bots_said(db, HERE, since=0) == 1, "a person is no bot"
    assert inbox.bots_said(db, HERE.model_copy(update={"thread_id": "t"}), since=0) == 1
    assert inbox.bots_said(db, HERE.model_copy(update={"platform_id": "other"}), since=0) == 0
    assert inbox.bots_said(db, HERE, since=10**15) == 0, "that was before"


def test_a_message_goes_on_where_it_stopped(db: sqlite3.Connection, record: SessionRecord) -> None:
    assert deliveries.progress(db, record.id, "out") == deliveries.Progress()
    record_part(db, record, 0, "sent", last=False)
    record_part(db, record, 1, "waiting", last=False)
    assert deliveries.progress(db, record.id, "out") == deliveries.Progress(1, 1, 70, 5)
    assert deliveries.waiting(db) == [(record.id, 70)]
    assert deliveries.handled(db, record.id, ["out", "other"]) == {}
    record_part(db, record, 1, "sent", last=True)
    assert deliveries.waiting(db) == []
    (receipt,) = deliveries.handled(db, record.id, ["out", "other"]).values()
    assert (receipt.message_out_id, receipt.seq, receipt.status, receipt.at) == ("out", 3, "sent", 5)
    assert deliveries.receipts(db, record.id, 10) == [receipt]
    assert deliveries.counts(db) == deliveries.counts(db, record.id) == {"sent": 1, "failed": 0, "waiting": 0}


def test_a_notice_is_kept_until_it_is_over(db: sqlite3.Connection, record: SessionRecord) -> None:
    deliveries.add_notice(db, record.id, THREAD, "first", now=1, answers="event-a")
    deliveries.add_notice(db, record.id, HERE, "second", now=1)
    first, second = deliveries.notices(db, record.id)
    assert (first.text, first.route, first.answers) == ("first", THREAD, "event-a")
    assert (second.text, second.route, second.answers) == ("second", HERE, None)
    assert deliveries.sessions_with_notices(db) == [record.id]
    said = {"part": 0, "seq": 0, "now": 2}
    deliveries.record(db, record.id, first.id, state="waiting", last=True, **said)  # type: ignore[arg-type]
    deliveries.record(db, record.id, second.id, state="sent", last=True, **said)  # type: ignore[arg-type]
    assert deliveries.notices(db, record.id) == [first]


# ---------------------------------------------------------------- questions


def ask(db: sqlite3.Connection, record: SessionRecord) -> None:
    asked = AskQuestion(question_id="q", title="Title", question="Which?", options=["a", "b"], expires_at=100)
    questions.ask(db, record.id, "out", HERE, asked, now=1)


def test_a_question_is_answered_once(db: sqlite3.Connection, record: SessionRecord) -> None:
    assert questions.get(db, "q") is None
    ask(db, record)
    ask(db, record)
    asked = questions.get(db, "q")
    assert asked is not None
    assert (asked.session, asked.route, asked.options, asked.state) == (record.id, HERE, ("a", "b"), "open")
    assert questions.answer(db, "q", "a", by="7")
    assert not questions.answer(db, "q", "b", by="8")
    assert not questions.answer(db, "other", "b", by="8")
    ask(db, record)
    row = db.execute("SELECT state, answer, answered_by FROM questions").fetchone()
    assert tuple(row) == ("answered", "a", "7")


def test_no_question_is_open_for_ever(db: sqlite3.Connection, record: SessionRecord) -> None:
    asked = AskQuestion(question_id="q", title="Title", question="Which?", expires_at=2**53)
    questions.ask(db, record.id, "out", HERE, asked, now=1)
    kept = questions.get(db, "q")
    assert kept is not None and kept.expires_at == 1 + questions.MAX_OPEN_MS
    with pytest.raises(ValidationError, match="question"):
        AskQuestion(question_id="q", title="T", question="?" * (MAX_QUESTION_CHARS + 1), expires_at=1)


# ---------------------------------------------------------------- people


def test_a_role_belongs_to_an_id_on_a_channel(db: sqlite3.Connection) -> None:
    people.grant(db, "slack", "7", "member", now=1)
    people.grant(db, "slack", "7", "admin", now=2)
    assert people.role_of(db, "slack", "7") == "admin"
    assert people.role_of(db, "discord", "7") is None and people.role_of(db, "slack", "07") is None
    assert not people.has_owner(db, "slack")


def test_a_code_makes_one_owner(db: sqlite3.Connection) -> None:
    code = people.new_code(db, "slack", now=1)
    assert not people.claim(db, "discord", "7", code, now=2)
    assert people.claim(db, "slack", "7", f" {code}\n", now=2)
    assert people.role_of(db, "slack", "7") == "owner" and people.has_owner(db, "slack")
    assert not people.claim(db, "slack", "8", code, now=3)
    assert people.role_of(db, "slack", "8") is None


def test_a_code_is_kept_as_a_digest_and_replaced(db: sqlite3.Connection) -> None:
    first = people.new_code(db, "slack", now=1)
    second = people.new_code(db, "slack", now=2)
    assert first != second
    assert first not in str([tuple(row) for row in db.execute("SELECT * FROM owner_codes")])
    assert not people.claim(db, "slack", "7", first, now=3)
    assert people.claim(db, "slack", "7", second, now=3)


def test_wrong_codes_leave_the_right_one_as_it_is(db: sqlite3.Connection) -> None:
    code = people.new_code(db, "slack", now=1)
    for number in range(100):
        assert not people.claim(db, "slack", str(number), "wrong", now=2)
    assert people.claim(db, "slack", "7", code, now=2)


# ---------------------------------------------------------------- together


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(tmp_path / "bot.db")
    yield database
    await database.close()


async def test_a_broken_write_leaves_none_of_its_tables_changed(database: Database) -> None:
    def work(db: sqlite3.Connection) -> None:
        record = sessions.resolve(db, "assistant", HERE, 1000)
        accept(db, record, "a")
        deliveries.add_notice(db, "no such session", HERE, "text", now=1)

    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        await database.write(work)
    assert await database.read(inbox.unfinished_ids) == set()
    assert await database.read(lambda db: sessions.recent(db, 10)) == []


async def test_repositories_read_through_a_connection_that_cannot_write(database: Database) -> None:
    with pytest.raises(DatabaseError, match="readonly"):
        await database.read(lambda db: people.grant(db, "slack", "7", "owner", now=1))
