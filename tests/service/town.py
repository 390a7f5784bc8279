"""The whole service with the real Discord adapter, before a Discord on loopback: a guild, a channel, two people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from adapters.discord import DiscordAdapter, Settings, Timing
from bot.db import people
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place
from tests.service.conftest import House

QUICK: Final = Timing(
    identify_pause=0.05,
    guilds=0.1,
    first_text=0.1,
    edit=0.2,
    typing_begins=0.05,
    typing_again=0.5,
    silence=60.0,
    probe=1.0,
    defer=0.5,
    online=5.0,
    heartbeat=60.0,
    closing=0.2,
    again=0.05,
    longest=0.4,
    mended=0.5,
    noted=0.2,
    gap_told=120.0,
)
"""What a person would wait for without noticing, and a test would."""
SECONDS: Final = 15.0
OPEN: Final = (
    "SELECT 1 FROM inbox JOIN sessions ON sessions.id = inbox.session WHERE sessions.thread_id = ? AND trigger = 1"
    " AND inbox.state IN ('accepted', 'posted')"
)
"""What waits for its end in a thread."""


class Town:
    """Discord, and the house in which the service lives. Ada owns the bot; Bob is nobody yet."""

    def __init__(
        self, house: House, discord: DiscordServer, *, timing: Timing = QUICK, refusals: int = 2_000
    ) -> None:
        self.house = house
        self.discord = discord
        self.timing = timing
        self.servers: list[int] = []
        """Where the commands are registered; everywhere without one."""
        self.refusals = refusals
        self.lab = discord.guild("Lab")
        self.general = self.lab.channel("general")
        self.ada = discord.person("Ada")
        self.bob = discord.person("Bob")
        for each in (self.ada, self.bob):
            self.lab.join(each)

    def adapter(self, token: Callable[[], str] | None = None) -> DiscordAdapter:
        """One that has not been run yet; without a `token` it has the one that counts now."""
        now = self.discord.token
        settings = Settings(
            token or (lambda: now),
            rest_url=self.discord.rest_url,
            gateway_url=self.discord.gateway_url,
            development_guilds=self.servers,
            timing=self.timing,
            refusals=self.refusals,
        )
        return DiscordAdapter(settings, clock=self.house.now)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[DiscordAdapter]:
        """The service for the length of the block, connected."""
        adapter = self.adapter()
        begun = len(self.discord.hub.sessions)
        async with self.house.open(adapter):
            await self.house.app.db.write(
                partial(people.grant, channel="discord", user_id=self.ada.id, role="owner", now=0)
            )
            await self.until(lambda: len(self.discord.hub.sessions) > begun)
            yield adapter

    async def until(self, holds: Any) -> None:
        """Woken whenever anything changes on Discord. Raises TimeoutError."""
        await self.discord.until(holds, seconds=SECONDS)

    async def thread_of(self, message: Message) -> Place:
        """The thread that was opened on a message."""
        await self.until(lambda: message.thread is not None)
        assert message.thread is not None
        return message.thread

    async def reads(self, place: Place, *texts: str) -> None:
        """Returns when exactly these stand in a place, whoever wrote them. Raises AssertionError."""
        try:
            await self.until(lambda: place.texts == list(texts))
        except TimeoutError:
            raise AssertionError(f"there stands {place.texts}, and not {list(texts)}") from None

    async def answer_to(self, text: str, *, place: Place | None = None) -> str:
        """What the bot answers Ada, in the thread that it opens."""
        said = self.ada.say(place or self.general, text, mention=[self.discord.bot])
        thread = await self.thread_of(said)
        await self.until(lambda: any(each.author is self.discord.bot for each in thread.messages))
        # Until then it may still be written.
        await self.house.until(lambda: not self.house.query(OPEN, thread.id))
        return next(each.text for each in thread.messages if each.author is self.discord.bot)


def wirings(*tables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For `House.wirings`."""
    return [{"channel": "discord", **table} for table in tables]
