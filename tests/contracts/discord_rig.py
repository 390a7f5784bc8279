"""The fake Discord with a guild in it, and the two that ask it: the real discord.py client, and a raw one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import discord
import pytest
from yarl import URL

from agent.protocol.clock import now_ms
from tests.fakes.discord_people import Person
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Guild, Place

Handled = Callable[[discord.Message], Awaitable[None]]
READY_SECONDS: Final = 0.02
"""How long discord.py waits for one more guild before it is ready; 2 by default."""


@dataclass
class HandClock:
    """Stands still until it is moved."""

    ms: int = field(default_factory=now_ms)

    def __call__(self) -> int:
        return self.ms

    def forward(self, seconds: float) -> None:
        """So much later."""
        self.ms += int(seconds * 1000)


class Bot(discord.AutoShardedClient):
    """The real client. `heard` has every message of somebody else's, `events` what else it was told."""

    def __init__(self, **options: Any) -> None:
        intents = discord.Intents.default()
        intents.message_content = True
        super().__init__(
            intents=options.pop("intents", intents), guild_ready_timeout=READY_SECONDS, **options
        )
        self.tree = discord.app_commands.CommandTree(self)
        self.heard: list[discord.Message] = []
        self.events: list[tuple[Any, ...]] = []
        self.ready = asyncio.Event()
        self.answer: Handled | None = None
        self.errors: list[BaseException | None] = []

    async def on_ready(self) -> None:
        self.ready.set()

    async def on_message(self, message: discord.Message) -> None:
        if message.author == self.user:
            return
        self.heard.append(message)
        if self.answer is not None:
            await self.answer(message)

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        self.errors.append(sys.exc_info()[1])

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        self.events.append((event, *args))
        super().dispatch(event, *args, **kwargs)

    def told(self, event: str) -> list[tuple[Any, ...]]:
        """What it was told of one kind."""
        return [each[1:] for each in self.events if each[0] == event]


@dataclass
class Rig:
    """A guild "Lab" with #general, Ada in it, and the raw client."""

    discord: DiscordServer
    lab: Guild
    general: Place
    ada: Person
    http: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, json: Any = None, *, token: str | None = None, **options: Any
    ) -> tuple[int, Any, Any]:
        """One request as the bot: status, body, headers."""
        headers = {"Authorization": f"Bot {self.discord.token if token is None else token}"}
        url = URL(self.discord.rest_url + path, encoded=True)
        async with self.http.request(method, url, json=json, headers=headers, **options) as response:
            is_json = response.headers.get("Content-Type") == "application/json"
            body = await response.json() if is_json else await response.text()
            return response.status, body, response.headers

    async def say(self, place: Place, text: str = "hi", **form: Any) -> tuple[int, Any, Any]:
        """Has the bot say something."""
        return await self.ask("POST", f"/channels/{place.id}/messages", {"content": text, **form})


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Rig]:
    """The server with its guild."""
    async with DiscordServer(**options) as server, aiohttp.ClientSession() as http:
        lab = server.guild("Lab")
        general = lab.channel("general")
        ada = server.person("Ada")
        lab.join(ada)
        yield Rig(server, lab, general, ada, http)


@asynccontextmanager
async def connected(rig: Rig, monkeypatch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[Bot]:
    """The real client, once it is ready."""
    monkeypatch.setattr(discord.http.Route, "BASE", rig.discord.rest_url)
    gateway = URL(rig.discord.gateway_url)
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
    # The address of a sticker is made by the client: it would ask the real Discord for it.
    monkeypatch.setattr(discord.asset.Asset, "BASE", rig.discord.cdn_url)
    bot = Bot(**options)
    running = asyncio.create_task(bot.start(rig.discord.token))
    try:
        async with asyncio.timeout(10):
            await bot.ready.wait()
        yield bot
    finally:
        await bot.close()
        await running
    assert not bot.errors, bot.errors
