"""The series and runs tables: what is to happen again and again, and each time that it did.

A run belongs to the time at which it was due, and there is one for it at most. What becomes of a run is the
end of its message in the inbox, in the same transaction; a run that ends never changes when the next one is.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cronsim import CronSimError
from pydantic import ValidationError

from agent.protocol.messages import MAX_SCHEDULE_CHARS, Route, Schedule
from bot import surfaces
from bot.db import deliveries, sessions
from bot.recurrence import WHEN, BadTime, When

CatchUp = Literal["once", "skip", "all"]
Status = Literal["active", "paused", "finished", "cancelled"]
RunState = Literal["running", "done", "failed"]
RUNS_KEPT: Final = 500
TOLD: Final = 100
PAUSED: Final = "The schedule {id} is paused: its last {failures} runs failed. `{resume}` lets it go on."


@dataclass(frozen=True)
class Draft:
    """A series before it is kept. `count` runs at most, none after `ends_at`; `max_failures` in a row pause
    it."""

    prompt: str
    when: When
    next_at: int
    created_by: str
    catch_up: CatchUp = "once"
    count: int | None = None
    ends_at: int | None = None
    max_failures: int = 3
    script: str | None = None
    """Runs before each prompt, where the agent is, and may find that there is nothing to do."""


@dataclass(frozen=True)
class Change:
    """What may be changed of a series, as it is to be from now on."""

    prompt: str
    when: When
    next_at: int | None
    script: str | None


@dataclass(frozen=True)
class SeriesRecord:
    """A row of series. It has a `next_at` exactly while it is active."""

    id: str
    session: str
    prompt: str
    when: When
    catch_up: CatchUp
    status: Status
    next_at: int | None
    remaining: int | None
    ends_at: int | None
    failures: int
    max_failures: int
    created_by: str
    created_at: int
    script: str | None
    place: Route | None = None
    """Where it was made, which is where its runs are asked for; None: where its conversation is."""

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> SeriesRecord:
        known = {name: row[name] for name in cls.__dataclass_fields__ if name not in ("when", "place")}
        place = row["place"] and Route.model_validate_json(row["place"])
        return cls(**known, when=WHEN.validate_json(row["recurrence"]), place=place)


@dataclass(frozen=True)
class Run:
    """A row of runs. A `manual` one was asked for and belongs to no time of the recurrence."""

    due_at: int
    message_id: str
    manual: bool
    state: RunState
    started_at: int
    settled_at: int | None

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Run:
        known = {name: row[name] for name in cls.__dataclass_fields__ if name != "manual"}
        return cls(**known, manual=bool(row["manual"]))


def create(
    db: sqlite3.Connection, session_id: str, draft: Draft, *, now: int, place: Route | None = None
) -> SeriesRecord:
    """Keeps a new series, of which each run is asked for at `place`; None: where its conversation is."""
    record = sessions.get(db, session_id)
    elsewhere = place is not None and record is not None and record.route != place
    series_id = secrets.token_hex(4)
    db.execute(
        "INSERT INTO series (id, session, prompt, recurrence, catch_up, status, next_at, remaining, ends_at,"
        " failures, max_failures, created_by, created_at, script, place)"
        " VALUES (?, ?, ?, ?, ?, 'active', ?, ?, ?, 0, ?, ?, ?, ?, ?)",
        (
            series_id,
            session_id,
            draft.prompt,
            draft.when.model_dump_json(),
            draft.catch_up,
            draft.next_at,
            draft.count,
            draft.ends_at,
            draft.max_failures,
            draft.created_by,
            now,
            draft.script,
            place.model_dump_json() if place is not None and elsewhere else None,
        ),
    )
    return _there(db, series_id)


def get(db: sqlite3.Connection, series_id: str) -> SeriesRecord | None:
    """The series of this id, if there is one."""
    row = db.execute("SELECT * FROM series WHERE id = ?", (series_id,)).fetchone()
    return None if row is None else SeriesRecord.from_row(row)


def _there(db: sqlite3.Connection, series_id: str) -> SeriesRecord:
    found = get(db, series_id)
    assert found is not None  # noqa: S101 - it was written in this transaction
    return found


def held(db: sqlite3.Connection, session_id: str, created_by: str) -> int:
    """How many series of a session that this one has made may still run."""
    found = db.execute(
        "SELECT count(*) FROM series WHERE session = ? AND created_by = ? AND status IN ('active', 'paused')",
        (session_id, created_by),
    )
    return int(found.fetchone()[0])


def by_prefix(db: sqlite3.Connection, prefix: str) -> list[SeriesRecord]:
    """The series whose ids begin with `prefix`; two at most, which is enough to see that it is ambiguous."""
    rows = db.execute(
        "SELECT * FROM series WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 2", (len(prefix), prefix)
    )
    return [SeriesRecord.from_row(row) for row in rows]


def listed(
    db: sqlite3.Connection, session_id: str | None, limit: int, *, agents: Collection[str] | None = None
) -> list[SeriesRecord]:
    """The series that may still run, of one session or of all, or of these agents only; the next one to run first."""
    where, values = ("", ()) if session_id is None else ("AND session = ?", (session_id,))
    rows = db.execute(
        f"SELECT * FROM series WHERE status IN ('active', 'paused') {where}"
        " AND (? IS NULL OR session IN (SELECT id FROM sessions WHERE agent IN (SELECT value FROM json_each(?))))"
        " ORDER BY next_at IS NULL, next_at, created_at, id LIMIT ?",
        (*values, *[None if agents is None else json.dumps(sorted(agents))] * 2, limit),
    )
    return [SeriesRecord.from_row(row) for row in rows]


def told(
    db: sqlite3.Connection,
    session_id: str | None,
    limit: int | None = None,
    *,
    agents: Collection[str] | None = None,
) -> list[Schedule]:
    """The series that may still run, of one session or of all, or of these agents, as its agent and who types a command
    are told of them, the next one first; TOLD at most unless it is said otherwise. Also those whose recurrence is not
    understood any more."""
    where, values = ("", ()) if session_id is None else ("AND session = ?", (session_id,))
    if agents is not None:
        where += " AND session IN (SELECT id FROM sessions WHERE agent IN (SELECT value FROM json_each(?)))"
        values = (*values, json.dumps(sorted(agents)))
    rows = db.execute(
        f"SELECT * FROM series WHERE status IN ('active', 'paused') {where}"
        " ORDER BY next_at IS NULL, next_at, created_at, id LIMIT ?",
        (*values, TOLD if limit is None else limit),
    )
    return [_told(row) for row in rows]


def _told(row: sqlite3.Row) -> Schedule:
    recurrence = timezone = None
    try:
        when = WHEN.validate_json(row["recurrence"])
        recurrence, timezone = _cut(when.describe()), when.timezone
    except (ValidationError, BadTime, CronSimError):
        # Its timer finds out as well, and says so; meanwhile the session's messages must not wait for that.
        pass
    return Schedule(
        series_id=row["id"],
        prompt=_cut(row["prompt"]),
        recurrence=recurrence,
        timezone=timezone,
        status=row["status"],
        next_at=row["next_at"],
    )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SCHEDULE_CHARS else text[: MAX_SCHEDULE_CHARS - 1] + "…"


def session_of(db: sqlite3.Connection, series_id: str) -> str | None:
    """The session of a series, if there is one."""
    row = db.execute("SELECT session FROM series WHERE id = ?", (series_id,)).fetchone()
    return None if row is None else str(row["session"])


_AT_WORK: Final = (
    "session NOT IN (SELECT id FROM sessions WHERE agent IN"
    " (SELECT name FROM agents WHERE deleted_at IS NOT NULL))"
)
"""Of series that do not rest because their agent was deleted."""


def due(db: sqlite3.Connection, now: int, limit: int) -> list[str]:
    """The ids of the series whose time has come, the longest overdue first."""
    rows = db.execute(
        f"SELECT id FROM series WHERE status = 'active' AND next_at <= ? AND {_AT_WORK} ORDER BY next_at LIMIT ?",
        (now, limit),
    )
    return [row[0] for row in rows]


def next_due(db: sqlite3.Connection) -> int | None:
    """When the next series is due, if one is."""
    found: int | None = db.execute(
        f"SELECT min(next_at) FROM series WHERE status = 'active' AND {_AT_WORK}"
    ).fetchone()[0]
    return found


def advance(db: sqlite3.Connection, series: SeriesRecord, *, runs: int, next_at: int | None) -> None:
    """An active series has been run so often, and goes on at `next_at` unless that was its end."""
    remaining = None if series.remaining is None else series.remaining - runs
    going_on = next_at is not None and remaining != 0
    db.execute(
        "UPDATE series SET status = ?, next_at = ?, remaining = ? WHERE id = ? AND status = 'active'",
        ("active" if going_on else "finished", next_at if going_on else None, remaining, series.id),
    )


def pause(db: sqlite3.Connection, series_id: str) -> bool:
    """False when it is not active."""
    changed = db.execute(
        "UPDATE series SET status = 'paused', next_at = NULL WHERE id = ? AND status = 'active'", (series_id,)
    )
    return changed.rowcount == 1


def resume(db: sqlite3.Connection, series_id: str, *, next_at: int) -> bool:
    """Goes on at `next_at` with a clean record; False when it is not paused."""
    changed = db.execute(
        "UPDATE series SET status = 'active', next_at = ?, failures = 0 WHERE id = ? AND status = 'paused'",
        (next_at, series_id),
    )
    return changed.rowcount == 1


def change(db: sqlite3.Connection, found: SeriesRecord, to: Change) -> SeriesRecord:
    """It is another one from now on, under the same id; an active one stays active, a paused one paused."""
    db.execute(
        "UPDATE series SET prompt = ?, recurrence = ?, next_at = ?, script = ?"
        " WHERE id = ? AND status IN ('active', 'paused')",
        (to.prompt, to.when.model_dump_json(), to.next_at, to.script, found.id),
    )
    return _there(db, found.id)


def cancel(db: sqlite3.Connection, series_id: str) -> bool:
    """For good; False when it has ended already."""
    changed = db.execute(
        "UPDATE series SET status = 'cancelled', next_at = NULL WHERE id = ? AND status IN ('active', 'paused')",
        (series_id,),
    )
    return changed.rowcount == 1


# ---------------------------------------------------------------- runs


def begin_run(
    db: sqlite3.Connection, series_id: str, due_at: int, message_id: str, *, manual: bool, now: int
) -> bool:
    """Keeps that the time `due_at` is being run; False when it was before. Old runs make room."""
    added = db.execute(
        "INSERT OR IGNORE INTO runs (series_id, due_at, message_id, manual, state, started_at)"
        " VALUES (?, ?, ?, ?, 'running', ?)",
        (series_id, due_at, message_id, manual, now),
    )
    db.execute(
        "DELETE FROM runs WHERE series_id = ?1 AND state != 'running' AND due_at <="
        " (SELECT due_at FROM runs WHERE series_id = ?1 ORDER BY due_at DESC LIMIT 1 OFFSET ?2)",
        (series_id, RUNS_KEPT),
    )
    return added.rowcount == 1


def running(db: sqlite3.Connection, series_id: str) -> int:
    """How many runs of a series have not come to their end."""
    found = db.execute("SELECT count(*) FROM runs WHERE series_id = ? AND state = 'running'", (series_id,))
    return int(found.fetchone()[0])


def has_run(db: sqlite3.Connection, series_id: str, due_at: int) -> bool:
    """Whether this time was run."""
    found = db.execute("SELECT 1 FROM runs WHERE series_id = ? AND due_at = ?", (series_id, due_at))
    return found.fetchone() is not None


def history(db: sqlite3.Connection, series_id: str, limit: int) -> list[Run]:
    """The newest runs, newest first."""
    rows = db.execute(
        "SELECT * FROM runs WHERE series_id = ? ORDER BY due_at DESC LIMIT ?", (series_id, limit)
    )
    return [Run.from_row(row) for row in rows]


def runs_done(db: sqlite3.Connection, message_ids: Sequence[str], *, now: int) -> None:
    """Those of these messages that are runs have succeeded."""
    for message_id in message_ids:
        series_id = _settle(db, message_id, "done", now)
        if series_id is not None:
            db.execute("UPDATE series SET failures = 0 WHERE id = ?", (series_id,))


def runs_failed(db: sqlite3.Connection, message_ids: Sequence[str], *, now: int) -> None:
    """Those of these messages that are runs have failed; a series that fails too often in a row is paused, and
    so it is said where it belongs."""
    for message_id in message_ids:
        series_id = _settle(db, message_id, "failed", now)
        if series_id is None:
            continue
        db.execute("UPDATE series SET failures = failures + 1 WHERE id = ?", (series_id,))
        # Columns and not the record: a recurrence that is not understood any more must not keep a run from its end.
        row = db.execute("SELECT * FROM series WHERE id = ?", (series_id,)).fetchone()
        if row["failures"] >= row["max_failures"] and pause(db, series_id):
            _say_paused(db, row, now=now)


def _say_paused(db: sqlite3.Connection, row: sqlite3.Row, *, now: int) -> None:
    record = sessions.get(db, row["session"])
    if record is not None:
        resume = surfaces.spelled(record.route.channel, f"schedule resume {row['id']}")
        text = PAUSED.format(id=row["id"], failures=row["failures"], resume=resume)
        deliveries.add_notice(db, record.id, record.route, text, now=now)


def say(db: sqlite3.Connection, session_id: str, text: str, *, now: int) -> None:
    """Keeps a notice for the conversation of a series."""
    record = sessions.get(db, session_id)
    if record is not None:
        deliveries.add_notice(db, record.id, record.route, text, now=now)


def _settle(db: sqlite3.Connection, message_id: str, state: RunState, now: int) -> str | None:
    """The series of the run that this message was, if it was one that had not ended."""
    row = db.execute(
        "SELECT series_id FROM runs WHERE message_id = ? AND state = 'running'", (message_id,)
    ).fetchone()
    if row is None:
        return None
    db.execute(
        "UPDATE runs SET state = ?, settled_at = ? WHERE message_id = ? AND state = 'running'",
        (state, now, message_id),
    )
    return str(row["series_id"])
