"""Firing: a due time becomes a run, a message in the inbox, and the next due time. All of it or nothing: each
function here belongs into one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from agent.protocol import failpoint
from agent.protocol.messages import MessageIn, Route, TaskIn
from bot.budgets import Budgets
from bot.db import inbox, series, usage
from bot.db import sessions as rows
from bot.db.series import SeriesRecord
from bot.db.sessions import SessionRecord
from bot.deferring import keep_task
from bot.engage import SHARED
from bot.money import Whose
from bot.recurrence import newest_times

UNFINISHED_RUNS: Final = 100
"""A session that does not get on with the runs of a series is not given ever more of them: a time that comes while
so many wait is missed."""
LATE_MS: Final = 60_000
"""Somebody who wakes up this late was busy; later than that the time was missed."""


@dataclass(frozen=True)
class Fired:
    """The messages of a session that a series has just been run with."""

    record: SessionRecord
    messages: tuple[MessageIn, ...]


def fire(
    db: sqlite3.Connection, series_id: str, *, now: int, catch_up_max: int, budgets: Budgets | None = None
) -> Fired | None:
    """Runs what is due of a series and sets when it is due next; None when nothing is. What `budgets` refuse is kept,
    once a series, and said. Raises BadTime."""
    found = series.get(db, series_id)
    if found is None or found.next_at is None or found.next_at > now:
        return None
    record = rows.get(db, found.session)
    if record is None:
        series.cancel(db, series_id)
        return None
    room = max(0, UNFINISHED_RUNS - series.running(db, series_id))
    times = to_run(found, found.next_at, now=now, catch_up_max=catch_up_max)[:room]
    messages = [_begin(db, found, record, at, budgets, manual=False, now=now) for at in times]
    following = found.when.after(max(now, found.next_at))
    if following is not None and found.ends_at is not None and following > found.ends_at:
        following = None
    series.advance(db, found, runs=len(times), next_at=following)
    failpoint.hit("run-mid-commit")
    return Fired(record, tuple(message for message in messages if message is not None))


def to_run(found: SeriesRecord, first: int, *, now: int, catch_up_max: int) -> list[int]:
    """Which of the times from `first` to `now` are run. Pure. Raises BadTime."""
    last = now if found.ends_at is None else min(now, found.ends_at)
    limit = catch_up_max if found.catch_up == "all" else 1
    if found.remaining is not None:
        limit = min(limit, found.remaining)
    times = newest_times(found.when, first=first, last=last, limit=limit)
    if found.catch_up == "skip":
        return [at for at in times if now - at <= LATE_MS]
    return times


def fire_now(
    db: sqlite3.Connection, series_id: str, *, now: int, budgets: Budgets | None = None
) -> Fired | None:
    """Runs a series out of turn; its times and its count stay. None when it has ended or is not. One that `budgets`
    refuse has no messages."""
    found = series.get(db, series_id)
    if found is None or found.status not in ("active", "paused"):
        return None
    record = rows.get(db, found.session)
    if record is None:
        return None
    at = now
    while at == found.next_at or series.has_run(db, series_id, at):
        at += 1
    message = _begin(db, found, record, at, budgets, manual=True, now=now)
    return Fired(record, () if message is None else (message,))


def _place(db: sqlite3.Connection, record: SessionRecord) -> Route:
    """What several places share has none of its own: it is where its agent was asked last."""
    asked_at = inbox.asked_at(db, record.id) if record.route.channel == SHARED else None
    return asked_at or record.route


def _begin(
    db: sqlite3.Connection,
    found: SeriesRecord,
    record: SessionRecord,
    due_at: int,
    budgets: Budgets | None,
    *,
    manual: bool,
    now: int,
) -> MessageIn | None:
    """None when this time was run before, or a budget is used up."""
    message_id, event_id = inbox.new_id(), f"series:{found.id}:{due_at}"
    if inbox.known(db, event_id):
        return None
    if budgets is not None:
        person = usage.maker(found.created_by) or usage.last_person(db, record.id, record.last_in_seq + 1)
        place = _place(db, record)
        whose = Whose(record.agent, (place.channel, place.platform_id), person)
        refused = budgets.reserve(db, message_id, whose, place)
        if refused is not None:
            keep_task(db, budgets, refused, found, record, message_id, person, place, now=now)
            return None
    if not series.begin_run(db, found.id, due_at, message_id, manual=manual, now=now):
        return None
    return inbox.accept(
        db,
        record,
        message_id=message_id,
        event_id=event_id,
        kind="task",
        content=TaskIn(prompt=found.prompt, series=found.id, script=found.script),
        route=found.place or _place(db, record),
        created_at=due_at,
        now=now,
    )
