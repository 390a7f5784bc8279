"""Money: whose budgets there are, of which days and months, and how sums are written. Pure.

| subject | whose |
| --- | --- |
| `bot` | all agents together |
| `agent:NAME` | one agent, wherever it is |
| `channel:CHANNEL:PLACE` | a place with all its threads, whoever answers there |
| `person:CHANNEL:ID` | a person on one platform |
| `agent:*`, `channel:*`, `person:*` | each one that has none of its own, by itself |

Days and months are those of UTC. Sums are in micros, millionths of a US dollar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

Period = Literal["day", "month"]
PERIODS: Final[tuple[Period, ...]] = ("day", "month")
MICROS: Final = 1_000_000
EACH: Final = "*"
BOT: Final = "bot"
KINDS: Final = ("bot", "agent", "channel", "person")
SOME_USD: Final = 1.0
"""From here on cents are exact enough for people."""

Budgets = Mapping[tuple[str, Period], int]
"""Sums by subject and period."""


@dataclass(frozen=True)
class Whose:
    """What one turn is paid from. `place` is its channel and the platform's id; `person` is "<channel>:<id>", and
    empty where nobody has asked for it."""

    agent: str
    place: tuple[str, str]
    person: str = ""

    @property
    def subjects(self) -> list[str]:
        """The exact ones."""
        named = [BOT, f"agent:{self.agent}", "channel:{}:{}".format(*self.place)]
        return [*named, f"person:{self.person}"] if self.person else named


@dataclass(frozen=True)
class Budget:
    """A sum for one subject in each period of its kind."""

    subject: str
    period: Period
    usd_micros: int


def applying(budgets: Budgets, whose: Whose) -> list[Budget]:
    """The budgets that a turn falls under; what is set for one exactly goes before what is set for each."""
    found = []
    for subject in whose.subjects:
        found += [each for each in (of_subject(budgets, subject, period) for period in PERIODS) if each]
    return found


def of_subject(budgets: Budgets, subject: str, period: Period) -> Budget | None:
    """The budget that an exact subject has, if it has one."""
    micros = budgets.get((subject, period))
    if micros is None:
        micros = budgets.get((f"{kind(subject)}:{EACH}", period))
    return None if micros is None else Budget(subject, period, micros)


def kind(subject: str) -> str:
    """Which of KINDS it is of."""
    return subject.partition(":")[0]


def day_of(at: int) -> str:
    """The day of UTC of a time in epoch milliseconds, "2026-01-31"."""
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()


def begins(period: Period, day: str) -> str:
    """The first day of the period in which a day lies."""
    return day if period == "day" else f"{day[:7]}-01"


def ends_at(period: Period, day: str) -> int:
    """When the period is over in which a day lies, in epoch milliseconds."""
    first = datetime.fromisoformat(begins(period, day)).replace(tzinfo=UTC)
    # From any first of a month 32 days lead into the next one.
    after = first + timedelta(days=1) if period == "day" else (first + timedelta(days=32)).replace(day=1)
    return int(after.timestamp() * 1000)


def again(period: Period, day: str) -> str:
    """When the next period begins, in words."""
    if period == "day":
        return "at 00:00 UTC"
    then = datetime.fromtimestamp(ends_at(period, day) / 1000, UTC)
    return f"on {then.day} {then:%B} at 00:00 UTC"


def now_in_words(period: Period) -> str:
    """Which period runs: "today"."""
    return "today" if period == "day" else "this month"


def usd(micros: int) -> str:
    """A sum for people: cents, and more digits where it is less than a dollar and has some."""
    amount = micros / MICROS
    if abs(amount) >= SOME_USD or micros % 10_000 == 0:
        return f"${amount:,.2f}"
    return f"${amount:,.4f}"


def to_micros(amount: float) -> int:
    """A sum in US dollars, in micros, rounded up."""
    return math.ceil(amount * MICROS - 1e-6)


def tokens(count: int) -> str:
    """A number of tokens for people: 950, 12.3k, 4.56M."""
    if count < 1_000:
        return str(count)
    return f"{count / 1_000:.1f}k" if count < 1_000_000 else f"{count / 1_000_000:.2f}M"


def whose_words(subject: str) -> str:
    """Whose budget it is, for a text that others read as well."""
    return {"bot": "all agents together", "agent": "this agent", "channel": "this channel"}.get(
        kind(subject), "this person"
    )


def named(subject: str) -> str:
    """Whose budget it is, for a text that is read elsewhere."""
    if subject == BOT:
        return "all agents together"
    of, _, name = subject.partition(":")
    if name == EACH:
        return f"each {of}"
    return f"the {of} {name}"
