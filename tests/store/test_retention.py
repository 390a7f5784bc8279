"""What bot.db forgets, and what it must not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.messages import Route
from bot.db import engine, retention, sessions
from bot.db.accounts import accounts
from bot.db.engine import open_database
from bot.db.retention import BATCH_ROWS, NUMBERS_KEPT
from bot.history import History

HERE = Route(channel="fake", platform_id="p1")
NOW = 1_800_000_000_000
OLD = NOW - 31 * 86_400_000
BEFORE = NOW - 30 * 86_400_000


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        engine.migrate(db, 0)
        yield db


@pytest.fixture
def session(db: sqlite3.Connection) -> str:
    return _session(db)


def _session(db: sqlite3.Connection) -> str:
    made = sessions.resolve(db, "assistant", HERE, 1).id
    db.execute("UPDATE sessions SET last_in_seq = 10000, last_out_seq = 10001")
    return made


def insert(db: sqlite3.Connection, table: str, **columns: Any) -> None:
    names, marks = ", ".join(columns), ", ".join(f":{name}" for name in columns)
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", columns)


def message(db: sqlite3.Connection, session: str, name: str, **columns: Any) -> None:
    seq = db.execute("SELECT coalesce(max(seq), 0) + 2 FROM inbox WHERE seq < 5000").fetchone()[0]
    row = {
        "id": name, "event_id": f"event-{name}", "session": session, "seq": seq, "kind": "chat", "trigger": 1,
        "state": "done", "created_at": OLD, "accepted_at": OLD, "settled_at": OLD, "channel": "fake",
        "platform_id": "p1", "content": "{}", "turn_id": f"turn-{name}",
    }  # fmt: skip
    insert(db, "inbox", **{**row, **columns})


def delivery(db: sqlite3.Connection, session: str, name: str, **columns: Any) -> None:
    row = {"session": session, "out_id": name, "part": 0, "seq": 1, "state": "sent", "last": 1, "at": OLD}
    insert(db, "deliveries", **{**row, **columns})


def letter(db: sqlite3.Connection, session: str, name: str, **columns: Any) -> None:
    row = {
        "id": name, "session": session, "out_id": f"out-{name}", "seq": 1, "kind": "reply", "channel": "fake",
        "platform_id": "p1", "content": "{}", "files": "[]", "bytes": 2, "part": 0, "reason": "no", "attempts": 1,
        "state": "kept", "created_at": OLD,
    }  # fmt: skip
    insert(db, "dead_letters", **{**row, **columns})


def question(db: sqlite3.Connection, session: str, name: str, **columns: Any) -> None:
    row = {
        "id": name, "session": session, "out_id": "o", "channel": "fake", "platform_id": "p1", "title": "t",
        "question": "q", "options": "[]", "state": "open", "asked_at": OLD, "expires_at": OLD,
    }  # fmt: skip
    insert(db, "questions", **{**row, **columns})


def prune(db: sqlite3.Connection) -> None:
    for table in retention.TABLES:
        retention.forget(db, table, retention.over(db, table, after=0, before=BEFORE).rows)


def left(db: sqlite3.Connection, table: str, column: str = "id") -> set[str]:
    return {row[0] for row in db.execute(f"SELECT {column} FROM {table}")}


def test_messages_are_forgotten_that_nothing_asks_for(db: sqlite3.Connection, session: str) -> None:
    message(db, session, "done")
    message(db, session, "given up", state="failed")
    message(db, session, "open", state="posted", settled_at=None)
    message(db, session, "of late", settled_at=BEFORE)
    message(db, session, "newest", seq=10_000 - NUMBERS_KEPT + 2)
    message(db, session, "traced")
    insert(db, "traces", message_id="traced", marks="[]")
    message(db, session, "its reply is dead")
    letter(db, session, "l1", turn_id="turn-its reply is dead")
    message(db, session, "its answer is dead")
    letter(db, session, "l2", answers="event-its answer is dead")
    message(db, session, "its notice is dead", notice="out-l3", state="failed")
    letter(db, session, "l3")
    message(db, session, "its reply waits")
    delivery(db, session, "o", state="waiting", turn_id="turn-its reply waits")
    message(db, session, "to be said", notice="n", state="failed")
    insert(db, "notices", id="n", session=session, channel="fake", platform_id="p1", text="t", created_at=OLD)
    prune(db)
    everything = {"open", "of late", "newest", "traced", "its reply is dead", "its answer is dead"}
    assert left(db, "inbox") == everything | {"its notice is dead", "its reply waits", "to be said"}


def test_deliveries_are_forgotten_that_no_outbox_holds(db: sqlite3.Connection, session: str) -> None:
    delivery(db, session, "sent")
    delivery(db, session, "a notice", seq=0)
    delivery(db, session, "of late", at=BEFORE)
    delivery(db, session, "waits", state="waiting")
    delivery(db, session, "newest", seq=10_001 - NUMBERS_KEPT + 2)
    delivery(db, session, "out of line", seq=2**53, state="failed")
    delivery(db, session, "later than the backup", seq=10_777, state="failed")
    delivery(db, session, "nobody asked", state="failed", turn_id="unknown")
    delivery(db, session, "dead", state="failed")
    letter(db, session, "l", out_id="dead")
    prune(db)
    assert left(db, "deliveries", "out_id") == {"of late", "waits", "newest", "later than the backup", "dead"}


def test_the_account_of_a_message_stays_as_it_is(db: sqlite3.Connection, session: str) -> None:
    for number in range(3):
        message(db, session, f"kept{number}", seq=9_000 + 2 * number)
        message(db, session, f"gone{number}")
    for name in ("kept1", "gone1"):
        delivery(db, session, f"to {name}", state="failed", turn_id=f"turn-{name}")
    before = accounts(db)
    assert (before.delivered, before.failed) == (4, 2)
    prune(db)
    prune(db)
    after = accounts(db)
    assert (after.delivered, after.failed) == (2, 1)
    assert left(db, "deliveries", "out_id") == {"to kept1"}


def test_questions_letters_and_runs_are_forgotten_when_they_are_over(
    db: sqlite3.Connection, session: str
) -> None:
    question(db, session, "answered", state="answered", expires_at=NOW)
    question(db, session, "over")
    question(db, session, "open", expires_at=NOW)
    letter(db, session, "kept")
    letter(db, session, "dropped", state="dropped", content=None, changed_at=OLD)
    letter(db, session, "of late", state="replayed", content=None, changed_at=NOW)
    insert(
        db, "series", id="s", session=session, prompt="p", recurrence="{}", catch_up="once", status="paused",
        failures=0, max_failures=3, created_by="Ada", created_at=1,
    )  # fmt: skip
    for number, (state, settled) in enumerate([("done", OLD), ("running", None), ("failed", NOW)]):
        insert(
            db, "runs", series_id="s", due_at=number, message_id=state, manual=0, state=state, started_at=OLD,
            settled_at=settled,
        )  # fmt: skip
    prune(db)
    assert left(db, "questions") == {"open"}
    assert left(db, "dead_letters") == {"kept", "of late"}
    assert left(db, "runs", "state") == {"running", "failed"}


async def test_a_long_history_is_forgotten_in_small_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.history.PAUSE_SECONDS", 0)
    steps: list[int] = []
    forget = retention.forget

    def counted(db: sqlite3.Connection, table: str, rows: list[int]) -> int:
        steps.append(len(rows))
        return forget(db, table, rows)

    monkeypatch.setattr(retention, "forget", counted)
    db = open_database(tmp_path / "bot.db")

    def fill(connection: sqlite3.Connection) -> None:
        session = _session(connection)
        for number in range(3 * BATCH_ROWS):
            delivery(connection, session, f"old{number}")
        for number in range(BATCH_ROWS):
            delivery(connection, session, f"new{number}", at=NOW)

    try:
        await db.write(fill)
        history = History(db, 30, clock=lambda: NOW)
        assert await history.prune() == 3 * BATCH_ROWS
        assert steps == [BATCH_ROWS] * 3
        assert await history.prune() == 0
    finally:
        await db.close()
