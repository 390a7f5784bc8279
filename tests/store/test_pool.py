"""Sessions that nobody has yet, in bot.db."""

from __future__ import annotations

import sqlite3

from agent.protocol.messages import Route
from bot.db import pool, sessions

HERE = Route(channel="slack", platform_id="C1")
THREAD = Route(channel="slack", platform_id="C1", thread_id="1.5")


def ready(db: sqlite3.Connection, agent: str = "assistant", *, now: int = 1) -> str:
    made = pool.make(db, agent, now=now)
    sessions.set_awake(db, made, True)
    return made


def test_a_new_conversation_takes_the_oldest_of_its_agent(db: sqlite3.Connection) -> None:
    ready(db, "another", now=1)
    first, second = ready(db, now=2), ready(db, now=3)
    taken = sessions.resolve(db, "assistant", HERE, 5000)
    assert (taken.id, taken.route, taken.created_at, taken.awake) == (first, HERE, 5000, True)
    assert sessions.resolve(db, "assistant", THREAD, 6000).id == second
    assert sessions.resolve(db, "assistant", HERE, 7000) == taken


def test_without_one_that_is_ready_it_gets_a_new_session(db: sqlite3.Connection) -> None:
    started = pool.make(db, "assistant", now=1)
    made = sessions.resolve(db, "assistant", HERE, 5000)
    assert made.id != started and not made.awake
    assert pool.waiting(db) == [started]


def test_what_somebody_has_taken_is_not_dropped(db: sqlite3.Connection) -> None:
    taken, left = ready(db, now=1), ready(db, now=2)
    sessions.resolve(db, "assistant", HERE, 5000)
    assert not pool.drop(db, taken)
    assert pool.drop(db, left)
    assert pool.waiting(db) == []
    assert sessions.get(db, taken) is not None and sessions.get(db, left) is None


def test_the_pool_is_no_conversation_that_people_see(db: sqlite3.Connection) -> None:
    ready(db)
    assert sessions.recent(db, 10) == []
    taken = sessions.resolve(db, "assistant", HERE, 5000)
    assert [each.id for each in sessions.recent(db, 10)] == [taken.id]
