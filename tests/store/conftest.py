"""For every test of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from bot.db import engine


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    """A blank bot.db, without a file or a writer's thread."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA foreign_keys = ON")
        engine.migrate(db, 0)
        yield db
