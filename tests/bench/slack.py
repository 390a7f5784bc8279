"""The service in this process with its real Slack adapter, before a Slack in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from adapters.base import Adapter
from adapters.slack import Settings, SlackAdapter
from bot.config_tables import AgentConfig
from container.process import ProcessBackend
from tests.bench.child import Found, child, turn_about
from tests.bench.person import PERSON, Room
from tests.bench.service import open_behind
from tests.bench.slack_child import CHANNELS, PAUSE_SECONDS

WARM_UP: Final = 24


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
                await turn_about(
                    there, room, found, warm=warm, warm_up=WARM_UP, seconds=seconds, pause=PAUSE_SECONDS
                )
                return found
    finally:
        await backend.aclose()
