"""Sessions that nobody has yet: rows of the sessions table in a place of their own, until somebody takes one."""

from __future__ import annotations

import secrets
import sqlite3
from typing import Final

from agent.protocol.messages import Route

POOL: Final = "(pool)"
"""The channel of a session without a conversation. No adapter can have this name. It stands in the text of each query,
or else SQLite would not use the index that holds only these."""


def make(db: sqlite3.Connection, agent: str, *, now: int) -> str:
    """One more, and its id."""
    session_id = secrets.token_hex(5)
    db.execute(
        "INSERT INTO sessions (id, agent, channel, platform_id, created_at, last_active) VALUES (?, ?, ?, ?, ?, ?)",
        (session_id, agent, POOL, session_id, now, now),
    )
    return session_id


def take(db: sqlite3.Connection, agent: str, route: Route, *, now: int) -> str | None:
    """Gives the oldest one with a living container to the conversation at `route`, and returns its id; None: there
    is none. Nobody else can get it: the row says whose it is, in the transaction of the first message."""
    row = db.execute(
        "UPDATE sessions SET channel = ?, platform_id = ?, thread_id = ?, created_at = ?, last_active = ?"
        f" WHERE id = (SELECT id FROM sessions WHERE channel = '{POOL}' AND agent = ? AND awake = 1"
        " ORDER BY created_at, id LIMIT 1) RETURNING id",
        (route.channel, route.platform_id, route.thread_id, now, now, agent),
    ).fetchone()
    return None if row is None else str(row["id"])


def waiting(db: sqlite3.Connection) -> list[str]:
    """The ids of those that nobody has."""
    return [str(row["id"]) for row in db.execute(f"SELECT id FROM sessions WHERE channel = '{POOL}'")]


def drop(db: sqlite3.Connection, session_id: str) -> bool:
    """Forgets one, unless somebody has it by now."""
    gone = db.execute("DELETE FROM sessions WHERE id = ? AND channel = ?", (session_id, POOL))
    return gone.rowcount > 0
