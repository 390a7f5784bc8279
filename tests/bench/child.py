"""A platform in a process of its own, beside the service that is measured: what it does must not hold that up."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.bench.figures import ROOT, Spread, rounds
from tests.bench.person import NotAnswered, Room

START_SECONDS: Final = 20.0
ORDER_SECONDS: Final = 60.0
"""The longest that anything may take which the other process is asked for."""
IMPORTS: Final = 5
_IMPORT: Final = """
import time, bot.cli, bot.serve
began = time.perf_counter()
import {module}
print((time.perf_counter() - began) * 1000)
"""


@dataclass
class Found:
    """In milliseconds."""

    new_thread: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    room: list[float] = field(default_factory=list)
    """What a message of the adapter that does nothing took, turn about with the others."""
    stall_max: float = 0.0

    @property
    def overhead(self) -> Spread:
        """How much later an answer is than through the adapter that does nothing."""
        with_it, without = Spread.of(self.warm), Spread.of(self.room)
        return Spread(
            round(with_it.p50 - without.p50, 2),
            round(with_it.p95 - without.p95, 2),
            round(with_it.p99 - without.p99, 2),
            with_it.n,
        )


class Child:
    """The process in which a platform and its people are."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, order: str) -> Any:
        """What it has found. Raises NotAnswered, TimeoutError."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n".encode())
        return await self.told(ORDER_SECONDS)

    async def told(self, seconds: float) -> Any:
        """The next that it says. Raises NotAnswered where it has ended, TimeoutError."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        if not line:
            raise NotAnswered("the process in which the platform was has ended")
        return json.loads(line)


@asynccontextmanager
async def child(module: str) -> AsyncIterator[tuple[Child, Any]]:
    """The other process, and what it says of where it is. Raises NotAnswered, TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        there = Child(process)
        yield there, await there.told(START_SECONDS)
    finally:
        process.kill()
        await process.wait()


async def turn_about(
    there: Child, room: Room, found: Found, *, warm: int, warm_up: int, seconds: float, pause: float
) -> None:
    """A busy machine is as busy for the one as for the other. Between two messages there is a `pause`, in seconds."""
    for _ in range(warm_up):
        await there.ask("ask")
        await room.ask("place", "warm up")
    for number in rounds(warm, seconds):
        found.warm.append(await there.ask("ask"))
        found.room.append((await room.ask("place", f"message {number}")).answered)
        await asyncio.sleep(pause)


def import_ms(module: str) -> list[float]:
    """How long an adapter takes to import, with its library, where all the rest of a service is there."""
    return [_import_ms(module) for _ in range(IMPORTS)]


def _import_ms(module: str) -> float:
    command = [sys.executable, "-c", _IMPORT.format(module=module)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)
