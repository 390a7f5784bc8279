"""What people write for a time that has passed: "2026-11-23", "2026-11-23 08:00", "yesterday", "3d", "2 hours ago".
Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from bot.recurrence import UNIT_SECONDS, BadTime, Unit, instant, zone

EXAMPLES: Final = '"2026-11-23", "2026-11-23 08:00", "yesterday", "12 hours ago" or "3d"'
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}[ tT]\d{2}:\d{2}.*")
_AGO: Final = re.compile(
    r"(?P<amount>\d{1,6}) ?(?P<unit>s|m|h|d|w|seconds?|minutes?|hours?|days?|weeks?)(?: ago)?"
)
_UNITS: Final[dict[str, Unit]] = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def begins(text: str, *, now: int, timezone: str) -> int:
    """The first moment that the text names, in epoch milliseconds: of a day its beginning. Raises BadTime."""
    return _span(text, now, timezone)[0]


def ends(text: str, *, now: int, timezone: str) -> int:
    """The last moment that it names: of a day its end. Raises BadTime."""
    return _span(text, now, timezone)[1]


def _span(text: str, now: int, timezone: str) -> tuple[int, int]:
    said = " ".join(text.split()).lower()
    place = zone(timezone)
    try:
        if said in ("today", "yesterday") or _DAY.fullmatch(said):
            today = datetime.fromtimestamp(now / 1000, place).replace(tzinfo=None)
            day = {"today": today, "yesterday": today - timedelta(days=1)}.get(said)
            start = day or datetime.fromisoformat(said)
            start = start.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
            return instant(start, place), instant(start + timedelta(days=1), place) - 1
        if _MOMENT.fullmatch(said):
            given = datetime.fromisoformat(said.upper())
            at = instant(given, place) if given.tzinfo is None else round(given.timestamp() * 1000)
            return at, at
        if found := _AGO.fullmatch(said):
            at = now - int(found["amount"]) * UNIT_SECONDS[_UNITS[found["unit"][0]]] * 1000
            return max(0, at), max(0, at)
    except (ValueError, OverflowError, OSError) as exc:
        raise BadTime(f"{text} is no date or time; write it like {EXAMPLES}.") from exc
    raise BadTime(f"{text} is no date or time; write it like {EXAMPLES}.")
