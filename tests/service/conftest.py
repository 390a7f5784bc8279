"""The whole service on real processes, real files and real sockets, with a fake platform in front.

A module that says `BACKENDS = ("process", "docker")` has every test that uses `house` run on both of them, but for one
that is marked `only("process", "why")`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from adapters.base import Adapter
from agent.protocol.clock import now_ms
from agent.protocol.schema import VERSION
from agent.protocol.workspace import Workspace
from bot.app import App, running_app
from bot.approvals import Effect
from bot.config import Config
from bot.db import people
from bot.db.sessions import HOUSE
from bot.launching import instance_of
from container.base import Backend
from tests.fakes import engine
from tests.fakes.gateway import KEY
from tests.fakes.messages_api import MessagesApi
from tests.fakes.platform import PERSON, TIMEOUT_SECONDS, FakePlatform

Script = list[dict[str, Any]]
Kind = Literal["process", "docker"]
LOOK_SECONDS = 0.02
ON_BOTH: Final = pytest.mark.parametrize(
    "house", ["process", pytest.param("docker", marks=pytest.mark.docker)], indirect=True
)
"""For a test of a module whose others have nothing to do with what agents run on."""
EXIT_BY_SIGKILL: Final[Mapping[Kind, int]] = {"process": -signal.SIGKILL, "docker": 128 + signal.SIGKILL}


class House:
    """A data folder, and the service that lives in it from time to time.

    Settings of a test go into `agent`, `wirings`, `backend`, `turns`, `delivery` and `limits` before `open`.
    """

    def __init__(self, root: Path, kind: Kind = "process") -> None:
        self.data = root / "data"
        self.kind = kind
        self.killed = EXIT_BY_SIGKILL[kind]
        """The exit code of a runner that SIGKILL has ended."""
        self.platform = FakePlatform()
        self.agent: dict[str, Any] = {"idle_seconds": 0.3}
        self.backend: dict[str, Any] = {
            "kind": kind,
            "runner_idle_seconds": 600,
            "stop_grace_seconds": 5,
            # Some tests have a small disk.
            "min_free_mb": 0,
        }
        self.pool: dict[str, Any] = {"size": 0}
        """Nobody is started who was not asked for."""
        self.vault: dict[str, Any] = {}
        self.image_name: str | None = None
        """The image on Docker; without one it is the common one, or that with the tests for who needs them."""
        self.turns: dict[str, Any] = {"retry_base_seconds": 0.02}
        self.delivery: dict[str, Any] = {"retry_base_seconds": 0.02}
        self.limits: dict[str, Any] = {}
        self.money: dict[str, Any] = {}
        """The tables [gateway], [[budgets]] and [usage]."""
        self.agents: dict[str, dict[str, Any]] | None = None
        self.wirings: list[dict[str, Any]] = []
        self.interrupt_grace_seconds = 5.0
        self.clock_ahead_ms = 0
        """How far the service's clock is ahead of the right one; the runners have clocks of their own."""
        self.effects: dict[str, Effect] = {}
        """What approvals do of kinds that are the test's own."""
        self.app: App
        self._containers: engine.Namespace | None = None

    @property
    def containers(self) -> engine.Namespace:
        """Those of this data folder, on Docker."""
        if self._containers is None:
            self._containers = engine.Namespace(instance_of(self.data))
        return self._containers

    def now(self) -> int:
        """The clock of the service, in epoch milliseconds."""
        return now_ms() + self.clock_ahead_ms

    def script(self, *rules: dict[str, Any]) -> None:
        """What the mock does; see agent/providers/script.py."""
        self.agent["provider_options"] = {"script": list(rules)}

    def config(self) -> Config:
        agents = self.agents or {"assistant": self.agent}
        return Config.model_validate(
            {
                "service": {"data_dir": self.data},
                "agents": agents,
                "wirings": self.wirings,
                "image": self._image(agents),
                "backend": self.backend,
                "pool": self.pool,
                "vault": self.vault,
                "turns": self.turns,
                "delivery": self.delivery,
                "limits": self.limits,
                **self.money,
            }
        )

    def _image(self, agents: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        if self.kind != "docker":
            return {}
        name = self.image_name
        if name is None and any(str(each.get("provider")).startswith("tests.") for each in agents.values()):
            name = engine.image_with_tests(engine.common_image())
        return {} if name is None else {"name": name}

    @asynccontextmanager
    async def open(self, *more: Adapter, backend: Backend | None = None) -> AsyncIterator[FakePlatform]:
        """The service for the length of the block; the person may talk to it."""
        grace = self.interrupt_grace_seconds
        adapters: list[Adapter] = [self.platform, *more]
        async with running_app(
            self.config(),
            adapters=adapters,
            backend=backend,
            effects=self.effects,
            interrupt_grace_seconds=grace,
            clock=self.now,
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
        (row,) = self.query("SELECT id FROM sessions WHERE platform_id = ? AND agent != ?", place, HOUSE)
        return str(row["id"])

    def folder(self, place: str = "p1") -> Path:
        return self.data / "sessions" / self.session_id(place)

    def workspace(self, place: str = "p1") -> Workspace:
        return Workspace.on_host(self.folder(place))

    def seen(self, place: str = "p1") -> Workspace:
        """The same as the agent itself sees it."""
        return Workspace.in_container() if self.kind == "docker" else self.workspace(place)

    def runner(self, place: str = "p1") -> int:
        """The pid of the session's runner; on Docker that of its container's init process."""
        name = self.runner_name(place)
        if self.kind == "docker":
            return self.containers.pid(name)
        return next(int(record["pid"]) for record in self.runners() if record["name"] == name)

    def runner_name(self, place: str = "p1") -> str:
        """By which the backend knows the session's runner. Raises StopIteration when there is none."""
        session = self.session_id(place)
        return next(str(record["name"]) for record in self.runners() if record["name"].endswith(session))

    def runners(self) -> list[dict[str, Any]]:
        """What is known of those that live; each has a `name`."""
        if self.kind == "docker":
            living = self.containers.living()
            return [{"name": each["Names"][0].removeprefix("/")} for each in living]
        found = []
        for path in (self.data / "run").rglob("*.json"):
            with contextlib.suppress(FileNotFoundError):
                found.append(json.loads(path.read_text()))
        return found

    def kill(self, place: str = "p1") -> None:
        """Kills the session's runner and all that it has started."""
        if self.kind == "docker":
            self.containers.kill(self.runner_name(place))
        else:
            os.killpg(self.runner(place), signal.SIGKILL)

    def suspend(self, place: str = "p1") -> None:
        """Stops every process of the session's runner, which nobody tells the service of."""
        if self.kind == "docker":
            self.containers.pause(self.runner_name(place))
        else:
            os.killpg(self.runner(place), signal.SIGSTOP)

    def outdate(self) -> None:
        """Makes the runners that live look as if they had been started by an older Roost."""
        if self.kind == "docker":
            # The labels of a container are its own for ever; this service has another image.
            self.image_name = engine.image_with_tests(engine.common_image())
            return
        for record in (self.data / "run").rglob("*.json"):
            record.write_text(
                record.read_text().replace(f'"roost.protocol":"{VERSION}"', '"roost.protocol":"0"')
            )

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

    async def until_quiet_everywhere(self) -> None:
        """The same for every place."""
        sql = "SELECT 1 FROM inbox WHERE trigger = 1 AND state IN ('accepted', 'posted')"
        await self.until(lambda: not self.query(sql))

    # ---------------------------------------------------------------- the end

    def logs(self) -> str:
        containers = self.containers.told() if self.kind == "docker" else ""
        return containers + "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-5000:]}"
            for path in (self.data / "logs").glob("*.log")
        )

    def kill_runners(self) -> None:
        if self.kind == "docker":
            self.containers.remove_all()
            return
        for record in self.runners():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(record["pid"], signal.SIGKILL)

    def close(self) -> None:
        """Leaves nothing behind that runs."""
        self.kill_runners()
        if self._containers is not None:
            self._containers.close()


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives a test of a module that names BACKENDS a house on each of them."""
    kinds: tuple[Kind, ...] = getattr(metafunc.module, "BACKENDS", ())
    if not kinds or "house" not in metafunc.fixturenames:
        return
    only = metafunc.definition.get_closest_marker("only")
    marks: dict[Kind, list[pytest.MarkDecorator]] = {"process": [], "docker": [pytest.mark.docker]}
    metafunc.parametrize(
        "house",
        [pytest.param(kind, marks=marks[kind]) for kind in kinds if only is None or kind == only.args[0]],
        indirect=True,
    )


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    kind: Kind = getattr(request, "param", "process")
    if kind == "docker":
        request.getfixturevalue("image")
    made = House(tmp_path, kind)
    yield made
    made.close()


@pytest.fixture
async def api() -> AsyncIterator[MessagesApi]:
    """The model's API on loopback, which wants the key that the vault of tests/fakes/gateway.py gives."""
    async with MessagesApi(keys=[KEY]) as api:
        yield api
