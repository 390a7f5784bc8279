"""`roost discord demo`: the service with its Discord adapter, a Discord of this machine, and a person as ada and bob.

python -m tests.fakes.discord_demo [--config FILE]
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from adapters.base import Adapter
from bot.app import App
from bot.config import Config
from bot.errors import CommandFailed
from tests.fakes.discord_playground import Playground
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_spec import VARIABLE
from tests.fakes.playground_demo import CONNECT_SECONDS, NO_ADAPTER, Demo, Say, main, served

ADAPTER: Final = "adapters.discord"


def adapter_of(discord: DiscordServer) -> Adapter:
    """The Discord adapter, connected to a Discord of ours. Raises CommandFailed."""
    try:
        module = importlib.import_module(ADAPTER)
    except ModuleNotFoundError as exc:
        raise CommandFailed(NO_ADAPTER.format(platform="Discord", missing=exc.name)) from exc
    chosen = module.Settings(
        token=lambda: discord.token,
        rest_url=discord.rest_url,
        gateway_url=discord.gateway_url,
        timing=module.Timing(identify_pause=0.0, guilds=0.1),
    )
    adapter: Adapter = module.DiscordAdapter(chosen)
    return adapter


@asynccontextmanager
async def running(config: Config, say: Say) -> AsyncIterator[tuple[Playground, App]]:
    """Everything for the length of a block, with the bot online. Raises RoostError, TimeoutError."""
    async with DiscordServer() as discord:
        playground = Playground(discord, say)
        known = [each.id for each in playground.people.values()]
        async with served(config, playground, adapter_of(discord), known) as app:
            await discord.until(lambda: discord.hub.live, CONNECT_SECONDS)
            yield playground, app
        for line in discord.take_violations():
            say(f"! not as Discord has it: {line}")


if __name__ == "__main__":
    main(Demo("Discord", "roost discord demo", running, [VARIABLE]))
