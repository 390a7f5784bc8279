"""The service in this process with its real Discord adapter, before a Discord in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from adapters.discord import DiscordAdapter, Settings, Timing
from bot.config_tables import AgentConfig
from container.process import ProcessBackend
from tests.bench.discord_child import LAST_WORD
from tests.bench.figures import ROOT
from tests.bench.person import NotAnswered
from tests.bench.service import open_behind
from tests.bench.stalls import watching

THREADS: Final = 20
WARM_UP: Final = 20
STREAMS: Final = 3
IMPORTS: Final = 5
WORDS: Final = 80
WORD_SECONDS: Final = 0.05
START_SECONDS: Final = 20.0
PHASE_SECONDS: Final = 90.0
"""The longest that anything may take that the other process is asked for."""
LINE_BYTES: Final = 1024 * 1024
STREAMING: Final = AgentConfig(
    provider_options={
        "script": [
            {
                "match": "^stream$",
                "steps": [
                    step
                    for _ in range(WORDS)
                    for step in (
                        {"do": "delta", "text": "wordy "},
                        {"do": "stall", "seconds": WORD_SECONDS},
                    )
                ]
                + [{"do": "result", "text": "wordy " * WORDS + LAST_WORD}],
            }
        ]
    }
)
"""What else is said is echoed."""
QUICK: Final = Timing(identify_pause=0.0, guilds=0.1)
"""Only what the start waits for is shortened."""
_IMPORT: Final = """
import time, bot.cli, bot.serve
began = time.perf_counter()
import adapters.discord
print((time.perf_counter() - began) * 1000)
"""


@dataclass
class Found:
    """In milliseconds."""

    warm: list[float] = field(default_factory=list)
    new_thread: list[float] = field(default_factory=list)
    stream_stall_max: float = 0.0


class Child:
    """The process in which Discord and its people are."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, do: str, *, count: int = 0, seconds: float = 0.0) -> Any:
        """What it has found. Raises NotAnswered, TimeoutError."""
        assert self._process.stdin is not None
        order = {"do": do, "count": count, "seconds": seconds}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return await self.told(PHASE_SECONDS)

    async def told(self, seconds: float) -> Any:
        """The next that it says. Raises NotAnswered where it has ended, TimeoutError."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        if not line:
            raise NotAnswered("the process in which Discord was has ended")
        return json.loads(line)


async def measure(data: Path, *, warm: int, seconds: float) -> Found:
    """Raises NotAnswered, TimeoutError, RoostError, BackendError."""
    backend = ProcessBackend(data / "run", "bench")
    try:
        async with child() as (there, at):
            adapter = DiscordAdapter(
                Settings(
                    lambda: at["token"],
                    rest_url=at["rest_url"],
                    gateway_url=at["gateway_url"],
                    timing=QUICK,
                )
            )
            async with open_behind(adapter, at["person"], data, backend, agent=STREAMING):
                await there.ask("connected")
                return await _talk(there, warm=warm, seconds=seconds)
    finally:
        await backend.aclose()


async def _talk(there: Child, *, warm: int, seconds: float) -> Found:
    found = Found()
    # Without an end of time: the streams need all of the threads.
    found.new_thread = await there.ask("open", count=THREADS, seconds=PHASE_SECONDS)
    await there.ask("ask", count=WARM_UP, seconds=seconds)
    found.warm = await there.ask("ask", count=warm, seconds=seconds)
    stalls = []
    for _ in range(STREAMS):
        async with watching() as stall:
            changes = await there.ask("stream")
        if changes < THREADS:
            raise NotAnswered(f"{THREADS} answers were changed {changes} times while they were written")
        stalls.append(stall.longest_ms)
    found.stream_stall_max = round(median(stalls), 2)
    return found


@asynccontextmanager
async def child() -> AsyncIterator[tuple[Child, dict[str, str]]]:
    """The other process, and where its Discord is. Raises NotAnswered, TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.discord_child"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
    )
    try:
        there = Child(process)
        yield there, await there.told(START_SECONDS)
    finally:
        process.kill()
        await process.wait()


def import_ms() -> list[float]:
    """How long the adapter with its library takes to import in a service that has everything else."""
    return [_import_ms() for _ in range(IMPORTS)]


def _import_ms() -> float:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)
