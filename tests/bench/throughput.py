"""How many messages a second come in: into the inbox alone, and through it into the sessions' own files."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final

from agent.protocol.clock import now_ms
from agent.protocol.messages import ChatIn, Route
from agent.protocol.workspace import Workspace
from bot.config_backend import BackendConfig
from bot.db import inbox
from bot.db import sessions as rows
from bot.db.engine import open_database
from bot.db.sessions import SessionRecord
from tests.bench.service import open_service
from tests.fakes.backend import FakeBackend, Process

SESSIONS: Final = 100
IN_FLIGHT: Final = 8
"""Events that the platform hands in at the same time."""
ACCEPTS_IN_FLIGHT: Final = 64
ROUNDS: Final = 5
LOOK_SECONDS: Final = 0.005


class NotPosted(Exception):
    """Raised when what was counted as posted is not in the sessions' files."""


async def accept_per_second(data: Path, messages: int) -> float:
    """Durable acceptance and nothing else, the median of a few rounds. Raises DatabaseError."""
    db = open_database(data / "bot.db")
    try:
        routes = [Route(channel="bench", platform_id=f"place-{number}") for number in range(SESSIONS)]
        records = [
            await db.write(partial(rows.resolve, agent="assistant", route=route, now=0)) for route in routes
        ]

        async def accept(number: int) -> None:
            await db.write(partial(_accept, record=records[number % SESSIONS]))

        return median([await _rate(accept, messages, ACCEPTS_IN_FLIGHT) for _ in range(ROUNDS)])
    finally:
        await db.close()


async def ingest_per_second(data: Path, messages: int) -> float:
    """From the platform's event until inbound.db holds it, the median of a few rounds. The service is whole,
    but what it starts runs nothing. Raises NotPosted, RoostError."""
    async with open_service(
        data, FakeBackend(default=listen), runners=BackendConfig(kind="process", max_awake=SESSIONS)
    ) as (
        _,
        room,
    ):

        async def say(number: int) -> None:
            await room.say(f"place-{number % SESSIONS}", f"message {number}")

        await _ingest(data, say, SESSIONS)
        rates = [await _ingest(data, say, messages) for _ in range(ROUNDS)]
    wanted = SESSIONS + ROUNDS * messages
    if (found := _in_the_files(data)) != wanted:
        raise NotPosted(f"{found} of {wanted} messages are in inbound.db")
    return median(rates)


async def _ingest(data: Path, say: Callable[[int], Awaitable[None]], messages: int) -> float:
    began = time.perf_counter()
    await _rate(say, messages, IN_FLIGHT)
    with closing(sqlite3.connect(data / "bot.db")) as db:
        while db.execute("SELECT 1 FROM inbox WHERE state = 'accepted' LIMIT 1").fetchone():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
    return messages / (time.perf_counter() - began)


async def _rate(work: Callable[[int], Awaitable[None]], times: int, in_flight: int) -> float:
    """Calls `work` with every number below `times`, and returns how often a second that was."""
    numbers = count()

    async def some() -> None:
        while (number := next(numbers)) < times:
            await work(number)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(some())
    return times / (time.perf_counter() - began)


async def listen(process: Process) -> int:
    """The program of who hears the bell and does nothing about it."""
    bell = Workspace.on_host(process.spec.workdir.parent).bell
    _, writer = await asyncio.open_unix_connection(bell)
    try:
        await process.asked.wait()
    finally:
        writer.close()
    return 0


def _accept(db: sqlite3.Connection, record: SessionRecord) -> None:
    now, message_id = now_ms(), inbox.new_id()
    inbox.accept(
        db,
        record,
        message_id=message_id,
        event_id=f"event-{message_id}",
        kind="chat",
        content=ChatIn(sender="Ada", text="a message of an ordinary length, as people write them"),
        route=record.route,
        created_at=now,
        now=now,
    )


def _in_the_files(data: Path) -> int:
    found = 0
    for path in (data / "sessions").glob("*/in/inbound.db"):
        with closing(sqlite3.connect(path)) as db:
            found += db.execute("SELECT count(*) FROM messages_in").fetchone()[0]
    return found
