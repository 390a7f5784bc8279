"""`roost slack demo`: the service with its Slack adapter, a Slack of this machine, and a person as ada and bob.

python -m tests.fakes.slack_demo [--config FILE]
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
from tests.fakes.playground_demo import CONNECT_SECONDS, NO_ADAPTER, Demo, Say, main, served
from tests.fakes.slack_playground import Playground
from tests.fakes.slack_server import SlackServer

ADAPTER: Final = "adapters.slack.adapter"
TIMING: Final = "adapters.slack.timing"
PROMPTS: Final = (("What can you do?", "What can you do?"),)


def adapter_of(slack: SlackServer) -> Adapter:
    """The Slack adapter, connected to a Slack of ours. Raises CommandFailed."""
    try:
        module, timing = importlib.import_module(ADAPTER), importlib.import_module(TIMING)
    except ModuleNotFoundError as exc:
        raise CommandFailed(NO_ADAPTER.format(platform="Slack", missing=exc.name)) from exc
    chosen = module.Settings(
        bot_token=lambda: slack.bot_token,
        app_token=lambda: slack.app_token,
        api_url=slack.api_url,
        prompts=PROMPTS,
        timing=timing.Timing(stagger=0.1),
    )
    adapter: Adapter = module.SlackAdapter(chosen)
    return adapter


@asynccontextmanager
async def running(config: Config, say: Say) -> AsyncIterator[tuple[Playground, App]]:
    """Everything for the length of a block, with the bot online. Raises RoostError, TimeoutError."""
    async with SlackServer() as slack:
        playground = Playground(slack, say)
        known = [each.id for each in playground.people.values()]
        async with served(config, playground, adapter_of(slack), known) as app:
            await slack.until(lambda: slack.hub.connections, CONNECT_SECONDS)
            yield playground, app


if __name__ == "__main__":
    main(Demo("Slack", "roost slack demo", running))
