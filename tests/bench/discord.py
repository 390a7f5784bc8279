"""The service in this process with its real Discord adapter, before a Discord in a process of its own."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Final

from adapters.base import Adapter
from adapters.discord import DiscordAdapter, Settings, Timing
from bot.config_tables import AgentConfig
from container.process import ProcessBackend
from tests.bench.child import Child, Found, child, turn_about
from tests.bench.discord_child import LAST_WORD, PAUSE_SECONDS, STREAM
from tests.bench.person import PERSON, NotAnswered, Room
from tests.bench.service import open_behind
from tests.bench.stalls import watching

THREADS: Final = 20
WARM_UP: Final = 20
STREAMS: Final = 3
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
                await turn_about(
                    there, room, found, warm=warm, warm_up=WARM_UP, seconds=seconds, pause=PAUSE_SECONDS
                )
                found.stall_max = round(median([await _stream(there) for _ in range(STREAMS)]), 2)
                return found
    finally:
        await backend.aclose()


async def _stream(there: Child) -> float:
    """The longest that the loop was held while all threads were written in, in milliseconds."""
    async with watching() as stall:
        changes = await there.ask("stream")
    if changes < THREADS:
        raise NotAnswered(f"{THREADS} answers were changed {changes} times while they were written")
    return stall.longest_ms
