"""The real adapter before a Discord on loopback, with a host that answers as the test says, and two people there."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from adapters.base import Event, Outgoing, Question, Receipt
from adapters.discord import DiscordAdapter, Settings, ids
from adapters.offers import CommandInfo, CommandSpec, OptionInfo
from agent.protocol.messages import Route
from tests.fakes.discord_people import Person
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Guild, Message, Place
from tests.fakes.host import FakeHost
from tests.service.town import QUICK

LONG = OptionInfo("text", "what it says of itself", required=True, max_chars=8_000, long=True)
INFOS = [
    CommandInfo("status", "how it is doing"),
    CommandInfo(
        "role",
        "grant",
        [
            CommandSpec(
                "role grant",
                "give somebody a role",
                [
                    OptionInfo("who", "a person or a group", "who", required=True),
                    OptionInfo("person", "a person", "person"),
                    OptionInfo("group", "a group", "group"),
                    OptionInfo("place", "a channel", "place"),
                ],
                admins=True,
            )
        ],
    ),
    CommandInfo(
        "agent",
        "instruct",
        [
            CommandSpec(
                "agent instruct",
                "say what an agent is",
                [
                    OptionInfo("name", "which agent", required=True),
                    LONG,
                    OptionInfo("more", "and what else", max_chars=2_000, long=True),
                ],
            )
        ],
    ),
]


class SlowHost(FakeHost):
    """One that answers only when `let` is set."""

    def __init__(self) -> None:
        super().__init__(commands=INFOS)
        self.let = asyncio.Event()
        self.let.set()
        self.changed: Callable[[], None] = lambda: None

    async def receive(self, event: Event) -> Receipt:
        receipt = await super().receive(event)
        self.changed()
        await self.let.wait()
        return receipt

    def place(self, channel: str, platform_id: str, name: str | None, *, gone: bool = False) -> None:
        super().place(channel, platform_id, name, gone=gone)
        self.changed()


@dataclass
class Lab:
    """Ada and Bob are in the server Lab, where there is #general."""

    discord: DiscordServer
    lab: Guild
    general: Place
    ada: Person
    bob: Person
    host: SlowHost = field(default_factory=SlowHost)
    adapter: DiscordAdapter = field(init=False)
    ahead_ms: int = 0
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(100))

    async def until(self, holds: Callable[[], object]) -> None:
        """Woken whenever anything changes on Discord. Raises TimeoutError."""
        await self.discord.until(holds, seconds=10.0)

    def of_kind(self, kind: str) -> list[Event]:
        """What was handed in."""
        return [each for each in self.host.events if each.kind == kind]

    async def one(self, kind: str) -> Event:
        """The only event of a kind, once it is there."""
        await self.until(lambda: self.of_kind(kind))
        (event,) = self.of_kind(kind)
        return event

    @asynccontextmanager
    async def open(self, **settings: Any) -> AsyncIterator[None]:
        """The adapter for the length of the block, connected, with its commands registered."""
        told = Settings(
            lambda: self.discord.token,
            rest_url=self.discord.rest_url,
            gateway_url=self.discord.gateway_url,
            timing=QUICK,
            **settings,
        )
        self.adapter = DiscordAdapter(told, clock=lambda: self.discord.world.clock() + self.ahead_ms)
        self.host.changed = self.discord.world.changed
        begun = len(self.discord.hub.sessions)
        running = asyncio.create_task(self.adapter.run(self.host))
        try:
            await self.until(lambda: len(self.discord.hub.sessions) > begun)
            await self.until(lambda: list(self.discord.commands.leaves(None)))
            yield
        finally:
            self.host.let.set()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def send(self, outgoing: Outgoing) -> list[str | None]:
        """The ids of the parts."""
        return [await self.adapter.send(part) for part in self.adapter.render(outgoing)]

    async def shown(self, asked: Question, route: Route | None = None) -> list[Message]:
        """The messages of a card."""
        where = route or ids.route(int(self.general.id))
        out = Outgoing(f"n{next(self.numbers)}", where, "", question=asked, notice=True, session="house")
        return self.messages(await self.send(out))

    def messages(self, sent: Sequence[str | None]) -> list[Message]:
        """What these parts are now."""
        known = [ids.part_of(each) for each in sent if each is not None]
        places = self.discord.world.places
        found = [places[str(each[0])].find(str(each[1])) for each in known if each is not None]
        return [each for each in found if each is not None]


@asynccontextmanager
async def standing() -> AsyncIterator[Lab]:
    """One, not connected yet."""
    async with DiscordServer() as discord:
        guild = discord.guild("Lab")
        general, ada, bob = guild.channel("general"), discord.person("Ada"), discord.person("Bob")
        guild.join(ada)
        guild.join(bob)
        yield Lab(discord, guild, general, ada, bob)
