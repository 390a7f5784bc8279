"""The service in this process with its real Discord adapter, before a Discord in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from adapters.base import Adapter
from adapters.discord import DiscordAdapter, Settings, Timing
from bot.config_tables import AgentConfig
from container.process import ProcessBackend
from tests.bench.child import Child, child
from tests.bench.discord_child import LAST_WORD, PAUSE_SECONDS, STREAM
from tests.bench.figures import ROOT, Spread, rounds
from tests.bench.person import PERSON, NotAnswered, Room
from tests.bench.service import open_behind
from tests.bench.stalls import watching

THREADS: Final = 20
WARM_UP: Final = 20
STREAMS: Final = 3
IMPORTS: Final = 5
WORDS: Final = 80
WORD_SECONDS: Final = 0.05
"""As fast as a model writes."""
QUICK: Final = Timing(identify_pause=0.0, guilds=0.1)
"""Only what the start waits for is shortened."""
STORY: Final = "word " * WORDS + LAST_WORD
STEPS: Final = [
    *({"do": "delta", "text": "word "}, {"do": "stall", "seconds": WORD_SECONDS}) * WORDS,
    {"do": "result", "text": STORY},
]
TELLER: Final = AgentConfig(provider_options={"script": [{"match": f"^{STREAM}$", "steps": STEPS}]})
"""What else is said is echoed."""
_IMPORT: Final = """
import time, bot.cli, bot.serve
began = time.perf_counter()
import adapters.discord
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


async def measure(data: Path, *, warm: int, seconds: float) -> Found:
    """So many `warm` messages, for no longer than `seconds`. Raises NotAnswered, TimeoutError, RoostError,
    BackendError."""
    backend = ProcessBackend(data / "run", "bench")
    try:
        async with child("tests.bench.discord_child") as (there, (rest_url, gateway_url, token, ada)):
            settings = Settings(lambda: token, rest_url=rest_url, gateway_url=gateway_url, timing=QUICK)
            room = Room()
            members: list[tuple[Adapter, str]] = [(DiscordAdapter(settings), ada), (room, PERSON.id)]
            async with open_behind(members, data, backend, agent=TELLER):
                await there.ask("connect")
                found = Found(new_thread=[await there.ask("open") for _ in range(THREADS)])
                await _turn_about(there, room, found, warm=warm, seconds=seconds)
                found.stall_max = round(median([await _stream(there) for _ in range(STREAMS)]), 2)
                return found
    finally:
        await backend.aclose()


async def _turn_about(there: Child, room: Room, found: Found, *, warm: int, seconds: float) -> None:
    """A busy machine is as busy for the one as for the other."""
    for _ in range(WARM_UP):
        await there.ask("ask")
        await room.ask("place", "warm up")
    for number in rounds(warm, seconds):
        found.warm.append(await there.ask("ask"))
        found.room.append((await room.ask("place", f"message {number}")).answered)
        await asyncio.sleep(PAUSE_SECONDS)


async def _stream(there: Child) -> float:
    """The longest that the loop was held while all threads were written in, in milliseconds."""
    async with watching() as stall:
        changes = await there.ask("stream")
    if changes < THREADS:
        raise NotAnswered(f"{THREADS} answers were changed {changes} times while they were written")
    return stall.longest_ms


def import_ms() -> list[float]:
    """How long the adapter takes to import, with its library, where all the rest of a service is there."""
    return [_import_ms() for _ in range(IMPORTS)]


def _import_ms() -> float:
    command = [sys.executable, "-c", _IMPORT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)
