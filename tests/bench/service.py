"""The service in this process, with real runners beside it: what takes how long."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from adapters.base import Adapter
from agent.protocol.clock import now_ms
from bot import log
from bot.app import App, running_app
from bot.config import Config
from bot.config_backend import BackendConfig
from bot.config_tables import AgentConfig, LimitsConfig, ServiceConfig, TerminalConfig
from bot.db import people
from container.base import Backend
from container.process import ProcessBackend
from tests.bench.figures import rounds
from tests.bench.memory import pss_mb, rss_mb
from tests.bench.person import PERSON, Room

SESSIONS: Final = 20
MAX_AWAKE: Final = 50
RUNNERS: Final = BackendConfig(kind="process", max_awake=MAX_AWAKE)
ECHO: Final = AgentConfig()
BACKLOG: Final = 100_000
"""Nothing is refused, so that everything that was said is measured."""
THINK_SECONDS: Final = (0.25, 0.75)
"""How long a person waits between an answer and the next message, drawn evenly with a fixed seed."""
WARM_UP: Final = 20
PROBE_BYTES: Final = 4096
PROBE_PLACES: Final = 64


@dataclass(frozen=True)
class Plan:
    """How much is measured, at most: a phase that lasts longer than `phase_seconds` is cut short."""

    warm: int
    each_session: int
    phase_seconds: float
    accepts: int
    ingests: int
    flood: int
    claude_sessions: int
    claude_warm: int
    gateway_rounds: int
    docker_sessions: int


@dataclass
class Found:
    """What was measured, in milliseconds and MiB."""

    cold: list[float] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    fsync: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    runner_rss_mb: float = 0.0
    runner_pss_mb: float = 0.0


@asynccontextmanager
async def open_service(
    data: Path,
    backend: Backend,
    *,
    leave: bool = False,
    runners: BackendConfig = RUNNERS,
    agent: AgentConfig = ECHO,
    room: Room | None = None,
) -> AsyncIterator[tuple[App, Room]]:
    """A service that keeps its data in `data`, and a room in front of it. At the end its runners are stopped,
    unless they are to be left for the next service."""
    room = room or Room()
    members = [(room, PERSON.id)]
    async with open_behind(members, data, backend, leave=leave, runners=runners, agent=agent) as app:
        yield app, room


@asynccontextmanager
async def open_behind(
    members: Sequence[tuple[Adapter, str]],
    data: Path,
    backend: Backend,
    *,
    leave: bool = False,
    runners: BackendConfig = RUNNERS,
    agent: AgentConfig = ECHO,
) -> AsyncIterator[App]:
    """The same behind any adapters, each with the id of a member there."""
    config = Config(
        service=ServiceConfig(data_dir=data),
        terminal=TerminalConfig(name=PERSON.name),
        agents={"assistant": agent},
        backend=runners,
        limits=LimitsConfig(backlog=BACKLOG, backlog_total=BACKLOG, replies_per_minute=BACKLOG),
    )
    log.setup("INFO", file=data / "logs" / "roost.log")
    try:
        adapters = [adapter for adapter, _ in members]
        async with running_app(config, adapters=adapters, backend=backend) as app:
            for adapter, person in members:
                grant = partial(
                    people.grant, channel=adapter.name, user_id=person, role="member", now=now_ms()
                )
                await app.db.write(grant)
            try:
                yield app
            finally:
                if not leave:
                    stops = (app.containers.stop(runner.session.id) for runner in app.containers)
                    await asyncio.gather(*stops)
    finally:
        log.close()


@asynccontextmanager
async def open_room(data: Path, backend: Backend) -> AsyncIterator[Room]:
    """The room alone."""
    async with open_service(data, backend) as (_, room):
        yield room


async def measure(data: Path, plan: Plan) -> Found:
    """Raises NotAnswered, TimeoutError, RoostError, BackendError."""
    found = Found()
    backend = ProcessBackend(data / "run", "bench")
    try:
        async with open_room(data, backend) as room:
            places = [f"place-{number}" for number in range(SESSIONS)]
            await _cold(room, places, plan, found)
            await _warm(room, places[0], data, plan, found)
            await _together(room, places, plan, found)
            pids = [program.pid for program in await backend.running() if program.pid is not None]
            found.runner_rss_mb = median(rss_mb(pid) for pid in pids)
            found.runner_pss_mb = median(pss_mb(pid) for pid in pids)
    finally:
        await backend.aclose()
    return found


async def _cold(room: Room, places: Sequence[str], plan: Plan, found: Found) -> None:
    """The first message of each conversation, one after the other; for all of them a runner is left alive."""
    for number in rounds(len(places), plan.phase_seconds):
        found.cold.append((await room.ask(places[number], "hello")).answered)
    await asyncio.gather(*(room.ask(place, "hello") for place in places[len(found.cold) :]))


async def _warm(room: Room, place: str, data: Path, plan: Plan, found: Found) -> None:
    """One message after the other, and after each one the disk is asked how long a sync takes now."""
    for _ in range(WARM_UP):
        await room.ask(place, "warm up")
    probe = os.open(data / "probe", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(probe, bytes(PROBE_BYTES * PROBE_PLACES), 0)
        os.fsync(probe)
        for number in rounds(plan.warm, plan.phase_seconds):
            timing = await room.ask(place, f"message {number}")
            found.warm.append(timing.answered)
            found.acknowledged.append(timing.acknowledged)
            found.fsync.append(_sync_ms(probe, number))
    finally:
        os.close(probe)


def _sync_ms(probe: int, number: int) -> float:
    began = time.perf_counter()
    os.pwrite(probe, os.urandom(PROBE_BYTES), PROBE_BYTES * (number % PROBE_PLACES))
    os.fdatasync(probe)
    return (time.perf_counter() - began) * 1000


async def _together(room: Room, places: Sequence[str], plan: Plan, found: Found) -> None:
    """Every conversation has a person of its own, who thinks before the next message."""

    async def person(place: str) -> None:
        chance = random.Random(place)
        for number in rounds(plan.each_session, plan.phase_seconds):
            await asyncio.sleep(chance.uniform(*THINK_SECONDS))
            found.together.append((await room.ask(place, f"message {number}")).answered)

    async with asyncio.TaskGroup() as group:
        for place in places:
            group.create_task(person(place), name=place)
