"""How much is unfinished, for each session and for all: known without counting.

SQLite keeps the numbers itself, in a table of the writer's own that lives in memory. So they change with the
transaction that changes the inbox, or not at all, whoever it is that writes.
"""

from __future__ import annotations

import sqlite3
from typing import Final

_ALL: Final = ""
"""Stands for all sessions together; no session has this id."""
_AFTERWARDS: Final = "~"
"""Stands before the id of a session, for the rows that tell of other messages: those ask for nothing, and however many
there are, they must not keep anybody from being answered."""
_UNFINISHED: Final = "state IN ('accepted', 'posted')"
_TOLD: Final = "kind = 'chat' AND {row}trigger = 0"
"""What people have said that was not for the agent: nobody waits for an answer to it."""
_WATCH: Final = (
    "PRAGMA temp_store = MEMORY",
    "CREATE TEMP TABLE backlog (session TEXT PRIMARY KEY, unfinished INTEGER NOT NULL) WITHOUT ROWID",
    f"INSERT INTO backlog SELECT iif(about IS NULL, '', '{_AFTERWARDS}') || session AS key, count(*) FROM inbox"
    f" WHERE {_UNFINISHED} AND NOT ({_TOLD.format(row='')}) GROUP BY key",
    f"INSERT INTO backlog SELECT '{_ALL}', count(*) FROM inbox WHERE {_UNFINISHED} AND about IS NULL"
    f" AND NOT ({_TOLD.format(row='')})",
    f"""CREATE TEMP TRIGGER backlog_grows AFTER INSERT ON main.inbox
WHEN new.{_UNFINISHED} AND NOT (new.{_TOLD.format(row="new.")}) BEGIN
    INSERT INTO backlog VALUES (iif(new.about IS NULL, '', '{_AFTERWARDS}') || new.session, 1),
        ('{_ALL}', new.about IS NULL)
    ON CONFLICT (session) DO UPDATE SET unfinished = unfinished + excluded.unfinished;
END""",
    f"""CREATE TEMP TRIGGER backlog_shrinks AFTER UPDATE OF state ON main.inbox
WHEN old.{_UNFINISHED} AND NOT new.{_UNFINISHED} AND NOT (old.{_TOLD.format(row="old.")}) BEGIN
    UPDATE backlog SET unfinished = unfinished - 1
    WHERE session = iif(old.about IS NULL, '', '{_AFTERWARDS}') || old.session
        OR (session = '{_ALL}' AND old.about IS NULL);
    DELETE FROM backlog
    WHERE session = iif(old.about IS NULL, '', '{_AFTERWARDS}') || old.session AND unfinished = 0;
END""",
)


def watch(db: sqlite3.Connection) -> None:
    """Counts once, and from then on keeps count of what this connection writes. Raises sqlite3.Error."""
    for statement in _WATCH:
        db.execute(statement)


def of(db: sqlite3.Connection, session_id: str) -> int:
    """How many unfinished messages a session has, and orders, and answers. Only within `Database.write`."""
    row = db.execute("SELECT unfinished FROM backlog WHERE session = ?", (session_id,)).fetchone()
    return 0 if row is None else int(row[0])


def total(db: sqlite3.Connection) -> int:
    """How many there are in all. Only within `Database.write`."""
    return of(db, _ALL)


def afterwards(db: sqlite3.Connection, session_id: str) -> int:
    """How many unfinished rows of a session tell of other messages. Only within `Database.write`."""
    return of(db, _AFTERWARDS + session_id)
