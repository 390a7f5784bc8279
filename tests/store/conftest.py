"""For every test of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.protocol.mailbox import AgentEnd, HostEnd
from agent.protocol.workspace import Workspace
from bot.db import engine
from tests.fakes.mailroom import Rows, make_workspace


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    """A blank bot.db, without a file or a writer's thread."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA foreign_keys = ON")
        engine.migrate(db, 0)
        yield db


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "session")


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def host(workspace: Workspace) -> Iterator[HostEnd]:
    with closing(HostEnd(workspace.inbound)) as end:
        yield end


@pytest.fixture
def agent(workspace: Workspace, host: HostEnd) -> Iterator[AgentEnd]:
    with closing(AgentEnd(workspace)) as end:
        yield end
