"""The egress table: hosts that admins have let an agent reach, one session of it, or one session once. And what has
been begun of effects that can be had only once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ONCE_MS: Final = 600_000
"""So long after it was granted one connection may be made."""
EVERY_SESSION: Final = ""


@dataclass(frozen=True)
class Granted:
    """A row of egress. `host` is a name or `*.domain`, `session` EVERY_SESSION for all of the agent's; `once`: for one
    connection within ONCE_MS."""

    agent: str
    session: str
    host: str
    ports: Sequence[int]
    once: bool
    granted_at: int

    @property
    def patterns(self) -> list[str]:
        """As an allow-list has it."""
        return [f"{self.host}:{port}" for port in self.ports]

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Granted:
        return cls(
            row["agent"],
            row["session"],
            row["host"],
            tuple(json.loads(row["ports"])),
            bool(row["once"]),
            row["granted_at"],
        )


def grant(db: sqlite3.Connection, granted: Granted) -> None:
    """Keeps it. What was granted for good is not narrowed by what is granted once."""
    before = db.execute(
        "SELECT * FROM egress WHERE agent = ? AND session = ? AND host = ? AND once = ?",
        (granted.agent, granted.session, granted.host, granted.once),
    ).fetchone()
    ports = sorted({*granted.ports, *(() if before is None or granted.once else json.loads(before["ports"]))})
    db.execute(
        "INSERT OR REPLACE INTO egress VALUES (?, ?, ?, ?, ?, ?)",
        (
            *(granted.agent, granted.session, granted.host),
            *(json.dumps(ports), granted.once, granted.granted_at),
        ),
    )


def of(db: sqlite3.Connection, agent: str, session: str, *, now: int) -> list[Granted]:
    """What counts for a session now, that for good first."""
    rows = db.execute(
        "SELECT * FROM egress WHERE agent = ? AND session IN ('', ?) AND (once = 0 OR granted_at > ?)"
        " ORDER BY once, host",
        (agent, session, now - ONCE_MS),
    )
    return [Granted.from_row(row) for row in rows]


def listed(db: sqlite3.Connection, agent: str, *, now: int) -> list[Granted]:
    """All that an agent was granted and that counts still, for its admins."""
    rows = db.execute(
        "SELECT * FROM egress WHERE agent = ? AND (once = 0 OR granted_at > ?) ORDER BY host, session, once",
        (agent, now - ONCE_MS),
    )
    return [Granted.from_row(row) for row in rows]


def use_up(db: sqlite3.Connection, granted: Granted) -> bool:
    """Takes away what was for one connection; False when that was used already."""
    gone = db.execute(
        "DELETE FROM egress WHERE agent = ? AND session = ? AND host = ? AND once = 1 AND granted_at = ?",
        (granted.agent, granted.session, granted.host, granted.granted_at),
    )
    return gone.rowcount == 1


def revoke(db: sqlite3.Connection, agent: str, host: str) -> int:
    """Takes away all that the agent was granted for a host; how much that was."""
    return db.execute("DELETE FROM egress WHERE agent = ? AND host = ?", (agent, host)).rowcount


def begin(db: sqlite3.Connection, approval: str, *, now: int) -> bool:
    """Marks an effect as begun that must not be had twice; False when an earlier service has begun with it."""
    done = db.execute("INSERT OR IGNORE INTO begun VALUES (?, ?)", (approval, now))
    return done.rowcount == 1
