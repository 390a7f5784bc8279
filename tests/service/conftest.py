"""The whole service on real processes, real files and real sockets, with a fake platform in front."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.clock import now_ms
from agent.protocol.workspace import Workspace
from bot.app import App, running_app
from bot.config import Config
from bot.db import people
from container.base import Backend
from tests.fakes.platform import PERSON, TIMEOUT_SECONDS, FakePlatform

Script = list[dict[str, Any]]
LOOK_SECONDS = 0.02


class House:
    """A data folder, and the service that lives in it from time to time.

    Settings of a test go into `agent`, `backend`, `turns`, `delivery` and `limits` before `open`.
    """

    def __init__(self, root: Path) -> None:
        self.data = root / "data"
        self.platform = FakePlatform()
        self.agent: dict[str, Any] = {"idle_seconds": 0.3}
        self.backend: dict[str, Any] = {"runner_idle_seconds": 600, "stop_grace_seconds": 5}
        self.turns: dict[str, Any] = {"retry_base_seconds": 0.02}
        self.delivery: dict[str, Any] = {"retry_base_seconds": 0.02}
        self.limits: dict[str, Any] = {}
        self.agents: dict[str, dict[str, Any]] | None = None
        self.interrupt_grace_seconds = 5.0
        self.clock_ahead_ms = 0
        """How far the service's clock is ahead of the right one; the runners have clocks of their own."""
        self.app: App

    def script(self, *rules: dict[str, Any]) -> None:
        """What the mock does; see agent/providers/script.py."""
        self.agent["provider_options"] = {"script": list(rules)}

    def config(self) -> Config:
        return Config.model_validate(
            {
                "service": {"data_dir": self.data},
                "agents": self.agents or {"assistant": self.agent},
                "backend": self.backend,
                "turns": self.turns,
                "delivery": self.delivery,
                "limits": self.limits,
            }
        )

    @asynccontextmanager
    async def open(self, *more: FakePlatform, backend: Backend | None = None) -> AsyncIterator[FakePlatform]:
        """The service for the length of the block; the person may talk to it."""
        grace = self.interrupt_grace_seconds
        adapters = [self.platform, *more]
        async with running_app(
            self.config(),
            adapters=adapters,
            backend=backend,
            interrupt_grace_seconds=grace,
            clock=lambda: now_ms() + self.clock_ahead_ms,
        ) as self.app:
            for each in adapters:
                await self.app.db.write(partial(_grant, channel=each.name))
            yield self.platform

    # ---------------------------------------------------------------- what lies in the folder

    def query(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Rows of bot.db."""
        with closing(sqlite3.connect(self.data / "bot.db")) as db:
            db.row_factory = sqlite3.Row
            return db.execute(sql, values).fetchall()

    def states(self) -> dict[str, int]:
        """How many rows of the inbox are in each state; rows of the service's own left out."""
        return dict(
            map(tuple, self.query("SELECT state, count(*) FROM inbox WHERE kind != 'system' GROUP BY state"))
        )

    def session_id(self, place: str = "p1") -> str:
        (row,) = self.query("SELECT id FROM sessions WHERE platform_id = ?", place)
        return str(row["id"])

    def folder(self, place: str = "p1") -> Path:
        return self.data / "sessions" / self.session_id(place)

    def workspace(self, place: str = "p1") -> Workspace:
        return Workspace.on_host(self.folder(place))

    def runner(self, place: str = "p1") -> int:
        """The pid of the session's runner."""
        session = self.session_id(place)
        return next(int(record["pid"]) for record in self.runners() if record["name"].endswith(session))

    def runners(self) -> list[dict[str, Any]]:
        found = []
        for path in (self.data / "run").rglob("*.json"):
            with contextlib.suppress(FileNotFoundError):
                found.append(json.loads(path.read_text()))
        return found

    async def until(self, holds: Callable[[], bool]) -> None:
        """Looks again and again: for what no event of the platform tells of. Raises TimeoutError."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not holds():  # noqa: ASYNC110  # nobody rings when a file or a process has changed
                await asyncio.sleep(LOOK_SECONDS)

    async def until_quiet(self, place: str = "p1") -> None:
        """Returns when every message of the place has come to its end in bot.db."""
        session = self.session_id(place)
        sql = "SELECT 1 FROM inbox WHERE session = ? AND trigger = 1 AND state IN ('accepted', 'posted')"
        await self.until(lambda: not self.query(sql, session))

    # ---------------------------------------------------------------- the end

    def logs(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-5000:]}"
            for path in (self.data / "logs").glob("*.log")
        )

    def kill_runners(self) -> None:
        for record in self.runners():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(record["pid"], signal.SIGKILL)


def _grant(db: sqlite3.Connection, channel: str) -> None:
    people.grant(db, channel, PERSON.id, "owner", now=0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:  # pragma: no cover
    report = yield
    house = getattr(item, "funcargs", {}).get("house")
    if isinstance(house, House) and report.when == "call" and report.failed:  # type: ignore[attr-defined]
        report.sections.append(("runners", house.logs()))  # type: ignore[attr-defined]
    return report


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.kill_runners()
