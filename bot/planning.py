"""Planning: what may be asked of schedules, the same whether a person or an agent asks. What takes a connection
belongs into a transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from bot.config_tables import SchedulesConfig
from bot.db import series
from bot.db.series import CatchUp, Draft, SeriesRecord
from bot.errors import CommandFailed
from bot.recurrence import When, next_times, written
from bot.spoken_time import parse, parse_end


@dataclass(frozen=True)
class Wish:
    """What somebody wants to have done and when, in their own words; empty is unsaid."""

    prompt: str
    when: str
    timezone: str = ""
    catch_up: CatchUp = "once"
    count: int | None = None
    until: str = ""
    script: str | None = None


def draft(wish: Wish, config: SchedulesConfig, *, created_by: str, now: int) -> Draft:
    """Raises CommandFailed, for instance BadTime."""
    when = parse(
        wish.when,
        now=now,
        timezone=wish.timezone or config.timezone,
        minimum_seconds=config.min_interval_seconds,
    )
    ends_at = parse_end(wish.until, now=now, timezone=when.timezone) if wish.until else None
    return Draft(
        prompt=wish.prompt,
        when=when,
        next_at=first_time(when, ends_at, now=now),
        created_by=created_by,
        catch_up=wish.catch_up,
        count=wish.count,
        ends_at=ends_at,
        max_failures=config.max_failures,
        script=wish.script,
    )


def first_time(when: When, ends_at: int | None, *, now: int) -> int:
    """When it is due first. Raises CommandFailed when it ends before that."""
    first = next_times(when, now, 1)[0]
    if ends_at is not None and first > ends_at:
        raise CommandFailed("This ends before it has run once.")
    return first


def coming(when: When, first: int, most: int, *, ends_at: int | None, count: int | None) -> list[int]:
    """The times from `first` on, `most` at most."""
    times = [first, *next_times(when, first, most - 1)]
    return [at for at in times if ends_at is None or at <= ends_at][:count]


def in_words(when: When, times: list[int]) -> str:
    """Times for people."""
    return ", ".join(written(at, when.timezone) for at in times)


def pause(db: sqlite3.Connection, series_id: str) -> None:
    """It is not run until it is resumed. Raises CommandFailed."""
    if not series.pause(db, series_id):
        raise CommandFailed(f"Schedule {series_id} is not active.")


def resume(db: sqlite3.Connection, series_id: str, *, now: int) -> SeriesRecord:
    """It goes on, with a clean record. What it missed meanwhile is not run. Raises CommandFailed."""
    found = series.get(db, series_id)
    if found is None or found.status != "paused":
        raise CommandFailed(f"Schedule {series_id} is not paused.")
    next_at = found.when.after(now)
    if next_at is None or (found.ends_at is not None and next_at > found.ends_at):
        raise CommandFailed(
            f"The time of schedule {series_id} has passed: run it by hand, or make a new one."
        )
    series.resume(db, series_id, next_at=next_at)
    return replace(found, status="active", next_at=next_at, failures=0)


def cancel(db: sqlite3.Connection, series_id: str) -> None:
    """It never runs again; a run under way is finished. Raises CommandFailed."""
    if not series.cancel(db, series_id):
        raise CommandFailed(f"Schedule {series_id} has ended already.")
