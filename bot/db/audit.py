"""The audit table: who has changed what, from where, and what it was before. It is only added to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.protocol.messages import Route
from bot.redaction import redact


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

    @property
    def ref(self) -> str:
        """The surface and the id, "discord:42"."""
        return f"{self.surface}:{self.id}"


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
    what it was done to ("agent:helper"), `before` and `after` JSON values without secrets in them: those of known shape
    are struck out."""
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
            None if before is None else _kept(before),
            None if after is None else _kept(after),
        ),
    )


@dataclass(frozen=True)
class Filter:
    """Which rows: of this actor and surface; whose action or subject is this, or begins with it as a whole word; about
    these agents only; from `since` to `until`, in epoch milliseconds. None: all."""

    actor: str | None = None
    surface: str | None = None
    action: str | None = None
    subject: str | None = None
    agents: Collection[str] | None = None
    since: int | None = None
    until: int | None = None


_WHERE: Final = """
(:actor IS NULL OR actor = :actor) AND (:surface IS NULL OR surface = :surface)
AND (:action IS NULL OR action = :action OR substr(action, 1, length(:action) + 1) = :action || ' ')
AND (:subject IS NULL OR subject = :subject OR substr(subject, 1, length(:subject) + 1) = :subject || ':')
AND (:agents IS NULL OR agent IN (SELECT value FROM json_each(:agents)))
AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at <= :until)
"""


def newest(db: sqlite3.Connection, limit: int, which: Filter | None = None) -> list[Entry]:
    """The newest of these rows, newest first."""
    sql = f"SELECT * FROM audit WHERE {_WHERE} ORDER BY number DESC LIMIT :limit"
    return [Entry.from_row(row) for row in db.execute(sql, {**_values(which), "limit": limit})]


def oldest(db: sqlite3.Connection, limit: int, which: Filter | None = None) -> list[Entry]:
    """The oldest of them, oldest first."""
    sql = f"SELECT * FROM audit WHERE {_WHERE} ORDER BY number LIMIT :limit"
    return [Entry.from_row(row) for row in db.execute(sql, {**_values(which), "limit": limit})]


def count(db: sqlite3.Connection, which: Filter | None = None) -> int:
    """How many there are."""
    return int(db.execute(f"SELECT count(*) FROM audit WHERE {_WHERE}", _values(which)).fetchone()[0])


def get(db: sqlite3.Connection, number: int) -> Entry | None:
    """The row of this number, if there is one."""
    row = db.execute("SELECT * FROM audit WHERE number = ?", (number,)).fetchone()
    return None if row is None else Entry.from_row(row)


def actions(db: sqlite3.Connection) -> list[str]:
    """What was ever done."""
    return [row[0] for row in db.execute("SELECT DISTINCT action FROM audit ORDER BY action")]


def _values(which: Filter | None) -> dict[str, Any]:
    values = vars(which or Filter())
    agents = values["agents"]
    return {**values, "agents": None if agents is None else json.dumps(sorted(agents))}


def _kept(value: Any) -> str:
    return json.dumps(_struck(value), ensure_ascii=False)


def _struck(value: Any) -> Any:
    """Text by text: what a secret looks like may cross the marks of JSON."""
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {redact(str(key)): _struck(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_struck(each) for each in value]
        case _:
            return value
