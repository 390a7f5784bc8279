"""The audit table: who has changed what, from where, and what it was before. It is only added to."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from agent.protocol.messages import Route


@dataclass(frozen=True)
class Actor:
    """Who does something, as the surface has set it: `surface` is the channel adapter's name, or "control" for the
    command line, "agent" for an agent (whose name is the id), "roost" for the service itself."""

    id: str
    name: str
    surface: str
    route: Route | None = None
    groups: tuple[str, ...] = ()
    """The platform's own groups that they are in, as far as it has told."""

    @property
    def remembered(self) -> dict[str, Any]:
        """As JSON can hold it, for what is done in their name later."""
        return {"id": self.id, "name": self.name, "surface": self.surface, "groups": list(self.groups)}


SERVICE = Actor("roost", "Roost", "roost")
"""What nobody has asked for, such as something that expires."""


@dataclass(frozen=True)
class Entry:
    """A row of audit. `at` is in epoch milliseconds; `before` and `after` are what was changed, as JSON can hold it."""

    number: int
    at: int
    actor: str
    actor_name: str
    surface: str
    platform_id: str | None
    thread_id: str | None
    action: str
    subject: str
    agent: str | None
    before: Any
    after: Any

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Entry:
        found = dict(row)
        for key in ("before", "after"):
            found[key] = None if found[key] is None else json.loads(found[key])
        return cls(**found)


def record(
    db: sqlite3.Connection,
    actor: Actor,
    action: str,
    subject: str,
    *,
    now: int,
    agent: str | None = None,
    before: Any = None,
    after: Any = None,
) -> None:
    """Adds a row, in the transaction that makes the change. `action` is the command's name ("agent set"), `subject`
    what it was done to ("agent:helper"), `before` and `after` JSON values without secrets in them."""
    db.execute(
        "INSERT INTO audit (at, actor, actor_name, surface, platform_id, thread_id, action, subject, agent, before,"
        " after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            now,
            actor.id,
            actor.name,
            actor.surface,
            None if actor.route is None else actor.route.platform_id,
            None if actor.route is None else actor.route.thread_id,
            action,
            subject,
            agent,
            None if before is None else json.dumps(before),
            None if after is None else json.dumps(after),
        ),
    )


def newest(db: sqlite3.Connection, limit: int) -> list[Entry]:
    """The newest rows, newest first."""
    return [
        Entry.from_row(row)
        for row in db.execute("SELECT * FROM audit ORDER BY number DESC LIMIT ?", (limit,))
    ]
