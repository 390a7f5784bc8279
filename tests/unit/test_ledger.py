"""Writes that belong together."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bot.errors import DatabaseError
from bot.ledger import Ledger
from tests.fakes.rooms import room


async def test_what_the_disk_refused_is_still_to_be_written(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        done: list[str] = []
        books = session.books
        await books.db.write(lambda db: db.execute("PRAGMA max_page_count = 1").fetchall())
        books.add(_mark, lambda: done.append("then"))
        with pytest.raises(DatabaseError):
            await books.commit()
        assert books and not done
        await books.db.write(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchall())
        await books.commit()
        assert not books and done == ["then"]
        assert await books.db.read(lambda db: db.execute("SELECT id FROM notices").fetchall())


async def test_a_write_that_can_never_succeed_is_dropped_with_its_company(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        books, done = session.books, list[str]()
        books.add(_mark, lambda: done.append("first"))
        books.add(lambda db: db.execute("INSERT INTO nowhere VALUES (1)"))
        with pytest.raises(sqlite3.OperationalError):
            await books.commit()
        assert not books and not done
        assert not await books.db.read(lambda db: db.execute("SELECT id FROM notices").fetchall())


async def test_what_is_added_during_a_commit_waits_for_the_next(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        done: list[str] = []
        books = Ledger(session.books.db)
        books.add(_mark, lambda: books.add(_mark, lambda: done.append("second")))
        await books.commit()
        assert books and not done
        await books.commit()
        assert done == ["second"]


def _mark(db: sqlite3.Connection) -> None:
    (session,) = db.execute("SELECT id FROM sessions").fetchone()
    db.execute(
        "INSERT INTO notices VALUES (hex(randomblob(8)), ?, 'fake', 'p1', NULL, ?, NULL, 0, NULL)",
        (session, "x" * 100_000),
    )
