"""The service in this process with its real Slack adapter, before a Slack in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.base import Adapter
from adapters.slack import Settings, SlackAdapter
from bot.config_tables import AgentConfig
from container.process import ProcessBackend
from tests.bench.child import Child, child
from tests.bench.figures import ROOT, Spread, rounds
from tests.bench.person import PERSON, Room
from tests.bench.service import open_behind
from tests.bench.slack_child import CHANNELS, PAUSE_SECONDS

WARM_UP: Final = 24
IMPORTS: Final = 5
_IMPORT: Final = """
import time, bot.cli, bot.serve
began = time.perf_counter()
import adapters.slack
print((time.perf_counter() - began) * 1000)
"""


@dataclass
class Found:
    """In milliseconds."""

    new_thread: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    room: list[float] = field(default_factory=list)
    """What a message of the adapter that does nothing took, turn about with the others."""

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
        async with child("tests.bench.slack_child") as (there, (api_url, bot_token, app_token, ada)):
            settings = Settings(lambda: bot_token, lambda: app_token, api_url=api_url)
            room = Room()
            members: list[tuple[Adapter, str]] = [(SlackAdapter(settings), ada), (room, PERSON.id)]
            async with open_behind(members, data, backend, agent=AgentConfig()):
                await there.ask("connect")
                found = Found(new_thread=[await there.ask("open") for _ in range(CHANNELS)])
                await _turn_about(there, room, found, warm=warm, seconds=seconds)
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


def import_ms() -> list[float]:
    """How long the adapter takes to import, with its library, where all the rest of a service is there."""
    return [_import_ms() for _ in range(IMPORTS)]


def _import_ms() -> float:
    command = [sys.executable, "-c", _IMPORT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)
