"""What keeps agents from working, as bot.db has it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from agent.protocol.messages import Route
from bot.db import engine, problems, sessions


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        engine.migrate(db, 0)
        yield db


def report(db: sqlite3.Connection, problem: str, *, turn_id: str, now: int, agent: str = "assistant") -> None:
    session = sessions.resolve(db, agent, Route(channel="slack", platform_id="C1"), 1)
    problems.report(db, agent, session.id, problem, "", turn_id=turn_id, now=now)


def test_a_problem_is_as_old_as_its_first_report(db: sqlite3.Connection) -> None:
    report(db, "no key", turn_id="t1", now=1)
    report(db, "a wrong key", turn_id="t2", now=2)
    (found,) = problems.listed(db)
    assert (found.problem, found.since, found.reported_at) == ("a wrong key", 1, 2)


def test_the_turn_that_reports_it_proves_nothing_when_it_ends(db: sqlite3.Connection) -> None:
    report(db, "no key", turn_id="t1", now=1)
    assert not problems.works_again(db, "assistant", {"t1"})
    assert not problems.works_again(db, "assistant", set())
    assert not problems.works_again(db, "another", {"t2"})
    assert problems.works_again(db, "assistant", {"t1", "t2"})
    assert problems.listed(db) == []


def test_an_agent_that_is_not_configured_any_more_has_none(db: sqlite3.Connection) -> None:
    report(db, "no key", turn_id="t1", now=1)
    report(db, "no key", turn_id="t1", now=2, agent="gone")
    problems.forget(db, {"assistant"})
    assert [each.agent for each in problems.listed(db)] == ["assistant"]
