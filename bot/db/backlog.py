"""How much is unfinished, for each session and for all: known without counting.

SQLite keeps the numbers itself, in a table of the writer's own that lives in memory. So they change with the
transaction that changes the inbox, or not at all, whoever it is that writes.
"""

from __future__ import annotations

import sqlite3
from typing import Final

_ALL: Final = ""
"""Stands for all sessions together; no session has this id."""
_UNFINISHED: Final = "state IN ('accepted', 'posted')"
_WATCH: Final = (
    "PRAGMA temp_store = MEMORY",
    "CREATE TEMP TABLE backlog (session TEXT PRIMARY KEY, unfinished INTEGER NOT NULL) WITHOUT ROWID",
    f"INSERT INTO backlog SELECT session, count(*) FROM inbox WHERE {_UNFINISHED} GROUP BY session",
    f"INSERT INTO backlog SELECT '{_ALL}', count(*) FROM inbox WHERE {_UNFINISHED}",
    f"""CREATE TEMP TRIGGER backlog_grows AFTER INSERT ON main.inbox WHEN new.{_UNFINISHED} BEGIN
    INSERT INTO backlog VALUES (new.session, 1), ('{_ALL}', 1)
    ON CONFLICT (session) DO UPDATE SET unfinished = unfinished + 1;
END""",
    f"""CREATE TEMP TRIGGER backlog_shrinks AFTER UPDATE OF state ON main.inbox
WHEN old.{_UNFINISHED} AND NOT new.{_UNFINISHED} BEGIN
    UPDATE backlog SET unfinished = unfinished - 1 WHERE session IN (old.session, '{_ALL}');
    DELETE FROM backlog WHERE session = old.session AND unfinished = 0;
END""",
)


def watch(db: sqlite3.Connection) -> None:
    """Counts once, and from then on keeps count of what this connection writes. Raises sqlite3.Error."""
    for statement in _WATCH:
        db.execute(statement)


def of(db: sqlite3.Connection, session_id: str) -> int:
    """How many unfinished messages a session has. Only within `Database.write`."""
    row = db.execute("SELECT unfinished FROM backlog WHERE session = ?", (session_id,)).fetchone()
    return 0 if row is None else int(row[0])


def total(db: sqlite3.Connection) -> int:
    """How many there are in all. Only within `Database.write`."""
    return of(db, _ALL)
