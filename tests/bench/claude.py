"""Claude behind a real runner, and in front of it a stand-in for the model's API that answers at once."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from adapters.base import Live, Update
from bot.config_backend import BackendConfig
from bot.config_tables import AgentConfig
from container.process import ProcessBackend
from tests.bench.figures import ROOT, rounds
from tests.bench.memory import rss_mb
from tests.bench.person import NotAnswered, Room
from tests.bench.service import MAX_AWAKE, open_service

KEY: Final = "sk-ant-made-up"
START_SECONDS: Final = 20.0
FIRST_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.005
"""Between the words of an answer: one that is over at once is never shown live."""
SAID: Final = " ".join(["hello"] * 20)
WARM_UP: Final = 3
RUNNERS: Final = BackendConfig(kind="process", max_awake=MAX_AWAKE, allow_unsandboxed=True)


@dataclass
class Found:
    """In milliseconds and MiB."""

    new_session: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    runner_rss_mb: float = 0.0
    cli_rss_mb: float = 0.0


class Watched(Room):
    """A room that knows when the first words of an answer are shown."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, asyncio.Future[float]] = {}

    async def show(self, update: Update) -> None:
        if isinstance(update, Live):
            first = self._first.get(update.route.platform_id)
            if first is not None and not first.done():
                first.set_result(time.perf_counter())
        await super().show(update)

    async def first_words(self, place: str, text: str) -> float:
        """How long it takes from the message until the first words of its answer, in milliseconds; returns when
        the whole answer is there. Raises NotAnswered, TimeoutError."""
        first: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._first[place] = first
        began = time.perf_counter()
        await self.ask(place, text)
        if not first.done():
            raise NotAnswered(f"{text} was answered without being shown live")
        return (first.result() - began) * 1000


async def measure(data: Path, *, sessions: int, warm: int, seconds: float) -> Found:
    """Raises NotAnswered, TimeoutError, RoostError, BackendError."""
    found = Found()
    backend = ProcessBackend(data / "run", "bench")
    os.environ["ANTHROPIC_API_KEY"] = KEY
    try:
        async with (
            api() as url,
            open_service(data, backend, runners=RUNNERS, agent=agent_at(url), room=(room := Watched())),
        ):
            for number in rounds(sessions, seconds):
                found.new_session.append(await room.first_words(f"place-{number}", SAID))
            for _ in range(WARM_UP):
                await room.first_words("place-0", SAID)
            for _ in rounds(warm, seconds):
                found.warm.append(await room.first_words("place-0", SAID))
            pids = [program.pid for program in await backend.running() if program.pid is not None]
            found.runner_rss_mb = median(rss_mb(pid) for pid in pids)
            found.cli_rss_mb = median(rss_mb(child) for pid in pids for child in children(pid))
    finally:
        del os.environ["ANTHROPIC_API_KEY"]
        await backend.aclose()
    return found


def children(pid: int) -> Sequence[int]:
    """The processes that a process has started, by proc(5)'s children."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def agent_at(url: str) -> AgentConfig:
    return AgentConfig(provider="claude", model="claude-sonnet-5", model_url=url)


@asynccontextmanager
async def api() -> AsyncIterator[str]:
    """The stand-in for the model's API, in a process of its own: what it does must not hold up the service that is
    measured."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.messages_api", "--port", "0", "--pause", str(PAUSE_SECONDS)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = (await process.stdout.readline()).decode()
        yield next(word.rstrip(";") for word in line.split() if word.startswith("http"))
    finally:
        process.kill()
        await process.wait()
