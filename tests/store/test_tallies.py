"""The tallies are what counting would say, whatever is written."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

from agent.protocol.messages import ChatIn, Route
from bot.db import deliveries, inbox, sessions
from bot.db.accounts import accounts
from bot.db.engine import migrate
from bot.db.migrations import MIGRATIONS
from bot.db.reader import connect

HERE = Route(channel="slack", platform_id="C1")
COUNTED = {
    "inbox": "SELECT state, count(*) FROM inbox WHERE kind != 'chat' OR trigger = 1 GROUP BY state",
    "deliveries": "SELECT state, count(*) FROM deliveries WHERE last = 1 OR state = 'waiting' GROUP BY state",
}


def check(db: sqlite3.Connection) -> None:
    for table, told in (("inbox", inbox.counts(db)), ("deliveries", deliveries.counts(db))):
        counted = {row[0]: row[1] for row in db.execute(COUNTED[table])}
        assert {state: count for state, count in told.items() if count} == counted
    (asked,) = db.execute("SELECT count(*) FROM inbox WHERE trigger = 1").fetchone()
    assert accounts(db).accepted == asked


def write(db: sqlite3.Connection, chance: random.Random, number: int) -> None:
    """Something that happens to some message."""
    record = sessions.resolve(db, "assistant", HERE, 1)
    some = f"m{chance.randrange(number + 1)}"
    match chance.randrange(8):
        case 0 | 1:
            inbox.accept(
                db, record, message_id=f"m{number}", event_id=f"e{number}", kind="chat",
                content=ChatIn(sender="Ada", text="hello"), route=HERE, created_at=1, now=1,
                trigger=chance.random() < 0.8,
            )  # fmt: skip
        case 2:
            inbox.posted(db, [some])
        case 3:
            inbox.settle(db, record.id, [some], turn_id=some, now=2)
        case 4:
            inbox.fail(db, record.id, [some], error="no", now=2)
        case 5 | 6:
            deliveries.record(
                db, record.id, f"out-{some}", part=chance.randrange(2), seq=1, turn_id=some, now=3,
                state=chance.choice(["waiting", "sent", "failed"]), last=chance.random() < 0.5,
            )  # fmt: skip
        case 7:
            db.execute(f"DELETE FROM {chance.choice(['inbox', 'deliveries'])} WHERE turn_id = ?", (some,))


def test_they_are_what_counting_would_say(tmp_path: Path) -> None:
    chance = random.Random(3)
    (tmp_path / "bot.db").touch()
    with closing(connect(tmp_path / "bot.db", mode="rw")) as db:
        migrate(db, 0)
        for number in range(400):
            write(db, chance, number)
            check(db)


def test_what_an_older_service_has_written_is_counted(tmp_path: Path) -> None:
    chance = random.Random(4)
    (tmp_path / "bot.db").touch()
    with closing(connect(tmp_path / "bot.db", mode="rw")) as db:
        migrate(db, 0)
        for number in range(100):
            write(db, chance, number)
        # No older service has told an agent what was not for it.
        db.execute("DELETE FROM inbox WHERE kind = 'chat' AND trigger = 0")
        db.execute("DELETE FROM tallies")
        # What the migration itself does with the rows that it finds.
        (statements,) = (each for each in MIGRATIONS if "CREATE TABLE tallies" in each[0])
        for statement in statements:
            if statement.startswith("INSERT"):
                db.execute(statement)
        check(db)
