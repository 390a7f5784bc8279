"""The errands table: what agents have said to each other, how far from the person who began it, and on whose behalf."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from agent.protocol.messages import Route


@dataclass(frozen=True)
class Errand:
    """A row of errands: the event by which one agent's message reached another's session. `hops` counts the messages
    between agents up to this one; `route` is where the sender was asked, and where what comes back is answered.
    `began` is the place of the person who began it, and `person` the platform's own id of them, where there is one."""

    event_id: str
    sender: str
    receiver: str
    hops: int
    route: Route
    began: Route
    person: str | None
    at: int

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Errand:
        return cls(
            row["event_id"],
            row["sender"],
            row["receiver"],
            row["hops"],
            Route(channel=row["channel"], platform_id=row["platform_id"], thread_id=row["thread_id"]),
            Route(
                channel=row["began_channel"],
                platform_id=row["began_platform_id"],
                thread_id=row["began_thread_id"],
            ),
            row["person"],
            row["at"],
        )


def add(db: sqlite3.Connection, errand: Errand) -> None:
    """Keeps one, in the transaction that accepts its message."""
    db.execute(
        "INSERT INTO errands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(errand.event_id, errand.sender, errand.receiver, errand.hops),
            *(errand.route.channel, errand.route.platform_id, errand.route.thread_id),
            *(errand.began.channel, errand.began.platform_id, errand.began.thread_id),
            *(errand.person, errand.at),
        ),
    )


def get(db: sqlite3.Connection, event_id: str | None) -> Errand | None:
    """The errand that this event is, if it is one."""
    row = db.execute("SELECT * FROM errands WHERE event_id = ?", (event_id,)).fetchone()
    return None if row is None else Errand.from_row(row)


def newest(db: sqlite3.Connection, receiver: str) -> Errand | None:
    """What another agent has said last in this session."""
    row = db.execute(
        "SELECT * FROM errands WHERE receiver = ? ORDER BY at DESC, rowid DESC LIMIT 1", (receiver,)
    ).fetchone()
    return None if row is None else Errand.from_row(row)


def count(db: sqlite3.Connection, sender: str, receiver: str, since: int) -> int:
    """How many one session has sent to another since then."""
    row = db.execute(
        "SELECT count(*) FROM errands WHERE sender = ? AND receiver = ? AND at >= ?",
        (sender, receiver, since),
    ).fetchone()
    return int(row[0])


def origin(db: sqlite3.Connection, session_id: str) -> Route | None:
    """The place of the person for whom an agent works in this session, at other agents' asking; None where people
    speak there themselves."""
    found = newest(db, session_id)
    return None if found is None else found.began


def forget(db: sqlite3.Connection, before: int) -> None:
    """Of those that are older nobody asks any more."""
    db.execute("DELETE FROM errands WHERE at < ?", (before,))
