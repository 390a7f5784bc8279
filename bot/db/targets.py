"""What an agent means by a number: one of its own messages, as it stands on the platform now, or a person's."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.protocol.messages import Route
from bot.db import inbox


@dataclass(frozen=True)
class Own:
    """A message of the agent's. `ids` are the platform's of the parts that hold its text, `first` of the part that
    people see first; None where the platform gave none. `route` is None for one from before it was kept."""

    state: Literal["waiting", "sent", "failed"]
    route: Route | None
    ids: tuple[str, ...]
    first: str | None
    is_message: bool


@dataclass(frozen=True)
class Theirs:
    """A message of a person's."""

    route: Route
    event_id: str


def find(db: sqlite3.Connection, session_id: str, number: int, *, by: str) -> Own | Theirs | None:
    """What `number` means in this session, for the message_out `by` which says so: what that one has done already
    is left out of it, so that a second try finds what the first one found."""
    if number % 2:
        return _own(db, session_id, number, by)
    entry = inbox.numbered(db, session_id, number)
    if entry is None or entry.message.kind != "chat":
        return None
    return Theirs(entry.message.route, entry.message.event_id)


def came_from(db: sqlite3.Connection, session_id: str, route: Route) -> bool:
    """Whether its agent was ever asked for something there: what it was only told of asks for nothing."""
    found = db.execute(
        "SELECT 1 FROM inbox WHERE session = ? AND channel = ? AND platform_id = ? AND thread_id IS ?"
        " AND trigger = 1 LIMIT 1",
        (session_id, route.channel, route.platform_id, route.thread_id),
    )
    return found.fetchone() is not None


def _own(db: sqlite3.Connection, session_id: str, number: int, by: str) -> Own | None:
    newest = db.execute(
        "SELECT out_id FROM deliveries WHERE session = ? AND seq = ? AND out_id != ? ORDER BY at DESC LIMIT 1",
        (session_id, number, by),
    ).fetchone()
    if newest is None:
        return None
    rows = db.execute(
        "SELECT * FROM deliveries WHERE session = ? AND out_id = ? ORDER BY part", (session_id, newest[0])
    ).fetchall()
    last = rows[-1]
    sent = [row for row in rows if row["state"] == "sent"]
    route = last["route"] and Route.model_validate_json(last["route"])
    return Own(
        state="waiting" if last["state"] == "sent" and not last["last"] else last["state"],
        route=route,
        ids=_ids(db, session_id, number, by, [row["platform_id"] for row in sent if row["kind"] == "text"]),
        first=next((row["platform_id"] for row in sent), None),
        is_message=any(row["kind"] in ("text", "file", "question", "card") for row in rows),
    )


def _ids(
    db: sqlite3.Connection, session_id: str, number: int, by: str, first: Sequence[str | None]
) -> tuple[str, ...]:
    """The ids after every edit so far: each has replaced the parts that it found, taken some away, added others."""
    ids = [each for each in first if each is not None]
    edits: dict[str, list[tuple[int, str | None]]] = {}
    for row in db.execute(
        "SELECT out_id, part, platform_id FROM deliveries WHERE session = ? AND edits = ? AND out_id != ?"
        " AND state = 'sent' ORDER BY seq, out_id, part",
        (session_id, number, by),
    ):
        edits.setdefault(row["out_id"], []).append((row["part"], row["platform_id"]))
    for parts in edits.values():
        now: dict[int, str | None] = {**dict(enumerate(ids)), **dict(parts)}
        ids = [each for _, each in sorted(now.items()) if each is not None]
    return tuple(ids)
