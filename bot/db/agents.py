"""The agents and destinations tables: what admins have set in the chat, in place of config.toml or beside it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.protocol.messages import Destination, Route

STAMP_DIGITS: Final = 12


@dataclass(frozen=True)
class Changed:
    """A row of agents: the settings of [agents.<name>] that go before those of config.toml. An `own` one is not in the
    file; it reaches its model as the agent `base` of the file does, without one as the first. One that is `deleted` is
    kept, so that it can be brought back."""

    name: str
    settings: Mapping[str, Any]
    own: bool
    deleted: bool
    base: str | None = None

    @property
    def stamp(self) -> str:
        """What tells these settings from others, short."""
        text = json.dumps(dict(self.settings), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:STAMP_DIGITS]


def changed(db: sqlite3.Connection) -> Sequence[Changed]:
    """All of them."""
    return [_of(row) for row in db.execute("SELECT * FROM agents ORDER BY changed_at, name")]


def get(db: sqlite3.Connection, name: str) -> Changed | None:
    """What was set for an agent, if anything."""
    row = db.execute("SELECT * FROM agents WHERE name = ?", (name,)).fetchone()
    return None if row is None else _of(row)


def put(db: sqlite3.Connection, agent: Changed, *, now: int) -> None:
    """Keeps it in place of what was set before."""
    db.execute(
        "INSERT INTO agents VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO UPDATE SET own = ?2, settings = ?3,"
        " deleted_at = ?4, changed_at = ?5, base = ?6",
        (
            agent.name,
            agent.own,
            json.dumps(dict(agent.settings)),
            now if agent.deleted else None,
            now,
            agent.base,
        ),
    )


def destinations(db: sqlite3.Connection) -> Mapping[str, Sequence[Destination]]:
    """The destinations by their agents."""
    found: dict[str, list[Destination]] = {}
    for row in db.execute("SELECT * FROM destinations ORDER BY agent, name"):
        route = Route(channel=row["channel"], platform_id=row["platform_id"], thread_id=row["thread_id"])
        destination = Destination(name=row["name"], display_name=row["display_name"], route=route)
        found.setdefault(row["agent"], []).append(destination)
    return found


def add_destination(db: sqlite3.Connection, agent: str, destination: Destination) -> None:
    """Lets an agent write there, under a name of its own, in place of whatever had that name."""
    route = destination.route
    db.execute(
        "INSERT OR REPLACE INTO destinations VALUES (?, ?, ?, ?, ?, ?)",
        (
            agent,
            destination.name,
            destination.display_name,
            route.channel,
            route.platform_id,
            route.thread_id,
        ),
    )


def remove_destination(db: sqlite3.Connection, agent: str, name: str) -> bool:
    """Whether there was one of this name."""
    return db.execute("DELETE FROM destinations WHERE agent = ? AND name = ?", (agent, name)).rowcount == 1


def _of(row: sqlite3.Row) -> Changed:
    return Changed(
        row["name"],
        json.loads(row["settings"]),
        bool(row["own"]),
        row["deleted_at"] is not None,
        row["base"],
    )
