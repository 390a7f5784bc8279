"""Schedules that an agent asks for, over the tables of bot.db."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from agent.protocol.messages import ChangeTask, Route, ScheduleTask, UpdateTask
from bot import tasks
from bot.config_tables import SchedulesConfig
from bot.db import engine, series, sessions
from bot.db.series import Draft
from bot.errors import CommandFailed
from bot.recurrence import At

NOW = 1_764_057_600_000
"""2025-11-25 08:00 UTC, a Tuesday."""
CONFIG = SchedulesConfig()


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        engine.migrate(db, 0)
        yield db


@pytest.fixture
def here(db: sqlite3.Connection) -> str:
    return sessions.resolve(db, "assistant", Route(channel="slack", platform_id="C1"), 1).id


def test_what_is_scheduled_is_told_with_its_times(db: sqlite3.Connection, here: str) -> None:
    asked = ScheduleTask(
        prompt="look", recurrence="every monday at 8", timezone="Europe/Athens", script="true"
    )
    said = tasks.carry_out(db, here, asked, CONFIG, now=NOW)
    (made,) = series.listed(db, here, 9)
    assert said == (
        f"Scheduled as {made.id}: Monday 8:00 Europe/Athens; next: Monday 2025-12-01 8:00,"
        " Monday 2025-12-08 8:00, Monday 2025-12-15 8:00."
    )
    assert (made.created_by, made.script, made.failures) == (f"agent:{here}", "true", 0)
    said = tasks.carry_out(db, here, ScheduleTask(prompt="look", when="in 10 minutes"), CONFIG, now=NOW)
    assert said.endswith("once, Tuesday 2025-11-25 8:10 UTC; next: Tuesday 2025-11-25 8:10.")


def test_only_those_of_the_own_session_are_known(db: sqlite3.Connection, here: str) -> None:
    there = sessions.resolve(db, "assistant", Route(channel="slack", platform_id="C2"), 1).id
    other = series.create(db, there, Draft("p", At(at=NOW + 1, timezone="UTC"), NOW + 1, "u1"), now=NOW)
    for asked in (
        UpdateTask(series_id=other.id, prompt="mine"),
        ChangeTask(action="pause_task", series_id=other.id),
        ChangeTask(action="resume_task", series_id=other.id),
        ChangeTask(action="cancel_task", series_id=other.id),
    ):
        with pytest.raises(CommandFailed, match=f"There is no schedule {other.id} here"):
            tasks.carry_out(db, here, asked, CONFIG, now=NOW)
    assert series.get(db, other.id) == other


def test_one_that_a_person_has_made_here_can_be_changed(db: sqlite3.Connection, here: str) -> None:
    theirs = series.create(db, here, Draft("p", At(at=NOW + 1, timezone="UTC"), NOW + 1, "u1"), now=NOW)
    said = tasks.carry_out(
        db, here, UpdateTask(series_id=theirs.id, recurrence="daily at 9"), CONFIG, now=NOW
    )
    assert said.startswith(f"Schedule {theirs.id} is changed. ") and "9:00 UTC; next: " in said
    found = series.get(db, theirs.id)
    assert found is not None and found.when.type == "cron" and found.created_by == "u1"


def test_one_whose_end_comes_before_its_new_time_stays_as_it_was(db: sqlite3.Connection, here: str) -> None:
    draft = Draft("p", At(at=NOW + 1000, timezone="UTC"), NOW + 1000, "u1", ends_at=NOW + 2000)
    kept = series.create(db, here, draft, now=NOW)
    with pytest.raises(CommandFailed, match="ends before it has run once"):
        tasks.carry_out(db, here, UpdateTask(series_id=kept.id, when="in 2 hours"), CONFIG, now=NOW)
    assert series.get(db, kept.id) == kept


def test_one_that_has_ended_is_not_changed(db: sqlite3.Connection, here: str) -> None:
    kept = series.create(db, here, Draft("p", At(at=NOW + 1, timezone="UTC"), NOW + 1, "u1"), now=NOW)
    series.cancel(db, kept.id)
    for asked in (
        UpdateTask(series_id=kept.id, prompt="again"),
        ChangeTask(action="cancel_task", series_id=kept.id),
    ):
        with pytest.raises(CommandFailed, match="has ended already"):
            tasks.carry_out(db, here, asked, CONFIG, now=NOW)
