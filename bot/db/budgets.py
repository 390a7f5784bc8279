"""The tables of budgets: what admins have set, how far each is used up, what is set aside, and whose messages wait.

`spent` counts what requests have cost, `reserved` what messages that are not answered yet are expected to cost beyond
that. A reservation shrinks by what its turn costs, and is given back when its message ends, by triggers of bot.db.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from agent.protocol.messages import Route
from bot import money
from bot.db import usage
from bot.money import Budget, Period

_LOOK: Final = (
    "SELECT p.*, coalesce(r.usd_micros, 0) AS reserved FROM budget_periods AS p"
    " LEFT JOIN reserved AS r ON r.subject = p.subject"
)


@dataclass(frozen=True)
class State:
    """How far a budget is used up in the period that runs; all in micros. `limit` has what it was extended by."""

    budget: Budget
    begins: str
    spent: int
    extended: int
    noticed: int
    reserved: int

    @property
    def limit(self) -> int:
        return self.budget.usd_micros + self.extended

    @property
    def is_used_up(self) -> bool:
        """Whether all of it is spent."""
        return self.spent >= self.limit

    @property
    def is_full(self) -> bool:
        """Whether all of it is spent or set aside."""
        return self.spent + self.reserved >= self.limit

    @property
    def percent(self) -> int:
        """How much of it is spent."""
        return 100 if self.limit <= 0 else self.spent * 100 // self.limit


@dataclass(frozen=True)
class Kept:
    """A message that a budget has refused, with all that a row of inbox takes. `expires_at` is when its period ends."""

    message_id: str
    event_id: str
    session: str
    agent: str
    kind: str
    route: Route
    content: str
    sender_id: str | None
    person: str
    subject: str
    created_at: int
    at: int
    expires_at: int

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Kept:
        route = Route(channel=row["channel"], platform_id=row["platform_id"], thread_id=row["thread_id"])
        known = {name: row[name] for name in cls.__dataclass_fields__ if name != "route"}
        return cls(**known, route=route)


def changed(db: sqlite3.Connection) -> dict[tuple[str, Period], int | None]:
    """What admins have set in the chat; None: that there is no bound, whatever config.toml has."""
    rows = db.execute("SELECT subject, period, usd_micros FROM budgets ORDER BY subject, period")
    return {(row["subject"], row["period"]): row["usd_micros"] for row in rows}


def put(db: sqlite3.Connection, subject: str, period: Period, usd_micros: int | None, *, now: int) -> None:
    """Sets a budget in place of the one that was set there."""
    db.execute("INSERT OR REPLACE INTO budgets VALUES (?, ?, ?, ?)", (subject, period, usd_micros, now))


def drop(db: sqlite3.Connection, subject: str, period: Period) -> None:
    """Nothing is set in the chat any more. Absent is success."""
    db.execute("DELETE FROM budgets WHERE subject = ? AND period = ?", (subject, period))


def state(db: sqlite3.Connection, budget: Budget, day: str) -> State:
    """How far it is used up in the period of that day, as a transaction that writes sees it: a period that nobody has
    looked at yet is counted."""
    found = _state(db, budget, day)
    if found is None:
        first = money.begins(budget.period, day)
        spent = _counted(db, budget, day)
        db.execute(
            "INSERT INTO budget_periods (subject, period, begins, spent_micros) VALUES (?, ?, ?, ?)",
            (budget.subject, budget.period, first, spent),
        )
        found = State(budget, first, spent, 0, 0, reserved(db, budget.subject))
    return found


def states(db: sqlite3.Connection, budgets: Sequence[Budget], day: str) -> list[State]:
    """The same for several, by one look at what is there already."""
    keys = [(each.subject, each.period, money.begins(each.period, day)) for each in budgets]
    rows = db.execute(
        f"{_LOOK} WHERE (p.subject, p.period, p.begins) IN (VALUES {', '.join(['(?, ?, ?)'] * len(keys))})",
        [part for key in keys for part in key],
    )
    known = {(row["subject"], row["period"]): row for row in rows}
    found = [(each, known.get((each.subject, each.period))) for each in budgets]
    return [state(db, each, day) if row is None else _from_row(each, row) for each, row in found]


def seen(db: sqlite3.Connection, budget: Budget, day: str) -> State:
    """The same for a transaction that only reads."""
    found = _state(db, budget, day)
    if found is not None:
        return found
    first = money.begins(budget.period, day)
    return State(budget, first, _counted(db, budget, day), 0, 0, reserved(db, budget.subject))


def _state(db: sqlite3.Connection, budget: Budget, day: str) -> State | None:
    row = db.execute(
        f"{_LOOK} WHERE p.subject = ? AND p.period = ? AND p.begins = ?",
        (budget.subject, budget.period, money.begins(budget.period, day)),
    ).fetchone()
    return None if row is None else _from_row(budget, row)


def _from_row(budget: Budget, row: sqlite3.Row) -> State:
    return State(
        budget, row["begins"], row["spent_micros"], row["extended_micros"], row["noticed"], row["reserved"]
    )


def _counted(db: sqlite3.Connection, budget: Budget, day: str) -> int:
    return usage.spent(db, budget.subject, since=money.begins(budget.period, day), until=day)


def reserved(db: sqlite3.Connection, subject: str) -> int:
    """What is set aside for messages that are not answered yet."""
    row = db.execute("SELECT usd_micros FROM reserved WHERE subject = ?", (subject,)).fetchone()
    return 0 if row is None else int(row["usd_micros"])


def reserve(db: sqlite3.Connection, message_id: str, subjects: Collection[str], usd_micros: int) -> None:
    """Sets so much aside for a message, of each of these; there is one at least."""
    db.execute(
        f"INSERT OR IGNORE INTO reservations VALUES {', '.join(['(?, ?, ?)'] * len(subjects))}",
        [part for subject in subjects for part in (message_id, subject, usd_micros)],
    )


def charge(
    db: sqlite3.Connection, message_id: str | None, subjects: Sequence[str], usd_micros: int, *, day: str
) -> None:
    """Counts what a request has cost for each of these, out of what was set aside for its message."""
    for period in money.PERIODS:
        db.executemany(
            "UPDATE budget_periods SET spent_micros = spent_micros + ? WHERE subject = ? AND period = ? AND begins = ?",
            [(usd_micros, subject, period, money.begins(period, day)) for subject in subjects],
        )
    db.execute(
        "UPDATE reservations SET usd_micros = max(0, usd_micros - ?) WHERE message_id = ? AND usd_micros > 0",
        (usd_micros, message_id),
    )


def extend(db: sqlite3.Connection, found: State, usd_micros: int) -> None:
    """Adds so much for the period that runs, of whose end others are told anew."""
    limit = found.limit + usd_micros
    noticed = min(found.noticed, 100 if found.spent >= limit else 80)
    db.execute(
        "UPDATE budget_periods SET extended_micros = extended_micros + ?, noticed = ?"
        " WHERE subject = ? AND period = ? AND begins = ?",
        (usd_micros, noticed, found.budget.subject, found.budget.period, found.begins),
    )


def noticed(db: sqlite3.Connection, found: State, percent: int) -> None:
    """Somebody was told of so much."""
    db.execute(
        "UPDATE budget_periods SET noticed = ? WHERE subject = ? AND period = ? AND begins = ?",
        (percent, found.budget.subject, found.budget.period, found.begins),
    )


def keep(db: sqlite3.Connection, kept: Kept) -> bool:
    """Keeps a refused message; False for one that is kept already."""
    values = {**vars(kept), **kept.route.model_dump()}
    columns = [name for name in values if name != "route"]
    return (
        db.execute(
            f"INSERT OR IGNORE INTO budget_kept ({', '.join(columns)}) VALUES ({', '.join(f':{c}' for c in columns)})",
            {name: values[name] for name in columns},
        ).rowcount
        == 1
    )


def kept(db: sqlite3.Connection) -> list[Kept]:
    """Those that wait, the oldest first."""
    return [Kept.from_row(row) for row in db.execute("SELECT * FROM budget_kept ORDER BY at, rowid")]


def kept_count(db: sqlite3.Connection, subject: str) -> tuple[int, int]:
    """How many wait for this subject, and in all."""
    row = db.execute(
        "SELECT count(*) AS every, coalesce(sum(subject = ?), 0) AS own FROM budget_kept", (subject,)
    ).fetchone()
    return int(row["own"]), int(row["every"])


def kept_of(db: sqlite3.Connection, event_id: str, channel: str) -> list[Kept]:
    """Those that an event of this channel has become."""
    found = db.execute(
        "SELECT * FROM budget_kept WHERE event_id = ? AND channel = ? AND kind = 'chat'", (event_id, channel)
    )
    return [Kept.from_row(row) for row in found]


def reword(db: sqlite3.Connection, message_id: str, content: str) -> None:
    """It reads otherwise now; `content` is as it would stand in inbox."""
    db.execute("UPDATE budget_kept SET content = ? WHERE message_id = ?", (content, message_id))


def let_go(db: sqlite3.Connection, message_id: str) -> bool:
    """It waits no longer; False when it did not."""
    return db.execute("DELETE FROM budget_kept WHERE message_id = ?", (message_id,)).rowcount == 1


def forget(db: sqlite3.Connection, before: str) -> None:
    """Removes the periods that began before that day."""
    db.execute("DELETE FROM budget_periods WHERE begins < ?", (before,))
