"""The numbers that SQLite keeps of what is unfinished, against a count of the rows themselves."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from agent.protocol.messages import ChatIn, Route
from bot.db import backlog, inbox
from bot.db import sessions as rows
from bot.db.engine import Database, open_database

HOMES = [Route(channel="fake", platform_id=f"p{number}") for number in range(3)]


def counted(db: sqlite3.Connection, session_id: str) -> int:
    sql = "SELECT count(*) FROM inbox WHERE session = ? AND state IN ('accepted', 'posted') AND about IS NULL"
    return int(db.execute(sql, (session_id,)).fetchone()[0])


def counted_afterwards(db: sqlite3.Connection, session_id: str) -> int:
    sql = "SELECT count(*) FROM inbox WHERE session = ? AND state IN ('accepted', 'posted') AND about = 2"
    return int(db.execute(sql, (session_id,)).fetchone()[0])


def accept(db: sqlite3.Connection, home: Route, message_id: str, about: int | None) -> None:
    inbox.accept(
        db,
        rows.resolve(db, "assistant", home, 0),
        message_id=message_id,
        event_id=message_id,
        kind="chat",
        content=ChatIn(sender="Ada", text="hello"),
        route=home,
        created_at=0,
        now=0,
        about=about,
    )


async def hold(db: Database) -> int:
    """Compares, and returns how many there are in all."""

    def compare(db: sqlite3.Connection) -> int:
        ids = [row[0] for row in db.execute("SELECT id FROM sessions")]
        assert [backlog.of(db, i) for i in ids] == [counted(db, i) for i in ids]
        assert [backlog.afterwards(db, i) for i in ids] == [counted_afterwards(db, i) for i in ids]
        assert backlog.total(db) == sum(counted(db, i) for i in ids)
        return backlog.total(db)

    return await db.write(compare)


async def test_the_numbers_are_those_of_the_rows_whatever_happens(tmp_path: Path) -> None:
    dice = random.Random(7)
    db = open_database(tmp_path / "bot.db")
    ids: list[str] = []
    for step in range(200):
        if not ids or dice.random() < 0.5:
            ids.append(f"m{step}")
            await db.write(lambda db: accept(db, dice.choice(HOMES), ids[-1], dice.choice([None, 2])))
        else:
            (session,) = await db.read(
                lambda db: db.execute("SELECT session FROM inbox WHERE id = ?", (ids[-1],)).fetchone()
            )
            some, end = dice.sample(ids, min(3, len(ids))), dice.choice(["posted", "settle", "fail", "retry"])

            def work(
                db: sqlite3.Connection, session: str = session, some: list[str] = some, end: str = end
            ) -> None:
                match end:
                    case "posted":
                        inbox.posted(db, some)
                    case "settle":
                        inbox.settle(db, session, some, turn_id=None, now=1)
                    case "retry":
                        inbox.retry(db, some[0], tries=1, process_after=1)
                    case "fail":
                        inbox.settle(db, session, some[:1], turn_id=None, now=1)
                        raise ValueError("all of it is undone")

            if end == "fail":
                with pytest.raises(ValueError, match="undone"):
                    await db.write(work)
            else:
                await db.write(work)
        total = await hold(db)
    assert total
    await db.close()
    db = open_database(tmp_path / "bot.db")
    assert await hold(db) == total
    await db.close()
