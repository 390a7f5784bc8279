"""The spend table: requests of a day add up, and old days go."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from bot.db import engine, spend
from bot.db.spend import Spent
from bot.gateway.usage import Usage


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        engine.migrate(db, 0)
        yield db


def test_what_a_session_costs_adds_up_by_the_day(db: sqlite3.Connection) -> None:
    usage = Usage(1, 2, 3, 4, 5)
    for day, session in (
        ("2026-01-01", "s1"),
        ("2026-01-01", "s1"),
        ("2026-01-01", "s2"),
        ("2026-01-02", "s1"),
    ):
        spend.add(db, day, agent="a", session=session, usage=usage, usd_micros=10)
    assert spend.of_day(db, "2026-01-01") == [Spent("a", "s1", 2, 20), Spent("a", "s2", 1, 10)]
    row = db.execute("SELECT * FROM spend WHERE day = '2026-01-01' AND session = 's1'").fetchone()
    assert tuple(row)[3:] == (2, 2, 4, 14, 10, 20)
    spend.forget(db, "2026-01-02")
    assert spend.of_day(db, "2026-01-01") == []
    assert spend.of_day(db, "2026-01-02") == [Spent("a", "s1", 1, 10)]
