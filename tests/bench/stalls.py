"""How long the event loop is held: a tick every millisecond, and the longest that one came late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from container.process import ProcessBackend
from tests.bench.person import Room
from tests.bench.service import open_service

TICK_SECONDS: Final = 0.001
ROUNDS: Final = 3
IN_FLIGHT: Final = 32
"""Messages of a flood that wait to be accepted at the same time."""


@dataclass
class Stall:
    """The longest one so far, in milliseconds."""

    longest_ms: float = 0.0


@asynccontextmanager
async def watching() -> AsyncIterator[Stall]:
    """Watches the running loop for the length of the block."""
    stall = Stall()

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            late = time.perf_counter() - began - TICK_SECONDS
            stall.longest_ms = max(stall.longest_ms, late * 1000)

    task = asyncio.create_task(tick(), name="ticker")
    try:
        yield stall
    finally:
        task.cancel()


@dataclass(frozen=True)
class Flood:
    """What a flood did to the loop, and to somebody who talked elsewhere meanwhile. In milliseconds."""

    stall_max: float
    elsewhere: list[float]


async def flood(data: Path, messages: int) -> Flood:
    """So many messages into one channel as fast as they are accepted, while somebody else talks; the median of
    a few rounds. Raises NotAnswered, TimeoutError, RoostError."""
    backend = ProcessBackend(data / "run", "bench")
    try:
        async with open_service(data, backend) as (_, room):
            await room.ask("elsewhere", "hello")
            rounds = [await _flood(room, f"flooded-{number}", messages) for number in range(ROUNDS)]
    finally:
        await backend.aclose()
    elsewhere = [timing for each in rounds for timing in each.elsewhere]
    return Flood(round(median(each.stall_max for each in rounds), 2), elsewhere)


async def _flood(room: Room, place: str, messages: int) -> Flood:
    """Returns when every message is answered."""
    await room.ask(place, "hello")
    elsewhere: list[float] = []
    async with watching() as stall, asyncio.TaskGroup() as group:
        flooding = group.create_task(_pour(room, place, messages))
        while not flooding.done():
            elsewhere.append((await room.ask("elsewhere", "are you there")).answered)
    return Flood(stall.longest_ms, elsewhere)


async def _pour(room: Room, place: str, messages: int) -> None:
    waiting = iter(range(messages))

    async def some() -> None:
        for number in waiting:
            await room.say(place, f"message {number}")

    await asyncio.gather(*(some() for _ in range(IN_FLIGHT)))
    await room.quiet(place)
