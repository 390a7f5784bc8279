"""A fake Discord on 127.0.0.1: REST, gateway and CDN, for the real discord.py client and for raw ones.

    async with DiscordServer() as discord:
        lab = discord.guild("Lab")
        general = lab.channel("general")
        ada = discord.person("Ada")
        lab.join(ada)
        ...                                     # a client connects to discord.rest_url and discord.gateway_url
        ada.say(general, "hello", mention=[discord.bot])
        await discord.until(lambda: len(general.messages) == 2)

Leaving the block raises AssertionError with everything that went over the wire and is not as Discord's own description
has it, unless the test has taken it (`take_violations`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from agent.protocol.clock import Clock, now_ms
from tests.fakes.changes import News
from tests.fakes.discord_calls import Body, Call
from tests.fakes.discord_cdn import Cdn
from tests.fakes.discord_commands import Commands
from tests.fakes.discord_faults import Fault, Faults, How
from tests.fakes.discord_gateway import GatewayHub, GatewaySettings
from tests.fakes.discord_interactions import Interactions
from tests.fakes.discord_limits import Limits, Scope, Strictness
from tests.fakes.discord_people import Person
from tests.fakes.discord_rest import API, Request, Rest
from tests.fakes.discord_spec import Spec
from tests.fakes.discord_things import Guild, Place, User
from tests.fakes.discord_values import EVERYONE
from tests.fakes.discord_world import World

LARGEST_BODY_BYTES: Final = 1 << 30


class DiscordServer:
    """Serves for the length of a block. `clock` is the time of everything in the world, in epoch milliseconds; the rate
    limits count on a steady one, because clients really wait. `limits` "none" lets everything pass; what is not to be
    `described` is not compared with Discord's description, which takes a part of a millisecond each time."""

    def __init__(
        self,
        *,
        clock: Clock = now_ms,
        limits: Strictness = "discord",
        gateway: GatewaySettings | None = None,
        described: bool = True,
    ) -> None:
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.limits = Limits(clock, limits)
        self._news = News()
        self.world = World(clock, self._news)
        self.commands = Commands(self.world)
        self.interactions = Interactions(self.world)
        self.hub = GatewayHub(self.world, settings=gateway, changed=self._news.tell)
        self.rest_url = self.gateway_url = self.cdn_url = ""
        self._settings = gateway or GatewaySettings()
        self._faults = Faults()
        self._rest = Rest(
            self.world,
            self.limits,
            self._faults,
            call=self._call,
            spec=Spec.load() if described else None,
            remember=self._remember,
            violated=self.violations.append,
        )
        self._cdn = Cdn(self.world, self._faults)
        self._runner: web.AppRunner | None = None

    # ---------------------------------------------------------------- life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if exc is None and self.violations:
            raise AssertionError("not as Discord has it:\n" + "\n".join(self.violations))

    async def start(self, *, port: int = 0) -> None:
        """Opens the port, one that is free for 0."""
        app = web.Application(client_max_size=LARGEST_BODY_BYTES)
        app.router.add_get("/gateway", self.hub.handle)
        app.router.add_get("/gateway/", self.hub.handle)
        app.router.add_get("/attachments/{path:.*}", self._cdn.handle)
        app.router.add_get("/stickers/{path:.*}", self._cdn.handle_sticker)
        app.router.add_route("*", API + "/{path:.*}", self._rest.handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        address = f"127.0.0.1:{self._runner.addresses[0][1]}"
        self.rest_url = f"http://{address}{API}"
        self.gateway_url = f"ws://{address}/gateway"
        self.cdn_url = self.world.cdn_url = f"http://{address}"
        self.world.connect(self.hub.dispatch)

    async def stop(self) -> None:
        """Cuts every connection and closes the port."""
        await self.hub.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # ---------------------------------------------------------------- what there is

    @property
    def token(self) -> str:
        """The bot's token."""
        return self.world.token

    @property
    def bot(self) -> User:
        """The bot."""
        return self.world.bot

    @property
    def application_id(self) -> str:
        """The bot's application."""
        return self.world.application_id

    @property
    def limited(self) -> list[Request]:
        """Every request that was answered by 429."""
        return [each for each in self.requests if each.status == 429]

    def guild(
        self, name: str, *, large: bool = False, tier: int = 0, bot_permissions: int = int(EVERYONE)
    ) -> Guild:
        """Makes a guild with the bot in it. `tier` is that of its boosts, 0 to 3."""
        return self.world.add_guild(name, large=large, tier=tier, bot_permissions=int(bot_permissions))

    def person(self, name: str, *, bot: bool = False, takes_dms: bool = True) -> Person:
        """Makes somebody who uses Discord; another bot as well."""
        person = Person(
            self.world.ids.new(),
            name,
            bot,
            takes_dms,
            world=self.world,
            commands=self.commands,
            interactions=self.interactions,
        )
        self.world.add_user(person)
        return person

    def dm(self, person: User) -> Place:
        """The direct messages of somebody with the bot."""
        return self.world.private([person, self.bot])

    def group_dm(self, *people: User, name: str | None = None) -> Place:
        """A private conversation of several people and the bot."""
        return self.world.private([*people, self.bot], name=name, group=True)

    # ---------------------------------------------------------------- what a test asks

    async def until(self, holds: Callable[[], object], seconds: float = 10.0) -> None:
        """Returns when `holds` does; it is asked at every change. Raises TimeoutError."""
        await self._news.until(holds, seconds)

    def take_violations(self) -> list[str]:
        """What went over the wire and is not as Discord has it; the test answers for it from here on."""
        taken, self.violations[:] = list(self.violations), []
        return taken

    # ---------------------------------------------------------------- what a test does to it

    def fail(
        self,
        method: str,
        path_regex: str,
        *,
        how: How = "status",
        status: int = 500,
        times: int = 1,
        after: int = 0,
        seconds: float = 0.0,
        retry_after: float | None = None,
        body: Any = None,
        scope: Scope = "user",
    ) -> Fault:
        """Lets the next requests go wrong; see `discord_faults.Fault`. The path is without /api/v10, or that of the
        CDN (/attachments/...)."""
        pattern = re.compile(path_regex)
        return self._faults.order(
            Fault(method, pattern, how, status, times, after, seconds, retry_after, body, scope)
        )

    def revoke_token(self) -> None:
        """The token opens nothing any more, and its connections are closed."""
        self.world.token = ""
        self.hub.close(4004)

    def message_content(self, on: bool) -> None:
        """Switches the privileged intent of the application."""
        self._switch(1 << 15, on)

    def dispatch_raw(self, event: str, data: Mapping[str, Any], *, guild: Guild | None = None) -> None:
        """Sends an event as it is to every session, or to those whose shard the guild is."""
        self.hub.dispatch(event, data, intent=None, guild_id=guild.id if guild is not None else None)

    # ---------------------------------------------------------------- the parts

    def _switch(self, intent: int, on: bool) -> None:
        now = self.world.switched_on
        self.world.switched_on = now | intent if on else now & ~intent

    def _remember(self, request: Request) -> None:
        self.requests.append(request)
        self._news.tell()

    def _gateway_bot(self) -> Mapping[str, Any]:
        return {
            "url": self.gateway_url,
            "shards": self._settings.shards,
            "session_start_limit": self.hub.session_start_limit(),
        }

    def _call(self, params: Mapping[str, str], query: Mapping[str, str], body: Body) -> Call:
        return Call(
            self.world,
            self.commands,
            self.interactions,
            self._gateway_bot,
            params,
            query,
            body.form,
            body.files,
        )
