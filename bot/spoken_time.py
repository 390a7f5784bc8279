"""What people write for a time, as a value: "every monday at 8", "in 10 minutes", "2026-11-23 08:00". Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, get_args

from bot.recurrence import DAYS, UNIT_SECONDS, At, BadTime, Cron, Every, Unit, When, cron, instant, zone

EXAMPLES: Final = (
    '"in 10 minutes", "tomorrow at 9:30", "monday at 8", "every monday at 8", "every weekday at 9:15",'
    ' "daily at 8", "every 2 hours", "2026-11-23 08:00" or a cron pattern'
)
CHECKED_TIMES: Final = 3_000
"""Beyond two days of minutes nothing new about a pattern's smallest interval is to be found."""

_DAY: Final = "|".join(f"{day[:3].lower()}(?:{day[3:].lower()})?s?" for day in DAYS)
_DAYS: Final = rf"(?:{_DAY})(?:(?:, and | and |, |,)(?:{_DAY}))*"
_TIME: Final = r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))? ?(?P<half>am|pm)?"
_UNIT: Final = r"(?P<unit>seconds?|minutes?|hours?|days?|weeks?)"
_ZONE: Final = re.compile(r"(.+?)(?: in)? (UTC|[A-Za-z_]+(?:/[A-Za-z][\w+-]*)+)")
_CRON: Final = re.compile(r"[\d*]\S*(?: \S+){4}")
_PLAIN_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}[ t]\d{1,2}:\d{2}.*")


def parse(text: str, *, now: int, timezone: str, minimum_seconds: float) -> When:
    """The time that `text` says, as seen at `now`. A zone at its end goes before `timezone`. Raises BadTime."""
    said = " ".join(text.split())
    named = _ZONE.fullmatch(said)
    if named is not None:
        said, timezone = named[1], named[2]
    zone(timezone)
    reading = _Reading(now, timezone)
    try:
        when = reading.read(said)
        first = when.after(now)
        if first is None:
            raise BadTime(f"{text} never comes.")
    except (OverflowError, OSError) as exc:
        raise BadTime(f"{text} is too far away.") from exc
    if _is_too_often(when, first, minimum_seconds):
        raise BadTime(f"{text} is too often: the shortest interval is {minimum_seconds:g} seconds.")
    return when


def parse_end(text: str, *, now: int, timezone: str) -> int:
    """The last moment that `text` names: of a date the end, else the time that it says. Raises BadTime."""
    said = text.strip()
    if _PLAIN_DATE.fullmatch(said):
        try:
            following = datetime.fromisoformat(said) + timedelta(days=1)
        except (ValueError, OverflowError) as exc:
            raise BadTime(f"{text} is no date; write it like 2026-11-23.") from exc
        end = instant(following, zone(timezone)) - 1
        if end <= now:
            raise BadTime(f"{text} is in the past: say an end that is to come.")
        return end
    try:
        when = parse(said, now=now, timezone=timezone, minimum_seconds=0)
    except BadTime as exc:
        if EXAMPLES not in str(exc):
            raise
        # What the examples say has no end.
        raise BadTime(f"{text} is no date; write it like 2026-11-23, or 2026-11-23 08:00.") from exc
    if not isinstance(when, At):
        raise BadTime(f"{text} has no end: say one date or time.")
    return when.at


class _Reading:
    """One reading of a text at one moment in one zone."""

    def __init__(self, now: int, timezone: str) -> None:
        self._now = now
        self._timezone = timezone
        self._zone = zone(timezone)
        # A person means minutes and seconds; what is left of a second is only in the way.
        self._start = now - now % 1000
        self._wall = datetime.fromtimestamp(self._start / 1000, self._zone).replace(tzinfo=None, fold=0)

    def read(self, said: str) -> When:
        """Raises BadTime, OverflowError, OSError."""
        lower = said.lower()
        if _CRON.fullmatch(said) and not _DATE.fullmatch(lower):
            return cron(said, self._timezone)
        if _DATE.fullmatch(lower):
            return self._date(said)
        for pattern, read in _FORMS:
            found = re.fullmatch(pattern, lower)
            if found is not None:
                return read(self, found)
        raise BadTime(f"I do not understand the time {said or 'of nothing'}; say for example {EXAMPLES}.")

    def from_now(self, found: re.Match[str]) -> At:
        """ "in 10 minutes" """
        amount, unit = _amount(found), _unit(found)
        return self._at(self._later(amount, unit))

    def on_a_day(self, found: re.Match[str]) -> At:
        """ "tomorrow at 9:30", "monday at 8", "at 8" """
        match found["day"]:
            case None:
                return self._at(self._next(found, 0, again=1))
            case "today":
                return self._at(self._on(found, 0))
            case "tomorrow":
                return self._at(self._on(found, 1))
            case day:
                return self._at(self._next(found, (_day_number(day) - self._wall.isoweekday()) % 7, again=7))

    def every_day(self, found: re.Match[str]) -> Cron:
        """ "daily at 8" """
        return self._weekly("*", found)

    def every_weekday(self, found: re.Match[str]) -> Cron:
        """ "every weekday at 9:15" """
        return self._weekly("1-5", found)

    def every_named_day(self, found: re.Match[str]) -> Cron:
        """ "every monday and thursday at 8" """
        numbers = sorted({_day_number(day) for day in re.findall(_DAY, found["days"])})
        return self._weekly(",".join(str(number % 7) for number in numbers), found)

    def every_so_often(self, found: re.Match[str]) -> Every:
        """ "every 2 hours", "every 2 days at 9" """
        amount, unit = _amount(found), _unit(found)
        if found["hour"] is None:
            start = self._later(amount, unit)
        else:
            if unit not in ("days", "weeks"):
                raise BadTime(f"{found[0]} is two times in one; say for example {EXAMPLES}.")
            start = self._next(found, 0, again=1)
        return Every(amount=amount, unit=unit, start=start, timezone=self._timezone)

    def _date(self, said: str) -> At:
        day, clock = re.split("[ Tt]", said, maxsplit=1)
        padded = clock if clock[1:2] != ":" else f"0{clock}"
        try:
            given = datetime.fromisoformat(f"{day}T{padded.upper()}")
        except ValueError as exc:
            raise BadTime(f"{said} is no date and time; write it like 2026-11-23 08:00.") from exc
        if given.tzinfo is not None:
            return self._at(round(given.timestamp() * 1000))
        return self._at(instant(given, self._zone))

    def _weekly(self, days: str, found: re.Match[str]) -> Cron:
        hour, minute = _time(found)
        return cron(f"{minute} {hour} * * {days}", self._timezone)

    def _later(self, amount: int, unit: Unit) -> int:
        seconds = amount * UNIT_SECONDS[unit]
        if unit in ("days", "weeks"):
            return instant(self._wall + timedelta(seconds=seconds), self._zone)
        return self._start + seconds * 1000

    def _on(self, found: re.Match[str], days_ahead: int) -> int:
        hour, minute = _time(found)
        wall = self._wall.replace(hour=hour, minute=minute, second=0) + timedelta(days=days_ahead)
        return instant(wall, self._zone)

    def _next(self, found: re.Match[str], days_ahead: int, *, again: int) -> int:
        """The time on that day or, when it has passed, `again` days later."""
        at = self._on(found, days_ahead)
        return at if at > self._now else self._on(found, days_ahead + again)

    def _at(self, at: int) -> At:
        if at <= self._now:
            raise BadTime("This time is in the past: say one that is to come.")
        return At(at=at, timezone=self._timezone)


_FORMS: Final[tuple[tuple[str, Callable[[_Reading, re.Match[str]], When]], ...]] = (
    (rf"in (?P<amount>\d{{1,6}}|an?) {_UNIT}", _Reading.from_now),
    (rf"(?:(?:on |next )?(?P<day>today|tomorrow|{_DAY}) )?at {_TIME}", _Reading.on_a_day),
    (rf"(?:daily|every day) at {_TIME}", _Reading.every_day),
    (rf"(?:every weekday|weekdays) at {_TIME}", _Reading.every_weekday),
    (rf"every (?P<days>{_DAYS}) at {_TIME}", _Reading.every_named_day),
    (rf"every (?:(?P<amount>\d{{1,6}}) )?{_UNIT}(?: at {_TIME})?", _Reading.every_so_often),
)


def _amount(found: re.Match[str]) -> int:
    given = found["amount"]
    amount = int(given) if given and given.isdigit() else 1
    if amount == 0:
        raise BadTime(f"{found[0]} is no time; say for example {EXAMPLES}.")
    return amount


def _unit(found: re.Match[str]) -> Unit:
    units: tuple[Unit, ...] = get_args(Unit)
    return next(unit for unit in units if unit.startswith(found["unit"].removesuffix("s")))


def _time(found: re.Match[str]) -> tuple[int, int]:
    hour, minute, half = int(found["hour"]), int(found["minute"] or 0), found["half"]
    if half is not None and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "pm" else 0)
    elif half is not None:
        hour = 24
    if hour > 23 or minute > 59:
        raise BadTime(f"{found[0]} is no time of a day; write it like 8, 8:30, 20:30 or 8:30 pm.")
    return hour, minute


def _day_number(day: str) -> int:
    """Monday is 1, as in ISO 8601, and Sunday 7."""
    number = next(n for n, name in enumerate(DAYS) if name[:3].lower() == day[:3])
    return number or 7


def _is_too_often(when: When, first: int, minimum_seconds: float) -> bool:
    match when:
        case At():
            return False
        case Every():
            return when.seconds < minimum_seconds
        case Cron():
            pass
    if minimum_seconds <= UNIT_SECONDS["minutes"]:
        return False
    last = first + 2 * UNIT_SECONDS["days"] * 1000
    for _ in range(CHECKED_TIMES):
        following = when.after(first)
        if following is None or following > last:
            return False
        if following - first < minimum_seconds * 1000:
            return True
        first = following
    return False
