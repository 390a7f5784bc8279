"""The sessions table: which conversations there are, and which may have a living container."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agent.protocol.messages import Route
from bot.db import pool
from bot.engage import SHARED

LOOKED_AT: Final = 1_000
HOUSE: Final = "(roost)"
"""In the place of an agent: what the service itself has to say in a place, whoever serves it. It has no folder and
never a container. No agent can have this name."""


@dataclass(frozen=True)
class SessionRecord:
    """A row of sessions."""

    id: str
    agent: str
    route: Route
    created_at: int
    last_active: int
    awake: bool
    boot_id: str | None
    last_in_seq: int
    last_out_seq: int

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> SessionRecord:
        return cls(
            id=row["id"],
            agent=row["agent"],
            route=Route(channel=row["channel"], platform_id=row["platform_id"], thread_id=row["thread_id"]),
            created_at=row["created_at"],
            last_active=row["last_active"],
            awake=bool(row["awake"]),
            boot_id=row["boot_id"],
            last_in_seq=row["last_in_seq"],
            last_out_seq=row["last_out_seq"],
        )


def resolve(db: sqlite3.Connection, agent: str, route: Route, now: int) -> SessionRecord:
    """The session of `agent` at `route`; if there is none, one out of the pool, or else a new one."""
    found = find(db, agent, route)
    if found is not None:
        return found
    if pool.take(db, agent, route, now=now) is not None:
        taken = find(db, agent, route)
        assert taken is not None  # noqa: S101 - it was moved there in this transaction
        return taken
    db.execute(
        "INSERT INTO sessions (id, agent, channel, platform_id, thread_id, created_at, last_active)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (secrets.token_hex(5), agent, route.channel, route.platform_id, route.thread_id, now, now),
    )
    made = find(db, agent, route)
    assert made is not None  # noqa: S101 - it was inserted in this transaction
    return made


def find(db: sqlite3.Connection, agent: str, route: Route) -> SessionRecord | None:
    """The session of `agent` at `route`, if there is one."""
    row = db.execute(
        "SELECT * FROM sessions WHERE agent = ? AND channel = ? AND platform_id = ?"
        " AND coalesce(thread_id, '') = coalesce(?, '')",
        (agent, route.channel, route.platform_id, route.thread_id),
    ).fetchone()
    return None if row is None else SessionRecord.from_row(row)


def get(db: sqlite3.Connection, session_id: str) -> SessionRecord | None:
    """The session of this id, if there is one."""
    row = db.execute("SELECT * FROM sessions WHERE id = ?", (session_id,)).fetchone()
    return None if row is None else SessionRecord.from_row(row)


def by_prefix(db: sqlite3.Connection, prefix: str) -> list[SessionRecord]:
    """The sessions whose ids begin with `prefix`; two at most, which is enough to see that it is ambiguous."""
    rows = db.execute(
        "SELECT * FROM sessions WHERE substr(id, 1, ?) = ? AND agent <> ? ORDER BY id LIMIT 2",
        (len(prefix), prefix, HOUSE),
    )
    return [SessionRecord.from_row(row) for row in rows]


def recent(
    db: sqlite3.Connection, limit: int, *, agents: Collection[str] | None = None
) -> list[SessionRecord]:
    """The sessions that were active last, newest first: of these agents only, or of all."""
    rows = db.execute(
        "SELECT * FROM sessions WHERE channel <> ?1 AND agent <> ?2"
        " AND (?3 IS NULL OR agent IN (SELECT value FROM json_each(?3)))"
        " ORDER BY last_active DESC, id LIMIT ?4",
        (pool.POOL, HOUSE, None if agents is None else json.dumps(sorted(agents)), limit),
    )
    return [SessionRecord.from_row(row) for row in rows]


def like(db: sqlite3.Connection, typed: str, *, near: Route | None, limit: int) -> list[SessionRecord]:
    """The sessions whose ids begin with what somebody has typed, or that have it in the name of their place: those in
    the place of `near` first, then those that were active last. It is asked with every key that is pressed: beside
    those of the place and those with such an id it looks at the newest ones only, LOOKED_AT of each."""
    channel, platform_id = ("", "") if near is None else (near.channel, near.platform_id)
    rows = db.execute(
        "SELECT * FROM sessions WHERE id IN ("
        "SELECT id FROM (SELECT id FROM sessions WHERE channel = ?3 AND platform_id = ?4 ORDER BY rowid DESC LIMIT ?5)"
        " UNION SELECT id FROM (SELECT id FROM sessions WHERE ?2 <> '' AND id >= ?2 AND id < ?2 || '~' LIMIT ?5)"
        " UNION SELECT id FROM (SELECT id FROM sessions ORDER BY rowid DESC LIMIT ?5)"
        ") AND channel <> ?1 AND agent <> ?7 AND (substr(id, 1, length(?2)) = ?2"
        " OR instr(lower(channel || '/' || platform_id || '/' || coalesce(thread_id, '')), ?2))"
        " ORDER BY channel = ?3 AND platform_id = ?4 DESC, last_active DESC, id LIMIT ?6",
        (pool.POOL, typed.lower(), channel, platform_id, LOOKED_AT, limit, HOUSE),
    )
    return [SessionRecord.from_row(row) for row in rows]


def spoken_in(db: sqlite3.Connection, channel: str, sender_id: str, limit: int) -> list[SessionRecord]:
    """The sessions of a channel in which somebody has spoken, and those that places share: the ones that were active
    last on top."""
    rows = db.execute(
        "SELECT * FROM sessions WHERE id IN (SELECT session FROM inbox WHERE channel = ?1 AND sender_id = ?2)"
        " AND channel IN (?1, ?4) ORDER BY last_active DESC, id LIMIT ?3",
        (channel, sender_id, limit, SHARED),
    )
    return [SessionRecord.from_row(row) for row in rows]


def awake(db: sqlite3.Connection) -> list[str]:
    """The ids of the sessions that may have a living container or replies that were not collected."""
    return [row["id"] for row in db.execute("SELECT id FROM sessions WHERE awake = 1")]


def known(db: sqlite3.Connection, session_ids: Sequence[str]) -> set[str]:
    """Those of the ids that are sessions."""
    rows = db.execute(
        "SELECT id FROM sessions WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(session_ids),)
    )
    return {row["id"] for row in rows}


def at_place(db: sqlite3.Connection, channel: str, platform_id: str) -> list[str]:
    """The ids of the sessions that speak in one place, all its threads; those that places share may speak in any."""
    rows = db.execute(
        "SELECT id FROM sessions WHERE channel = ?1 AND platform_id = ?2"
        " UNION ALL SELECT id FROM sessions WHERE channel = ?3",
        (channel, platform_id, SHARED),
    )
    return [row["id"] for row in rows]


def count_of(db: sqlite3.Connection, agent: str) -> int:
    """How many conversations an agent has had."""
    row = db.execute(
        "SELECT count(*) FROM sessions WHERE agent = ? AND channel <> ?", (agent, pool.POOL)
    ).fetchone()
    return int(row[0])


def active_places(db: sqlite3.Connection, limit: int) -> list[tuple[str, str, int]]:
    """The places in which somebody has talked with an agent, with when that was last, the latest first."""
    rows = db.execute(
        "SELECT channel, platform_id, max(last_active) AS at FROM sessions WHERE channel <> ? AND agent <> ?"
        " GROUP BY channel, platform_id ORDER BY at DESC LIMIT ?",
        (pool.POOL, HOUSE, limit),
    )
    return [(row["channel"], row["platform_id"], row["at"]) for row in rows]


def next_seq(db: sqlite3.Connection, record: SessionRecord, now: int) -> int:
    """The next even seq of the session: above all that was given out and all that came back."""
    row = db.execute("SELECT last_in_seq, last_out_seq FROM sessions WHERE id = ?", (record.id,)).fetchone()
    above: int = max(row["last_in_seq"], row["last_out_seq"]) + 1
    seq = above + above % 2
    db.execute("UPDATE sessions SET last_in_seq = ?, last_active = ? WHERE id = ?", (seq, now, record.id))
    return seq


def saw_seq(db: sqlite3.Connection, session_id: str, seq: int) -> None:
    """Remembers the newest validated seq of the agent."""
    db.execute("UPDATE sessions SET last_out_seq = max(last_out_seq, ?) WHERE id = ?", (seq, session_id))


def set_awake(db: sqlite3.Connection, session_id: str, awake: bool) -> None:
    """True before a start; False only when the exit was seen and everything it wrote was dealt with."""
    db.execute("UPDATE sessions SET awake = ? WHERE id = ?", (awake, session_id))


def fall_asleep(db: sqlite3.Connection, session_ids: Iterable[str]) -> None:
    """The same for many; where nothing is awake, nothing is written."""
    db.executemany("UPDATE sessions SET awake = 0 WHERE id = ? AND awake = 1", [(i,) for i in session_ids])


def set_boot(db: sqlite3.Connection, session_id: str, boot_id: str) -> None:
    """Remembers under which boot of the machine inbound.db was made whole."""
    db.execute("UPDATE sessions SET boot_id = ? WHERE id = ?", (boot_id, session_id))
