"""The dead_letters table, and the accounts that say what has become of every message."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace

import pytest

from adapters.base import Outgoing, Question
from agent.protocol.messages import ChatIn, Route
from bot.db import dead_letters, deliveries, inbox, sessions
from bot.db.accounts import Accounts, accounts
from bot.db.dead_letters import MAX_ALIVE, Letter, LetterFile
from bot.db.sessions import SessionRecord

HERE = Route(channel="slack", platform_id="C1")
THERE = Route(channel="slack", platform_id="C2", thread_id="1.5")


@pytest.fixture
def record(db: sqlite3.Connection) -> SessionRecord:
    return sessions.resolve(db, "assistant", HERE, 1000)


def letter(record: SessionRecord, name: str = "a", **changes: object) -> Letter:
    made = Letter(
        id=f"id-{name}", session=record.id, out_id=f"out-{name}", seq=3, kind="reply", route=HERE,
        answers=None, turn_id=None, files=(), part=0, reason="no", attempts=5, created_at=7, preview="text",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def reply(name: str = "a") -> Outgoing:
    return Outgoing(id=f"out-{name}", route=HERE, text="text")


def states(db: sqlite3.Connection) -> dict[str, str]:
    return {row["id"]: row["state"] for row in db.execute("SELECT id, state FROM dead_letters")}


# ---------------------------------------------------------------- letters


def test_a_letter_holds_all_that_was_to_be_sent(db: sqlite3.Connection, record: SessionRecord) -> None:
    question = Question("q", "Title", "Which?", ["a", "b"])
    said = Outgoing("out-a", THERE, "", question=question, answers="event-a", turn_id="turn-a")
    kept = letter(
        record, route=THERE, files=(LetterFile("ä.txt", "text/plain", 9),), answers="event-a",
        turn_id="turn-a", part=2, preview="Which?",
    )  # fmt: skip
    assert dead_letters.keep(db, kept, said) == []
    assert dead_letters.by_prefix(db, "id-") == [kept]
    assert dead_letters.content(db, kept.id) == said
    assert dead_letters.listed(db, None, everything=False, limit=9) == [kept]
    assert dead_letters.listed(db, "another", everything=True, limit=9) == []
    assert dead_letters.alive(db) == {kept.id}


def test_a_letter_is_replayed_once(db: sqlite3.Connection, record: SessionRecord) -> None:
    dead_letters.keep(db, letter(record), reply())
    assert dead_letters.replay(db, "id-a", now=8, by="terminal:1")
    assert not dead_letters.replay(db, "id-a", now=9, by="terminal:2")
    assert dead_letters.sessions_with_replays(db) == [record.id]
    dead_letters.went_on(db, "id-a", 1)
    dead_letters.wait(db, "id-a", attempts=1, next_at=70, reason="busy", now=9)
    (found,) = dead_letters.replaying(db, record.id)
    assert (found.part, found.attempts, found.next_at, found.reason) == (1, 1, 70, "busy")
    dead_letters.replayed(db, found, now=10)
    assert dead_letters.sessions_with_replays(db) == [] and dead_letters.alive(db) == set()
    (over,) = dead_letters.by_prefix(db, "id-a")
    assert (over.state, over.changed_at, over.changed_by) == ("replayed", 10, "terminal:1")
    assert dead_letters.content(db, "id-a") is None
    assert not dead_letters.replay(db, "id-a", now=9, by="x")
    assert not dead_letters.drop(db, "id-a", now=9, by="x")


def test_what_is_refused_again_is_kept_again(db: sqlite3.Connection, record: SessionRecord) -> None:
    dead_letters.keep(db, letter(record), reply())
    dead_letters.keep_again(db, "id-a", attempts=9, reason="not replaying", now=1)
    assert dead_letters.by_prefix(db, "id-a")[0].reason == "no"
    dead_letters.replay(db, "id-a", now=8, by="x")
    dead_letters.keep_again(db, "id-a", attempts=2, reason="worse", now=9)
    (found,) = dead_letters.by_prefix(db, "id-a")
    assert (found.state, found.attempts, found.reason) == ("kept", 2, "worse")
    assert dead_letters.content(db, "id-a") == reply()


def test_the_notice_of_a_replayed_letter_is_dropped(db: sqlite3.Connection, record: SessionRecord) -> None:
    dead_letters.keep(db, letter(record), reply())
    said = letter(record, "n", kind="notice", out_id=dead_letters.notice_id("id-a"))
    dead_letters.keep(db, said, reply("n"))
    dead_letters.keep(db, letter(record, "b", kind="notice"), reply("b"))
    dead_letters.replay(db, "id-a", now=8, by="x")
    dead_letters.replayed(db, dead_letters.by_prefix(db, "id-a")[0], now=9)
    assert states(db) == {"id-a": "replayed", "id-n": "dropped", "id-b": "kept"}


def test_the_oldest_beyond_the_count_go(db: sqlite3.Connection, record: SessionRecord) -> None:
    other = sessions.resolve(db, "assistant", THERE, 1000)
    dead_letters.keep(db, letter(other, "other"), reply("other"))
    for number in range(MAX_ALIVE):
        assert dead_letters.keep(db, letter(record, f"{number:03}"), reply()) == []
    dead_letters.replay(db, "id-000", now=8, by="x")
    assert dead_letters.keep(db, letter(record, "new"), reply()) == [], "the oldest is on its way out"
    assert dead_letters.keep(db, letter(record, "newer"), reply()) == ["id-001"]
    found = states(db)
    assert (found["id-000"], found["id-001"], found["id-002"]) == ("replaying", "dropped", "kept")
    assert found["id-other"] == "kept"


def test_the_oldest_beyond_the_bytes_go(db: sqlite3.Connection, record: SessionRecord) -> None:
    def sized(name: str, size: int) -> list[str]:
        return dead_letters.keep(db, letter(record, name, files=(LetterFile("f", "x/y", size),)), reply(name))

    third = dead_letters.MAX_BYTES // 3
    assert [sized(name, third) for name in "abc"] == [[], [], ["id-a"]], "the text counts, too"
    assert sized("large", dead_letters.MAX_BYTES + 1) == ["id-c", "id-b"], "the newest is kept in any case"


def test_the_oldest_are_replayed_first(db: sqlite3.Connection, record: SessionRecord) -> None:
    for name in "abc":
        dead_letters.keep(db, letter(record, name), reply(name))
    dead_letters.drop(db, "id-a", now=8, by="x")
    assert [each.id for each in dead_letters.replay_oldest(db, 1, now=9, by="x")] == ["id-b"]
    assert [each.id for each in dead_letters.replay_oldest(db, 9, now=9, by="x")] == ["id-c"]
    assert [each.id for each in dead_letters.replaying(db, record.id)] == ["id-b", "id-c"]


# ---------------------------------------------------------------- accounts


def accept(db: sqlite3.Connection, record: SessionRecord, name: str, *, trigger: bool = True) -> None:
    inbox.accept(
        db, record, message_id=f"id-{name}", event_id=f"event-{name}", kind="chat", route=record.route,
        content=ChatIn(sender="Ada", text=name), created_at=1, now=2000, trigger=trigger,
    )  # fmt: skip


def book(db: sqlite3.Connection, record: SessionRecord, turn: str, state: str, part: int = 0) -> None:
    deliveries.record(
        db, record.id, f"out-{turn}", part=part, seq=3, state=state, last=True, now=5, turn_id=turn
    )


def test_a_message_is_open_until_its_reply_is_out(db: sqlite3.Connection, record: SessionRecord) -> None:
    accept(db, record, "a")
    accept(db, record, "context", trigger=False)
    assert accounts(db) == Accounts(1, 0, 0, 0, 1)
    inbox.posted(db, ["id-a"])
    assert accounts(db).open == 1
    inbox.settle(db, record.id, ["id-a"], turn_id="t", now=3)
    book(db, record, "t", "waiting")
    assert accounts(db) == Accounts(1, 0, 0, 0, 1)
    book(db, record, "t", "sent")
    assert accounts(db) == Accounts(1, 1, 0, 0, 0)


def test_a_reply_that_was_given_up_is_dead_and_then_not(
    db: sqlite3.Connection, record: SessionRecord
) -> None:
    accept(db, record, "a")
    accept(db, record, "b")
    inbox.settle(db, record.id, ["id-a", "id-b"], turn_id="t", now=3)
    book(db, record, "t", "failed")
    dead_letters.keep(db, letter(record, turn_id="t", answers="event-b"), reply())
    assert accounts(db) == Accounts(2, 0, 0, 2, 0)
    dead_letters.replay(db, "id-a", now=4, by="x")
    assert accounts(db).dead == 2
    book(db, record, "t", "sent")
    dead_letters.replayed(db, dead_letters.by_prefix(db, "id-a")[0], now=5)
    assert accounts(db) == Accounts(2, 2, 0, 0, 0)


def test_a_reply_that_was_dropped_has_failed(db: sqlite3.Connection, record: SessionRecord) -> None:
    accept(db, record, "a")
    inbox.settle(db, record.id, ["id-a"], turn_id="t", now=3)
    book(db, record, "t", "failed")
    dead_letters.keep(db, letter(record, turn_id="t"), reply())
    dead_letters.drop(db, "id-a", now=4, by="x")
    assert accounts(db) == Accounts(1, 0, 1, 0, 0)


def test_a_failure_is_open_until_it_was_said(db: sqlite3.Connection, record: SessionRecord) -> None:
    for name in "abc":
        accept(db, record, name)
    said = deliveries.add_notice(db, record.id, HERE, "Sorry", now=3, answers="event-b")
    inbox.fail(db, record.id, ["id-a", "id-b"], error="Sorry", now=3, notice=said)
    assert accounts(db) == Accounts(3, 0, 0, 0, 3)
    deliveries.record(db, record.id, said, part=0, seq=0, state="failed", last=True, now=4)
    dead_letters.keep(db, letter(record, out_id=said, kind="notice", answers="event-b"), reply())
    assert accounts(db) == Accounts(3, 0, 0, 2, 1), "one notice tells of both"
    dead_letters.drop(db, "id-a", now=4, by="x")
    assert accounts(db) == Accounts(3, 0, 2, 0, 1)


def test_the_accounts_of_one_session_are_not_those_of_another(
    db: sqlite3.Connection, record: SessionRecord
) -> None:
    """A turn is named by a container, which may name it as another one's."""
    other = sessions.resolve(db, "assistant", THERE, 1000)
    accept(db, other, "a")
    inbox.settle(db, other.id, ["id-a"], turn_id="t", now=3)
    book(db, record, "t", "waiting")
    dead_letters.keep(db, letter(record, turn_id="t", answers="event-a"), reply())
    assert accounts(db) == Accounts(1, 1, 0, 0, 0)


def test_every_message_is_in_one_account_whatever_happens(
    db: sqlite3.Connection, record: SessionRecord
) -> None:
    chance = random.Random(7)
    for number in range(300):
        name = str(number)
        accept(db, record, name)
        match chance.randrange(4):
            case 0:
                inbox.settle(db, record.id, [f"id-{name}"], turn_id=chance.choice([None, name]), now=3)
            case 1:
                notice = chance.choice([None, deliveries.add_notice(db, record.id, HERE, "no", now=3)])
                inbox.fail(db, record.id, [f"id-{name}"], error="no", now=3, notice=notice)
        if chance.random() < 0.5:
            book(db, record, name, chance.choice(["waiting", "sent", "failed"]))
        if chance.random() < 0.3:
            dead_letters.keep(db, letter(record, name, turn_id=name, answers=f"event-{name}"), reply(name))
        found = accounts(db)
        assert found.accepted == number + 1
        assert found.delivered + found.failed + found.dead + found.open == found.accepted
    assert min(found.delivered, found.failed, found.dead, found.open) > 0
