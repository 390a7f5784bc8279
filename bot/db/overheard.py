"""The overheard table: what people have said in a place that was not for an agent of it, kept to be told with the next
message that is. It asks for nothing, wakes nobody, and makes no session.

Each row is of one agent at one place, or of one thread of it. Whoever edits or deletes what they have said changes the
row, or takes it away.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from agent.protocol.messages import Route

KEPT: Final = 50
"""The newest so many of an agent at a place are kept."""
MAX_CHARS: Final = 2_000
"""Of one of them; what is longer is cut, and says so."""
MAX_CHARS_TOLD: Final = 20_000
"""Of all that are told at once; what was said longest ago is left out."""
KEPT_MS: Final = 7 * 24 * 3_600_000
"""What is older was said about something else."""
CUT: Final = " [...]"


@dataclass(frozen=True)
class Overheard:
    """A row of overheard."""

    number: int
    event_id: str
    route: Route
    sender_id: str
    sender: str
    text: str
    created_at: int

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Overheard:
        return cls(
            number=row["number"],
            event_id=row["event_id"],
            route=Route(channel=row["channel"], platform_id=row["platform_id"], thread_id=row["thread_id"]),
            sender_id=row["sender_id"],
            sender=row["sender"],
            text=row["text"],
            created_at=row["created_at"],
        )


def keep(
    db: sqlite3.Connection,
    agent: str,
    route: Route,
    *,
    event_id: str,
    sender_id: str,
    sender: str,
    text: str,
    created_at: int,
    now: int,
) -> None:
    """Keeps one more, once however often it is handed in; the oldest makes room."""
    place = (agent, route.channel, route.platform_id, route.thread_id)
    db.execute(
        "INSERT OR IGNORE INTO overheard (agent, channel, platform_id, thread_id, event_id, sender_id, sender, text,"
        " created_at, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*place, event_id, sender_id, sender, cut(text), created_at, now),
    )
    db.execute(
        "DELETE FROM overheard WHERE number IN (SELECT number FROM overheard WHERE agent = ? AND channel = ?"
        " AND platform_id = ? AND thread_id IS ? ORDER BY number DESC LIMIT -1 OFFSET ?)",
        (*place, KEPT),
    )


def at(db: sqlite3.Connection, agent: str, route: Route, *, since: int) -> list[Overheard]:
    """What an agent is to be told of a place, or of a thread, in order: as much of the newest as there is room for in
    MAX_CHARS_TOLD."""
    rows = db.execute(
        "SELECT * FROM overheard WHERE agent = ? AND channel = ? AND platform_id = ? AND thread_id IS ?"
        " AND at >= ? ORDER BY number DESC LIMIT ?",
        (agent, route.channel, route.platform_id, route.thread_id, since, KEPT),
    )
    found: list[Overheard] = []
    room = MAX_CHARS_TOLD
    for each in map(Overheard.from_row, rows):
        room -= len(each.text) + len(each.sender)
        if room < 0:
            break
        found.append(each)
    return found[::-1]


def told(db: sqlite3.Connection, agent: str, route: Route) -> None:
    """The agent knows all of it: the next message there brings what is said from now on."""
    db.execute(
        "DELETE FROM overheard WHERE agent = ? AND channel = ? AND platform_id = ? AND thread_id IS ?",
        (agent, route.channel, route.platform_id, route.thread_id),
    )


def known(db: sqlite3.Connection, channel: str, event_id: str) -> bool:
    """Whether what this event of a channel adapter says is kept."""
    found = db.execute("SELECT 1 FROM overheard WHERE event_id = ? AND channel = ?", (event_id, channel))
    return found.fetchone() is not None


def edit(db: sqlite3.Connection, channel: str, event_id: str, sender_id: str, text: str) -> None:
    """It reads so now, if whoever says so has said it."""
    db.execute(
        "UPDATE overheard SET text = ? WHERE event_id = ? AND channel = ? AND sender_id = ?",
        (cut(text), event_id, channel, sender_id),
    )


def withdraw(db: sqlite3.Connection, channel: str, event_id: str) -> None:
    """It was taken back. Absent is success."""
    db.execute("DELETE FROM overheard WHERE event_id = ? AND channel = ?", (event_id, channel))


def forget(db: sqlite3.Connection, *, before: int) -> int:
    """Forgets what was kept before that time, in epoch milliseconds, and returns how many rows that were."""
    return db.execute("DELETE FROM overheard WHERE at < ?", (before,)).rowcount


def forget_of(db: sqlite3.Connection, channel: str, sender_id: str) -> int:
    """Forgets what a person has said, and returns how many rows that were."""
    gone = db.execute("DELETE FROM overheard WHERE channel = ? AND sender_id = ?", (channel, sender_id))
    return gone.rowcount


def said_by(db: sqlite3.Connection, channel: str, sender_id: str) -> list[Overheard]:
    """What is kept of a person's."""
    rows = db.execute(
        "SELECT * FROM overheard WHERE channel = ? AND sender_id = ? ORDER BY number", (channel, sender_id)
    )
    return [Overheard.from_row(row) for row in rows]


def cut(text: str) -> str:
    """The text as it is kept. Pure."""
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - len(CUT)] + CUT
