"""The usage table: what each turn has cost, in tokens and in money, and who has asked for it.

A charge is written as soon as it is known, to the turn that ran when its request began: a turn that dies has cost what
it has cost, and a request that ends after its turn is added to it. When a turn ends its own row is written, in the
transaction in which its messages end. Days are those of UTC.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from agent.protocol.messages import Route
from bot import money
from bot.db import errands
from bot.money import Whose

By = Literal["person", "channel", "agent", "session", "day", "model"]
GROUPS: Final[Mapping[By, str]] = {
    "person": "person",
    "channel": "channel || ':' || platform_id",
    "agent": "agent",
    "session": "session",
    "day": "day",
    "model": "model",
}
RECENT_TURNS: Final = 20
"""So many say what the next one will cost."""
TURN: Final = ""
"""In the place of a model: the turn's own row."""
MAKER: Final = "agent:"
"""The maker of a schedule begins so where an agent has made it; behind it stands its session."""


@dataclass(frozen=True)
class Tokens:
    """Of one model in one turn, or of several together."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0

    def plus(self, other: Tokens) -> Tokens:
        """The sum."""
        return Tokens(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def all(self) -> int:
        """How many there are."""
        return self.input_tokens + self.output_tokens + self.cache_write_tokens + self.cache_read_tokens


@dataclass(frozen=True)
class Used:
    """A line of a table of usage: `name` is what it is grouped by."""

    name: str
    turns: int
    tokens: Tokens
    usd_micros: int
    seconds: float


@dataclass(frozen=True)
class Wanted:
    """Which usage is asked for; None: any. `person` is "<channel>:<id>", `place` a channel and an id; `since` and
    `until` are days, both counted in. `agents`: one of these."""

    since: str
    until: str
    agent: str | None = None
    person: str | None = None
    place: tuple[str, str] | None = None
    agents: Sequence[str] | None = None


def whose(db: sqlite3.Connection, session_id: str, message_id: str | None) -> Whose | None:
    """Who pays for a turn that the message began: the place is where it was said. A schedule's is for whoever has made
    it; what nobody has said is for whoever spoke last before it. None where there is no such session."""
    session = db.execute(
        "SELECT agent, channel, platform_id FROM sessions WHERE id = ?", (session_id,)
    ).fetchone()
    if session is None:
        return None
    row = db.execute(
        "SELECT kind, seq, channel, platform_id, sender_id, event_id FROM inbox WHERE id = ? AND session = ?",
        (message_id, session_id),
    ).fetchone()
    if row is None:
        return Whose(session["agent"], (session["channel"], session["platform_id"]))
    errand = errands.get(db, row["event_id"])
    if errand is not None:
        # Another agent has asked: it is for the person behind it, where they have asked that one.
        began = errand.began
        behind = f"{began.channel}:{errand.person}" if errand.person else ""
        return Whose(session["agent"], (began.channel, began.platform_id), behind)
    person = _maker(db, message_id) if row["kind"] == "task" else None
    if person is None and row["sender_id"]:
        person = f"{row['channel']}:{row['sender_id']}"
    if person is None:
        person = last_person(db, session_id, row["seq"])
    return Whose(session["agent"], (row["channel"], row["platform_id"]), person)


def route_of(db: sqlite3.Connection, session_id: str, message_id: str | None) -> Route | None:
    """Where the message was said."""
    row = db.execute(
        "SELECT channel, platform_id, thread_id FROM inbox WHERE id = ? AND session = ?",
        (message_id, session_id),
    ).fetchone()
    return None if row is None else Route(**dict(row))


def _maker(db: sqlite3.Connection, message_id: str | None) -> str | None:
    row = db.execute(
        "SELECT created_by FROM series JOIN runs ON runs.series_id = series.id WHERE runs.message_id = ?",
        (message_id,),
    ).fetchone()
    return None if row is None else maker(row["created_by"])


def maker(created_by: str) -> str | None:
    """The person who has made a schedule; None where an agent has."""
    return None if created_by.startswith(MAKER) else created_by


def last_person(db: sqlite3.Connection, session_id: str, seq: int) -> str:
    """Who spoke last in a session before this number; empty where nobody has."""
    row = db.execute(
        "SELECT channel, sender_id FROM inbox WHERE session = ? AND seq < ? AND sender_id IS NOT NULL AND by_bot = 0"
        " ORDER BY seq DESC LIMIT 1",
        (session_id, seq),
    ).fetchone()
    return "" if row is None else f"{row['channel']}:{row['sender_id']}"


def charge(
    db: sqlite3.Connection,
    session_id: str,
    message_id: str | None,
    model: str,
    tokens: Tokens,
    usd_micros: int,
    *,
    now: int,
) -> Whose | None:
    """Adds what a request has cost to the turn that this message began; None: to the last one of its session. Returns
    who pays for it, None for a session that there is not."""
    if message_id is None:
        message_id = _last_turn(db, session_id)
    payer = whose(db, session_id, message_id)
    if payer is not None:
        _add(db, session_id, message_id or "", payer, model, tokens, usd_micros, 0.0, now)
    return payer


def ended(
    db: sqlite3.Connection, session_id: str, message_id: str, *, seconds: float, now: int
) -> Whose | None:
    """The turn that this message began has ended, well or not."""
    payer = whose(db, session_id, message_id)
    if payer is not None:
        _add(db, session_id, message_id, payer, TURN, Tokens(), 0, seconds, now)
    return payer


def _last_turn(db: sqlite3.Connection, session_id: str) -> str | None:
    row = db.execute(
        "SELECT turn_id FROM usage WHERE session = ? ORDER BY at DESC LIMIT 1", (session_id,)
    ).fetchone()
    return None if row is None else str(row["turn_id"])


def _add(
    db: sqlite3.Connection,
    session_id: str,
    turn_id: str,
    payer: Whose,
    model: str,
    tokens: Tokens,
    usd_micros: int,
    seconds: float,
    now: int,
) -> None:
    db.execute(
        "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
        " ON CONFLICT DO UPDATE SET at = ?5, input_tokens = input_tokens + ?10, output_tokens = output_tokens + ?11,"
        " cache_write_tokens = cache_write_tokens + ?12, cache_read_tokens = cache_read_tokens + ?13,"
        " usd_micros = usd_micros + ?14, seconds = seconds + ?15",
        (
            *(session_id, turn_id, money.day_of(now), model, now, payer.agent, *payer.place, payer.person),
            *(tokens.input_tokens, tokens.output_tokens, tokens.cache_write_tokens, tokens.cache_read_tokens),
            *(usd_micros, seconds),
        ),
    )


def of_turn(db: sqlite3.Connection, session_id: str, turn_id: str) -> Used:
    """What one turn has cost so far."""
    row = db.execute(
        f"SELECT '' AS name, {_SUMS} FROM usage WHERE session = ? AND turn_id = ?", (session_id, turn_id)
    ).fetchone()
    return _used(row)


def mean_micros(db: sqlite3.Connection, agent: str) -> int:
    """What the newest turns of an agent have cost on average."""
    row = db.execute(
        "SELECT coalesce(avg(cost), 0) AS mean FROM (SELECT (SELECT sum(usd_micros) FROM usage AS u"
        " WHERE u.session = t.session AND u.turn_id = t.turn_id) AS cost FROM usage AS t"
        " WHERE t.agent = ? AND t.model = '' ORDER BY t.at DESC LIMIT ?)",
        (agent, RECENT_TURNS),
    ).fetchone()
    return int(row["mean"])


def spent(db: sqlite3.Connection, subject: str, *, since: str, until: str) -> int:
    """What a subject of a budget has cost in these days, both counted in."""
    kind, _, name = subject.partition(":")
    where, values = {
        "bot": ("", ()),
        "agent": (" AND agent = ?", (name,)),
        "channel": (" AND channel = ? AND platform_id = ?", tuple(name.partition(":")[::2])),
        "person": (" AND person = ?", (name,)),
    }[kind]
    row = db.execute(
        f"SELECT coalesce(sum(usd_micros), 0) FROM usage WHERE day BETWEEN ? AND ?{where}",
        (since, until, *values),
    ).fetchone()
    return int(row[0])


_SUMS: Final = (
    "count(DISTINCT session || ' ' || turn_id) AS turns, coalesce(sum(input_tokens), 0) AS input_tokens,"
    " coalesce(sum(output_tokens), 0) AS output_tokens, coalesce(sum(cache_write_tokens), 0) AS cache_write_tokens,"
    " coalesce(sum(cache_read_tokens), 0) AS cache_read_tokens, coalesce(sum(usd_micros), 0) AS usd_micros,"
    " coalesce(sum(seconds), 0.0) AS seconds"
)


def by(db: sqlite3.Connection, group: By, wanted: Wanted, limit: int) -> list[Used]:
    """What was used, the dearest first, `limit` at most; days in their order, the newest first."""
    where, values = _where(wanted)
    if group == "model":
        where += " AND model != ''"
    order = "name DESC" if group == "day" else "usd_micros DESC, input_tokens + output_tokens DESC, name"
    rows = db.execute(
        f"SELECT {GROUPS[group]} AS name, {_SUMS} FROM usage WHERE {where} GROUP BY name ORDER BY {order} LIMIT ?",
        (*values, limit),
    )
    return [_used(row) for row in rows]


def total(db: sqlite3.Connection, wanted: Wanted) -> Used:
    """All of it together."""
    where, values = _where(wanted)
    return _used(db.execute(f"SELECT 'total' AS name, {_SUMS} FROM usage WHERE {where}", values).fetchone())


def forget(db: sqlite3.Connection, before: str) -> int:
    """Removes the days before that one, and returns how many rows there were."""
    return db.execute("DELETE FROM usage WHERE day < ?", (before,)).rowcount


def _where(wanted: Wanted) -> tuple[str, tuple[Any, ...]]:
    found: list[tuple[str, tuple[Any, ...]]] = [("day BETWEEN ? AND ?", (wanted.since, wanted.until))]
    if wanted.agent is not None:
        found.append(("agent = ?", (wanted.agent,)))
    if wanted.person is not None:
        found.append(("person = ?", (wanted.person,)))
    if wanted.place is not None:
        found.append(("channel = ? AND platform_id = ?", wanted.place))
    if wanted.agents is not None:
        marks = ", ".join("?" * len(wanted.agents))
        found.append((f"agent IN ({marks})", tuple(wanted.agents)))
    return " AND ".join(where for where, _ in found), tuple(value for _, values in found for value in values)


def _used(row: sqlite3.Row) -> Used:
    tokens = Tokens(*(row[each.name] for each in fields(Tokens)))
    return Used(row["name"], row["turns"], tokens, row["usd_micros"], row["seconds"])
