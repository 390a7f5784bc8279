"""Tasks: schedules that an agent asks for. It may do to those of its own session what an admin does by commands,
within bounds: whoever has taken over its container must not fill bot.db.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from agent.protocol.messages import ChangeTask, Route, ScheduleTask, UpdateTask
from bot import planning
from bot.config_tables import SchedulesConfig
from bot.db import series
from bot.db.series import Change, SeriesRecord
from bot.errors import CommandFailed
from bot.planning import Wish
from bot.recurrence import At, When
from bot.redaction import redact
from bot.spoken_time import parse

MAX_HELD: Final = 50
"""So many schedules that an agent has made may be active or paused in one session."""
MAX_PROMPT_CHARS: Final = 20_000
SHOWN_TIMES: Final = 3

Asked = ScheduleTask | UpdateTask | ChangeTask


def carry_out(
    db: sqlite3.Connection,
    session_id: str,
    asked: Asked,
    config: SchedulesConfig,
    *,
    now: int,
    place: Route | None = None,
) -> str:
    """Does it, at a place where the agent was asked, and returns what it is told. Raises CommandFailed; then nothing
    was done."""
    match asked:
        case ScheduleTask():
            return _schedule(db, session_id, asked, config, now, place)
        case UpdateTask():
            return _update(db, _own(db, session_id, asked.series_id), asked, config, now)
        case ChangeTask(action="pause_task"):
            found = _own(db, session_id, asked.series_id)
            planning.pause(db, found.id)
            return f"Schedule {found.id} is paused."
        case ChangeTask(action="resume_task"):
            found = planning.resume(db, _own(db, session_id, asked.series_id).id, now=now)
            return f"Schedule {found.id} goes on. {_told(found)}"
        case ChangeTask():
            found = _own(db, session_id, asked.series_id)
            planning.cancel(db, found.id)
            return f"Schedule {found.id} is cancelled."


def _schedule(
    db: sqlite3.Connection,
    session_id: str,
    asked: ScheduleTask,
    config: SchedulesConfig,
    now: int,
    place: Route | None,
) -> str:
    if (asked.when is None) == (asked.recurrence is None):
        raise CommandFailed("Say either when, for once, or a recurrence.")
    maker = f"agent:{session_id}"
    if series.held(db, session_id, maker) >= MAX_HELD:
        raise CommandFailed(
            f"There are {MAX_HELD} schedules of yours already; cancel one that is not needed."
        )
    wish = Wish(
        _prompt(asked.prompt),
        asked.when or asked.recurrence or "",
        asked.timezone or "",
        script=asked.script or None,
    )
    draft = planning.draft(wish, config, created_by=maker, now=now)
    _is_what_was_said(draft.when, once=asked.when is not None)
    made = series.create(db, session_id, draft, now=now, place=place)
    return f"Scheduled as {made.id}: {_told(made)}"


def _update(
    db: sqlite3.Connection, found: SeriesRecord, asked: UpdateTask, config: SchedulesConfig, now: int
) -> str:
    if found.status not in ("active", "paused"):
        raise CommandFailed(f"Schedule {found.id} has ended already.")
    if not asked.model_dump(exclude={"action", "series_id"}, exclude_none=True):
        raise CommandFailed("Say what is to be changed.")
    when = _new_when(found, asked, config, now)
    next_at = found.next_at
    if when is not None:
        first = planning.first_time(when, found.ends_at, now=now)
        next_at = None if found.next_at is None else first
    changed = Change(
        prompt=found.prompt if asked.prompt is None else _prompt(asked.prompt),
        when=when or found.when,
        next_at=next_at,
        script=found.script if asked.script is None else asked.script or None,
    )
    return f"Schedule {found.id} is changed. {_told(series.change(db, found, changed))}"


def _new_when(found: SeriesRecord, asked: UpdateTask, config: SchedulesConfig, now: int) -> When | None:
    """None when it stays. A zone alone moves what goes by the clock on the wall, as it was said in that zone."""
    said = asked.when or asked.recurrence
    if asked.when is not None and asked.recurrence is not None:
        raise CommandFailed("Say either when, for once, or a recurrence.")
    if said is None and asked.timezone is None:
        return None
    if said is None:
        if found.when.type != "cron":
            raise CommandFailed(
                "Say when or the recurrence as well: this schedule is not one of days and hours."
            )
        said = found.when.expression
    when = parse(
        said,
        now=now,
        timezone=asked.timezone or found.when.timezone,
        minimum_seconds=config.min_interval_seconds,
    )
    if asked.when is not None or asked.recurrence is not None:
        _is_what_was_said(when, once=asked.when is not None)
    return when


def _is_what_was_said(when: When, *, once: bool) -> None:
    if once and not isinstance(when, At):
        raise CommandFailed(f"This happens again and again ({when.describe()}): say it as the recurrence.")
    if not once and isinstance(when, At):
        raise CommandFailed(f"This happens only once ({when.describe()}): say it as when.")


def _own(db: sqlite3.Connection, session_id: str, series_id: str) -> SeriesRecord:
    """Another session's is as unknown as one that never was."""
    found = series.get(db, series_id)
    if found is None or found.session != session_id:
        raise CommandFailed(f"There is no schedule {series_id} here; list_tasks shows them.")
    return found


def _prompt(text: str) -> str:
    """People see it in lists."""
    if len(text) > MAX_PROMPT_CHARS:
        raise CommandFailed(f"The prompt has {len(text):,} characters; the limit is {MAX_PROMPT_CHARS:,}.")
    if not text.strip():
        raise CommandFailed("Say what is to be done.")
    return redact(text)


def _told(found: SeriesRecord) -> str:
    when = found.when
    if found.next_at is None:
        return f"{when.describe()}; {found.status}."
    times = planning.coming(when, found.next_at, SHOWN_TIMES, ends_at=found.ends_at, count=found.remaining)
    return f"{when.describe()}; next: {planning.in_words(when, times)}."
