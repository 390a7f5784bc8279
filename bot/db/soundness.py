"""Whether a bot.db is whole, and of our making."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from typing import Final

from bot.db.migrations import MIGRATIONS

_SCHEMA: Final = "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('table', 'view', 'trigger')"


def is_ours(db: sqlite3.Connection, version: int) -> bool:
    """Whether it has the tables of this version and nothing of somebody else's that could run. Raises
    sqlite3.Error."""
    return frozenset(map(tuple, db.execute(_SCHEMA))) == _schema(version)


def fault(db: sqlite3.Connection) -> str | None:
    """What is wrong with a bot.db of the newest version, if anything is. Raises sqlite3.Error."""
    found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        return found
    return None if is_ours(db, len(MIGRATIONS)) else "its tables are not those of Roost"


@cache
def _schema(version: int) -> frozenset[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:")) as db:
        for group in MIGRATIONS[:version]:
            for statement in group:
                db.execute(statement)
        return frozenset(db.execute(_SCHEMA))
