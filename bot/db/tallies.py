"""The tallies table: how many rows there are of a kind, known without counting. Triggers keep it."""

from __future__ import annotations

import sqlite3


def of(db: sqlite3.Connection, name: str) -> int:
    """How many of that name there are: `asked`, `inbox STATE` or `deliveries STATE`."""
    row = db.execute("SELECT count FROM tallies WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])
