"""The deliveries and notices tables: the truth of what went out, part by part."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import TypeAdapter

from agent.protocol.messages import Card, MessageOut, Receipt, Route
from bot.db import tallies

GONE: Final = "it was gone before it could be sent"

PartKind = Literal["text", "file", "question", "card", "edit", "reaction", "action"]


@dataclass(frozen=True)
class Buttons:
    """What is pressed under a notice: the id of a card (bot.cards), what its buttons say, and until when they count, in
    epoch milliseconds."""

    card: str
    labels: tuple[str, ...]
    expires_at: int


@dataclass(frozen=True)
class More:
    """What a notice has besides its text. One that `replaces` other notices of the same session takes the place of what
    they show: their ids, each of which has replaced the ones before. Where none was ever shown, neither is this."""

    buttons: Buttons | None = None
    card: Card | None = None
    replaces: tuple[str, ...] = ()


_MORE: Final = TypeAdapter(More)


@dataclass(frozen=True)
class Notice:
    """Something that the service itself has to say in a channel; kept until it was said."""

    id: str
    route: Route
    text: str
    answers: str | None
    created_at: int
    more: More = More()
    shown_as: tuple[str, ...] = ()
    """The platform's ids of what it replaces."""


@dataclass(frozen=True)
class Progress:
    """How far a message has come: the first part that is still to be sent, and what it took so far."""

    next_part: int = 0
    attempts: int = 0
    next_at: int | None = None
    booked_at: int = 0
    error: str | None = None
    """Why it was given up, if it was."""

    def waits(self, now: int) -> bool:
        """Whether it is not to be sent yet. A clock that shows less than when this was booked was put back
        since, and there is no telling for how long it will."""
        return self.next_at is not None and self.booked_at <= now < self.next_at


def handled(db: sqlite3.Connection, session_id: str, out_ids: Sequence[str]) -> dict[str, Receipt]:
    """The receipts of those of `out_ids` that are delivered or given up."""
    rows = db.execute(
        "SELECT * FROM deliveries WHERE session = ? AND last = 1 AND state != 'waiting'"
        " AND out_id IN (SELECT value FROM json_each(?))",
        (session_id, json.dumps(out_ids)),
    )
    return {row["out_id"]: receipt_of(row) for row in rows}


def ended(db: sqlite3.Connection, session_id: str, out_id: str) -> bool:
    """Whether a message has come to its end."""
    found = db.execute(
        "SELECT 1 FROM deliveries WHERE session = ? AND out_id = ? AND last = 1 AND state != 'waiting'",
        (session_id, out_id),
    )
    return found.fetchone() is not None


def receipts(db: sqlite3.Connection, session_id: str, limit: int) -> list[Receipt]:
    """The newest terminal deliveries of a session, as the agent is told of them."""
    rows = db.execute(
        "SELECT * FROM deliveries WHERE session = ? AND last = 1 AND state != 'waiting' AND seq > 0"
        " ORDER BY seq DESC LIMIT ?",
        (session_id, limit),
    )
    return [receipt_of(row) for row in rows]


def receipt_of(row: sqlite3.Row) -> Receipt:
    """What the agent is told of a terminal row."""
    return Receipt(
        message_out_id=row["out_id"],
        seq=max(1, row["seq"]),
        status=row["state"],
        platform_message_id=row["platform_id"],
        error=row["error"],
        at=row["at"],
    )


def shown_as(db: sqlite3.Connection, platform_id: str, route: Route) -> list[tuple[str, int]]:
    """The sessions that have sent the part of this platform's id to a place, each with the number by which its agent
    knows the message; the newest first. What the service itself has said has no number."""
    rows = db.execute(
        "SELECT session, coalesce(edits, seq) AS number, route FROM deliveries WHERE platform_id = ?"
        " AND state = 'sent' AND route IS NOT NULL AND kind NOT IN ('reaction', 'action') ORDER BY at DESC",
        (platform_id,),
    )
    return [
        (row["session"], row["number"])
        for row in rows
        if row["number"] > 0 and Route.model_validate_json(row["route"]) == route
    ]


def progress(db: sqlite3.Connection, session_id: str, out_id: str) -> Progress:
    """Where to go on with a message."""
    rows = db.execute(
        "SELECT part, state, attempts, next_at, at, error FROM deliveries WHERE session = ? AND out_id = ?",
        (session_id, out_id),
    ).fetchall()
    sent = sum(row["state"] == "sent" for row in rows)
    stopped = next((row for row in rows if row["state"] != "sent"), None)
    if stopped is None:
        return Progress(next_part=sent)
    return Progress(
        next_part=sent,
        attempts=stopped["attempts"],
        next_at=stopped["next_at"],
        booked_at=stopped["at"],
        error=stopped["error"] if stopped["state"] == "failed" else None,
    )


def record(
    db: sqlite3.Connection,
    session_id: str,
    out_id: str,
    *,
    part: int,
    seq: int,
    state: str,
    last: bool,
    now: int,
    attempts: int = 0,
    next_at: int | None = None,
    platform_id: str | None = None,
    error: str | None = None,
    turn_id: str | None = None,
    route: Route | None = None,
    kind: PartKind | None = None,
    edits: int | None = None,
) -> None:
    """What became of one part. `last` marks the part with which the message is over; `edits` is the number of the
    message that this part of an edit belongs to now."""
    place = None if route is None else route.model_dump_json()
    db.execute(
        # A REPLACE would delete the old row behind the back of the tallies.
        "INSERT INTO deliveries (session, out_id, part, seq, state, last, attempts, next_at, platform_id,"
        " error, at, turn_id, route, kind, edits) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (session, out_id, part)"
        " DO UPDATE SET seq = excluded.seq, state = excluded.state, last = excluded.last,"
        " attempts = excluded.attempts, next_at = excluded.next_at, platform_id = excluded.platform_id,"
        " error = excluded.error, at = excluded.at, turn_id = excluded.turn_id, route = excluded.route,"
        " kind = excluded.kind, edits = excluded.edits",
        (
            session_id, out_id, part, seq, state, last, attempts, next_at, platform_id, error, now, turn_id, place,
            kind, edits,
        ),
    )  # fmt: skip
    if last and state != "waiting":
        db.execute("DELETE FROM notices WHERE id = ?", (out_id,))


def expect(db: sqlite3.Connection, session_id: str, replies: Sequence[MessageOut], *, now: int) -> None:
    """These were seen and are still to be sent; one that was begun with is left as it is."""
    db.executemany(
        "INSERT INTO deliveries (session, out_id, part, seq, state, last, next_at, at, turn_id)"
        " VALUES (?, ?, 0, ?, 'waiting', 0, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(session_id, reply.id, reply.seq, now, now, reply.turn_id) for reply in replies],
    )


def expected(db: sqlite3.Connection, session_id: str) -> set[str]:
    """The replies of a session that were seen and are still to be sent."""
    rows = db.execute(
        "SELECT out_id FROM deliveries WHERE session = ? AND state = 'waiting'"
        " AND out_id NOT IN (SELECT id FROM notices WHERE session = deliveries.session)",
        (session_id,),
    )
    return {row["out_id"] for row in rows}


def gone(db: sqlite3.Connection, session_id: str, out_ids: Iterable[str], *, now: int) -> None:
    """These were to be sent, and are not there any more."""
    db.executemany(
        "UPDATE deliveries SET state = 'failed', last = 1, next_at = NULL, error = ?, at = ?"
        " WHERE session = ? AND out_id = ? AND state = 'waiting'",
        [(GONE, now, session_id, out_id) for out_id in out_ids],
    )


def waiting(db: sqlite3.Connection) -> list[tuple[str, int]]:
    """The sessions that have a delivery to retry, and when it is due, the first one first."""
    first: dict[str, int] = {}
    # Grouped by SQLite, it would go through every delivery there ever was, in the order of the sessions.
    for row in db.execute("SELECT session, next_at FROM deliveries WHERE state = 'waiting' ORDER BY next_at"):
        first.setdefault(row["session"], row["next_at"] or 0)
    return list(first.items())


def add_notice(
    db: sqlite3.Connection,
    session_id: str,
    route: Route,
    text: str,
    *,
    now: int,
    answers: str | None = None,
    notice_id: str | None = None,
    more: More | None = None,
) -> str:
    """Keeps a notice until it is delivered like any other message, and returns its id."""
    notice_id = notice_id or new_notice_id()
    content = None if more is None else _MORE.dump_json(more).decode()
    db.execute(
        "INSERT INTO notices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (notice_id, session_id, *_place(route), text, answers, now, content),
    )
    return notice_id


def drop_notice(db: sqlite3.Connection, notice_id: str) -> None:
    """It is not said any more. Absent is success."""
    db.execute("DELETE FROM notices WHERE id = ?", (notice_id,))


def new_notice_id() -> str:
    """No agent can guess it, so that none can write a message of that name."""
    return f"notice-{uuid.uuid4().hex}"


def notices(db: sqlite3.Connection, session_id: str) -> list[Notice]:
    """What the service still has to say for a session, oldest first."""
    rows = db.execute("SELECT * FROM notices WHERE session = ? ORDER BY rowid", (session_id,)).fetchall()
    return [_notice(db, row) for row in rows]


def notice(db: sqlite3.Connection, notice_id: str) -> Notice | None:
    """The notice of this id, if it is still to be said."""
    row = db.execute("SELECT * FROM notices WHERE id = ?", (notice_id,)).fetchone()
    return None if row is None else _notice(db, row)


def _notice(db: sqlite3.Connection, row: sqlite3.Row) -> Notice:
    more = More() if row["content"] is None else _MORE.validate_json(row["content"])
    shown = _shown(db, row["session"], more.replaces)
    return Notice(
        id=row["id"],
        route=Route(channel=row["channel"], platform_id=row["platform_id"], thread_id=row["thread_id"]),
        text=row["text"],
        answers=row["answers"],
        created_at=row["created_at"],
        more=more,
        shown_as=shown,
    )


def _shown(db: sqlite3.Connection, session_id: str, notices: Sequence[str]) -> tuple[str, ...]:
    """By the last of them that came through: one that was given up has left things as they were."""
    for notice_id in reversed(notices):
        rows = db.execute(
            "SELECT platform_id FROM deliveries WHERE session = ? AND out_id = ? AND state = 'sent'"
            " AND platform_id IS NOT NULL ORDER BY part",
            (session_id, notice_id),
        )
        if found := tuple(row["platform_id"] for row in rows):
            return found
    return ()


def is_waiting(db: sqlite3.Connection, session_id: str, text: str) -> bool:
    """Whether a notice of these words is still to be said."""
    found = db.execute("SELECT 1 FROM notices WHERE session = ? AND text = ?", (session_id, text)).fetchone()
    return found is not None


def sessions_with_notices(db: sqlite3.Connection) -> list[str]:
    """The sessions for which something is still to be said."""
    return [row[0] for row in db.execute("SELECT DISTINCT session FROM notices")]


def counts(db: sqlite3.Connection, session_id: str | None = None) -> dict[str, int]:
    """How many messages were sent, failed, or wait for another try; what the host has done itself was not sent."""
    states = ("sent", "failed", "waiting")
    if session_id is None:
        return {state: tallies.of(db, f"deliveries {state}") for state in states}
    found = dict(
        db.execute(
            "SELECT state, count(*) FROM deliveries WHERE session = ? AND (last = 1 OR state = 'waiting')"
            " AND kind IS NOT 'action'"
            " GROUP BY state",
            (session_id,),
        ).fetchall()
    )
    return {state: found.get(state, 0) for state in states}


def _place(route: Route) -> tuple[str, str, str | None]:
    return route.channel, route.platform_id, route.thread_id
