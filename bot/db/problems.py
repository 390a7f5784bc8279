"""The problems table: what keeps an agent from working, as it has reported itself. One for each agent at most."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A row of problems. Reported first at `since`, for the last time at `reported_at`."""

    agent: str
    session: str
    problem: str
    detail: str
    since: int
    reported_at: int

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Problem:
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


def report(
    db: sqlite3.Connection,
    agent: str,
    session_id: str,
    problem: str,
    detail: str,
    *,
    turn_id: str | None,
    now: int,
) -> None:
    """Keeps the newest; it is as old as the first since the agent has worked."""
    db.execute(
        "INSERT INTO problems (agent, session, turn_id, problem, detail, since, reported_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (agent) DO UPDATE SET session = ?2, turn_id = ?3,"
        " problem = ?4, detail = ?5, reported_at = ?6",
        (agent, session_id, turn_id, problem, detail, now),
    )


def works_again(db: sqlite3.Connection, agent: str, turn_ids: Iterable[str | None]) -> bool:
    """These turns of the agent were completed. One that has reported the problem itself has only ended."""
    row = db.execute("SELECT turn_id FROM problems WHERE agent = ?", (agent,)).fetchone()
    if row is None or all(turn_id == row["turn_id"] for turn_id in turn_ids):
        return False
    db.execute("DELETE FROM problems WHERE agent = ?", (agent,))
    return True


def listed(db: sqlite3.Connection) -> list[Problem]:
    """All of them, the oldest first."""
    return [Problem.from_row(row) for row in db.execute("SELECT * FROM problems ORDER BY since, agent")]


def forget(db: sqlite3.Connection, agents: Collection[str]) -> None:
    """Those of agents that are none of these any more."""
    for problem in listed(db):
        if problem.agent not in agents:
            db.execute("DELETE FROM problems WHERE agent = ?", (problem.agent,))
