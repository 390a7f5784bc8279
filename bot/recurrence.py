"""When something is to happen: once, by a cron pattern, or every so often. Pure.

Times are epoch milliseconds; a pattern lives in the wall-clock time of its zone. Two rules for the days on
which clocks change: a time that does not exist happens at the next minute that does, and a time that exists
twice happens the first time. Neither happens twice. What goes by elapsed time (minutes, hours) has no such
days.

    CommandFailed               see bot/errors.py
      x BadTime                 this is no time, or not one that can be used
"""

from __future__ import annotations

import itertools
import re
import zoneinfo
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field, TypeAdapter

from agent.protocol.messages import Frozen, Millis
from bot.errors import CommandFailed

Unit = Literal["seconds", "minutes", "hours", "days", "weeks"]

DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
"""As cron counts them; 7 is Sunday as well."""
UNIT_SECONDS: Final[dict[Unit, int]] = {
    "seconds": 1,
    "minutes": 60,
    "hours": 3_600,
    "days": 86_400,
    "weeks": 604_800,
}
FIRST_WINDOW_MS: Final = 3_600_000
MINUTE: Final = timedelta(minutes=1)
_AT_A_TIME: Final = re.compile(r"(\d+) (\d+) \* \* (\*|[0-7](?:[,-][0-7])*)")


class BadTime(CommandFailed):
    """Raised for a text that says no time, or one that cannot be used. One sentence for a person."""


class At(Frozen):
    """Once."""

    type: Literal["at"] = "at"
    at: Millis
    timezone: str

    def after(self, moment: int) -> int | None:
        """The first time after `moment`, if there is one."""
        return self.at if moment < self.at else None

    def describe(self) -> str:
        """For people."""
        return f"once, {written(self.at, self.timezone)} {self.timezone}"


class Cron(Frozen):
    """By a pattern of five fields. crontab(5)."""

    type: Literal["cron"] = "cron"
    expression: str
    timezone: str

    def after(self, moment: int) -> int | None:
        """The first time after `moment`; None when there is none within 50 years. Raises BadTime."""
        place = zone(self.timezone)
        # Without a zone it counts through the wall-clock times alone, and the two rules are ours.
        for wall in CronSim(self.expression, _wall(moment, place)):
            at = instant(wall, place)
            if at > moment:
                return at
        return None

    def describe(self) -> str:
        """For people."""
        found = _AT_A_TIME.fullmatch(self.expression)
        if found is None:
            return f"{CronSim(self.expression, datetime(2000, 1, 1)).explain()} {self.timezone}"
        minute, hour, days = int(found[1]), int(found[2]), found[3]
        return f"{_days(days)} {hour}:{minute:02} {self.timezone}"


class Every(Frozen):
    """Every so often from `start` on: seconds, minutes and hours by elapsed time, days and weeks at the same
    wall-clock time."""

    type: Literal["every"] = "every"
    amount: Annotated[int, Field(ge=1)]
    unit: Unit
    start: Millis
    timezone: str

    @property
    def seconds(self) -> int:
        """How often, on a day without a change of clocks."""
        return self.amount * UNIT_SECONDS[self.unit]

    def after(self, moment: int) -> int | None:
        """The first time after `moment`. Raises BadTime."""
        if moment < self.start:
            return self.start
        if self.unit not in ("days", "weeks"):
            step = self.seconds * 1000
            return self.start + ((moment - self.start) // step + 1) * step
        place = zone(self.timezone)
        first, step_days = _wall(self.start, place), self.seconds // UNIT_SECONDS["days"]
        passed = (_wall(moment, place).date() - first.date()).days // step_days
        walls = (first + timedelta(days=n * step_days) for n in itertools.count(passed))
        return next(at for wall in walls if (at := instant(wall, place)) > moment)

    def describe(self) -> str:
        """For people."""
        often = f"every {self.amount} {self.unit}" if self.amount > 1 else f"every {self.unit[:-1]}"
        return f"{often} from {written(self.start, self.timezone)} {self.timezone}"


When = At | Cron | Every
WHEN: Final[TypeAdapter[When]] = TypeAdapter(Annotated[When, Field(discriminator="type")])


def cron(expression: str, timezone: str) -> Cron:
    """A pattern that can come to pass. Raises BadTime."""
    fields = expression.split()
    try:
        CronSim(expression, datetime(2000, 1, 1))
    except CronSimError as exc:
        if _only_the_month_is_wrong(fields):
            raise BadTime(f"{expression} never comes: there is no such day.") from exc
        raise BadTime(f"{expression} is no cron pattern: {str(exc).lower()}.") from exc
    made = Cron(expression=" ".join(fields), timezone=timezone)
    if made.after(0) is None:
        raise BadTime(f"{expression} never comes.")
    return made


def zone(name: str) -> ZoneInfo:
    """The time zone of this IANA name. Raises BadTime."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        if not zoneinfo.available_timezones():
            raise BadTime("This machine knows no time zones: install its package tzdata.") from exc
        raise BadTime(f"There is no time zone {name}; they are named like Europe/Athens.") from exc


def instant(wall: datetime, place: ZoneInfo) -> int:
    """When the clocks of a place show this time for the first time, or, where they skip it, the next minute
    that they show."""
    while not _exists(wall, place):
        wall = wall.replace(second=0, microsecond=0) + MINUTE
    return round(wall.replace(tzinfo=place).timestamp() * 1000)


def next_times(when: When, moment: int, count: int) -> list[int]:
    """The first `count` times after `moment`. Raises BadTime."""
    return list(itertools.islice(_times(when, moment), count))


def newest_times(when: When, *, first: int, last: int, limit: int) -> list[int]:
    """The newest `limit` times from `first` to `last`, in order. What it costs depends on `limit` alone,
    however long ago `first` is. Raises BadTime."""
    window = FIRST_WINDOW_MS
    while True:
        start = max(first, last - window)
        times = itertools.takewhile(lambda at: at <= last, _times(when, start - 1))
        found = deque(times, maxlen=limit)
        if len(found) == limit or start == first:
            return list(found)
        window *= 4


def written(at: int, timezone: str) -> str:
    """A moment as the clocks of a zone show it, "Monday 2026-11-23 8:00". Raises BadTime."""
    wall = _wall(at, zone(timezone))
    return f"{wall:%A} {wall:%Y-%m-%d} {wall.hour}:{wall:%M}"


def _times(when: When, moment: int) -> Iterator[int]:
    at = when.after(moment)
    while at is not None:
        yield at
        at = when.after(at)


def _wall(moment: int, place: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(moment / 1000, place).replace(tzinfo=None, fold=0)


def _exists(wall: datetime, place: ZoneInfo) -> bool:
    return wall.replace(tzinfo=place).astimezone(UTC).astimezone(place).replace(tzinfo=None, fold=0) == wall


def _days(field: str) -> str:
    if field == "*":
        return "every day"
    return _day_names(field)


def _day_names(field: str) -> str:
    """The days of a cron field, "Monday to Friday"."""
    spans = [[DAYS[int(day) % 7] for day in span.split("-")] for span in field.split(",")]
    return ", ".join(" to ".join(span) for span in spans)


def _only_the_month_is_wrong(fields: list[str]) -> bool:
    """Whether the months are months, but none of them has the day."""
    try:
        CronSim(" ".join([*fields[:2], "*", *fields[3:]]), datetime(2000, 1, 1))
        CronSim(" ".join([*fields[:3], "*", *fields[4:]]), datetime(2000, 1, 1))
    except CronSimError:
        return False
    return True
