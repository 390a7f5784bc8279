"""What a database says of its own schema, to be compared with what it should say."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Final

STORED: Final = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
"""What a file says of its own tables and indexes."""


def as_stored(statements: Iterable[str]) -> frozenset[tuple[str, str, str, str | None]]:
    """What STORED finds in a file that was made by these statements."""
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in statements:
            db.execute(statement)
        return frozenset(db.execute(STORED))
