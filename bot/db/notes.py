"""The notes table: what adapters remember beyond a restart, as texts by keys."""

from __future__ import annotations

import sqlite3


def get(db: sqlite3.Connection, key: str) -> str | None:
    """The text, where there is one."""
    row = db.execute("SELECT text FROM notes WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row["text"])


def all_of(db: sqlite3.Connection, prefix: str) -> dict[str, str]:
    """Those whose keys begin so."""
    rows = db.execute("SELECT key, text FROM notes WHERE key >= ?1 AND key < ?1 || char(1114111)", (prefix,))
    return {row["key"]: row["text"] for row in rows}


def put(db: sqlite3.Connection, key: str, text: str, *, now: int) -> None:
    """In the place of what was there."""
    db.execute(
        "INSERT INTO notes VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET text = ?2, at = ?3",
        (key, text, now),
    )


def drop(db: sqlite3.Connection, key: str) -> None:
    """Absent is success."""
    db.execute("DELETE FROM notes WHERE key = ?", (key,))
