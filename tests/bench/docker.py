"""The service with real containers: what it takes to start one, to wake one, and to take one out of the pool."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from agent.protocol.clock import now_ms
from bot.app import App, running_app
from bot.backends import choose
from bot.config import Config
from bot.config_backend import BackendConfig, PoolConfig
from bot.config_tables import AgentConfig, LimitsConfig, ServiceConfig, TerminalConfig
from bot.db import people
from bot.errors import RoostError
from bot.launching import instance_of
from container.docker import NAMESPACE_LABEL
from container.engine import Engine
from container.memory import anonymous_mb
from tests.bench.claude import KEY, SAID, Watched, agent_at, api
from tests.bench.figures import rounds
from tests.bench.person import PERSON, Room
from tests.bench.service import BACKLOG, ECHO, MAX_AWAKE

QUICK: Final = AgentConfig(idle_seconds=0.05)
"""An echo whose query ends soon: a runner is not paused before."""
RESTS_SECONDS: Final = 86_400
"""Nothing is paused but what the measuring pauses itself."""
READY_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.02
SETTLE_SECONDS: Final = 1.5
"""How long a client that has just been started still has to do."""
WARM_UP: Final = 20


@dataclass
class Found:
    """In milliseconds and MiB."""

    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    paused: list[float] = field(default_factory=list)
    pooled: list[float] = field(default_factory=list)
    pooled_client: list[float] = field(default_factory=list)
    idle_mb: float | None = None
    paused_client_mb: float | None = None


async def fault(data: Path) -> str | None:
    """Why nothing of this can be measured here."""
    try:
        chosen = await choose(_config(data, ECHO, pool=0), os.environ, lambda line: None)
    except RoostError as exc:
        return str(exc)
    await chosen.backend.aclose()
    return None


async def measure(data: Path, *, sessions: int, warm: int, seconds: float) -> Found:
    """Raises NotAnswered, TimeoutError, RoostError, BackendError."""
    found = Found()
    async with _service(_config(data / "mock", QUICK, pool=0), Room()) as (app, room):
        for number in rounds(sessions, seconds):
            found.cold.append((await room.ask(f"place-{number}", "hello")).answered)
        found.idle_mb = await _memory(data / "mock")
        for _ in range(WARM_UP):
            await room.ask("place-0", "warm up")
        for number in rounds(warm, seconds):
            found.warm.append((await room.ask("place-0", f"message {number}")).answered)
        for number in rounds(sessions, seconds):
            await _pause(app, "place-0")
            found.paused.append((await room.ask("place-0", f"wake up {number}")).answered)
    async with _service(_config(data / "pool", ECHO, pool=2), Room()) as (app, room):
        for number in rounds(sessions, 3 * seconds):
            await _ready(app, 1)
            found.pooled.append((await room.ask(f"place-{number}", "hello")).answered)
    await _clients(data, found, sessions=sessions, seconds=seconds)
    return found


async def _clients(data: Path, found: Found, *, sessions: int, seconds: float) -> None:
    os.environ["ANTHROPIC_API_KEY"] = KEY
    try:
        async with (
            api() as url,
            _service(_config(data / "claude", agent_at(url), pool=1), room := Watched()) as (app, _),
        ):
            for number in rounds(max(2, sessions // 3), 3 * seconds):
                await _ready(app, 1)
                await asyncio.sleep(SETTLE_SECONDS)
                found.pooled_client.append(await room.first_words(f"place-{number}", SAID))
            await app.pool.close()
            for runner in app.containers:
                async with runner.session.lock:
                    await app.containers.freeze(runner.session)
            found.paused_client_mb = await _memory(data / "claude")
    finally:
        del os.environ["ANTHROPIC_API_KEY"]


@asynccontextmanager
async def _service(config: Config, room: Room) -> AsyncIterator[tuple[App, Any]]:
    async with running_app(config, adapters=[room]) as app:
        member = partial(people.grant, channel=room.name, user_id=PERSON.id, role="member", now=now_ms())
        await app.db.write(member)
        try:
            yield app, room
        finally:
            await app.pool.close()
            await asyncio.gather(*(app.containers.stop(each.session.id) for each in app.containers))


def _config(data: Path, agent: AgentConfig, *, pool: int) -> Config:
    return Config(
        service=ServiceConfig(data_dir=data),
        terminal=TerminalConfig(name=PERSON.name),
        agents={"assistant": agent},
        backend=BackendConfig(kind="docker", max_awake=MAX_AWAKE, runner_pause_seconds=RESTS_SECONDS),
        pool=PoolConfig(size=pool, warm="client"),
        limits=LimitsConfig(backlog=BACKLOG, backlog_total=BACKLOG, replies_per_minute=BACKLOG),
    )


async def _pause(app: App, place: str) -> None:
    runner = next(each for each in app.containers if each.session.home.platform_id == place)
    async with asyncio.timeout(READY_SECONDS):
        while not runner.frozen:
            async with runner.session.lock:
                await app.containers.freeze(runner.session)
            await asyncio.sleep(LOOK_SECONDS)


async def _ready(app: App, count: int) -> None:
    """Returns when so many in the pool have said that they are there."""
    async with asyncio.timeout(READY_SECONDS):
        while sum(each.session.pooled and each.bell.connected for each in app.containers) < count:  # noqa: ASYNC110  # no bell tells
            await asyncio.sleep(LOOK_SECONDS)


async def _memory(data: Path) -> float:
    """The median of what the living containers of a service have for themselves, in MiB."""
    engine = Engine(os.environ)
    label = f"{NAMESPACE_LABEL}={instance_of(data)}"
    try:
        listed = await engine.call(lambda client: client.containers(filters={"label": label}))
    finally:
        engine.close()
    return median(mb for each in listed if (mb := anonymous_mb(each["Id"])) is not None)
