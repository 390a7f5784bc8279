"""Finds out over REST how the bot is set up: reads only, and nobody on Discord notices.

Every call is a bounded one: of very many servers some are looked at, and of very many channels no list is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from discord.http import HTTPClient
from discord.http import Route as Call

from adapters.base import SendFailed
from adapters.checkup import Named
from adapters.discord import facts, ids
from adapters.discord.errors import MISSING_ACCESS, ChannelGone, code_of, translated
from adapters.discord.facts import Channel, Facts, Greeting, Json, Place, Server
from adapters.discord.identify import identify
from adapters.text import shown_name
from agent.protocol.clock import Clock

AT_ONCE: Final = 5
SERVERS: Final = 20
"""As many are looked at where the configuration names no channel."""
PAGE: Final = 200
"""Discord's documentation, Get Current User Guilds."""
PAGES: Final = 10
LONGEST_PAUSE_SECONDS: Final = 30.0
FEWEST_STARTS: Final = 5
"""With fewer than these none is spent on a look."""
UNKNOWN_GUILD: Final = 10004
INVALID_FORM: Final = 50035
"""Discord's documentation, Opcodes and Status Codes, JSON."""


@dataclass(frozen=True)
class Wanted:
    """What is asked about: the places that the configuration names, and the servers for which commands are registered;
    without these they are registered everywhere."""

    token: str
    rest_url: str
    gateway_url: str | None
    places: Sequence[Named]
    development_servers: Sequence[int]
    hide_admins: bool = False
    """Whether the commands for admins are registered for those who may manage their server."""


async def gather(wanted: Wanted, *, clock: Clock) -> Facts:
    """All that is to be judged. Raises discord.LoginFailure for a token that is refused, SendFailed for what does not
    answer, and what facts.py raises for an answer that is none of Discord's."""
    async with _logged_in(wanted) as (http, me):
        return await _Examination(http, wanted, int(me["id"]), clock).facts(me)


@asynccontextmanager
async def _logged_in(wanted: Wanted) -> AsyncIterator[tuple[HTTPClient, Json]]:
    # The library keeps the address with its class: a process speaks to one Discord.
    Call.BASE = wanted.rest_url.rstrip("/")
    http = HTTPClient(asyncio.get_running_loop(), max_ratelimit_timeout=LONGEST_PAUSE_SECONDS)
    try:
        with translated():
            me: Any = await http.static_login(wanted.token)
        yield http, me
    finally:
        await http.close()


class _Examination:
    def __init__(self, http: HTTPClient, wanted: Wanted, me: int, clock: Clock) -> None:
        self._http = http
        self._wanted = wanted
        self._me = me
        self._room = asyncio.Semaphore(AT_ONCE)
        self._now = datetime.fromtimestamp(clock() / 1000, UTC).isoformat()

    async def facts(self, me: Json) -> Facts:
        application = facts.application(await self._get("/applications/@me"))
        way = await self._get("/gateway/bot")
        starts = facts.starts(way["session_start_limit"])
        url = self._wanted.gateway_url or str(way["url"])
        greeting: Greeting | None = None
        if starts.left >= FEWEST_STARTS:
            greeting = await identify(self._http, url, self._wanted.token, shards=int(way["shards"]))
        guilds = await self._guilds()
        places = await self._all(self._place, self._wanted.places)
        chosen = _chosen(guilds, places)
        scopes: Sequence[int | None] = self._wanted.development_servers or (None,)
        registered = await self._all(lambda server: self._commands(application.id, server), scopes)
        return Facts(
            self._me,
            shown_name(me["username"]),
            application,
            starts,
            greeting,
            url,
            [shown_name(each["name"]) for each in guilds],
            [each for each in await self._all(self._server, chosen) if each is not None],
            places,
            dict(zip(scopes, registered, strict=True)),
        )

    async def _guilds(self) -> list[Json]:
        found: list[Json] = []
        for _ in range(PAGES):
            after = found[-1]["id"] if found else "0"
            page = await self._get("/users/@me/guilds", params={"limit": PAGE, "after": after})
            found += page
            if len(page) < PAGE:
                break
        return found

    async def _server(self, guild: Json) -> Server | None:
        """None for one that the bot has just left, or that Discord cannot tell of."""
        number = int(guild["id"])
        try:
            roles = await self._get("/guilds/{guild_id}/roles", guild_id=number)
            member = await self._get("/guilds/{guild_id}/members/{member}", guild_id=number, member=self._me)
            channels = await self._get("/guilds/{guild_id}/channels", guild_id=number)
        except SendFailed as exc:
            if exc.retry_after is not None:
                raise
            return None
        return facts.server(guild, roles, member, channels, now=self._now)

    async def _place(self, named: Named) -> Place:
        try:
            target = ids.target(named.route)
        except ValueError:
            return Place(named, "unknown")
        found = await self._channel(target)
        around = None
        if isinstance(found, Channel) and found.kind in facts.THREADS and found.parent is not None:
            other = await self._channel(found.parent)
            around = other if isinstance(other, Channel) else None
        return Place(named, found, around)

    async def _channel(self, channel: int) -> Channel | Literal["unknown", "hidden"]:
        try:
            return facts.channel(await self._get("/channels/{channel_id}", channel_id=channel))
        except ChannelGone:
            return "unknown"
        except SendFailed as exc:
            if code_of(exc) == MISSING_ACCESS:
                return "hidden"
            if code_of(exc) == INVALID_FORM:
                return "unknown"
            raise

    async def _commands(self, application: int, server: int | None) -> Sequence[Json] | None:
        try:
            if server is None:
                found = await self._get("/applications/{application_id}/commands", application_id=application)
            else:
                found = await self._get(
                    "/applications/{application_id}/guilds/{guild_id}/commands",
                    application_id=application,
                    guild_id=server,
                )
        except SendFailed as exc:
            if code_of(exc) in (MISSING_ACCESS, UNKNOWN_GUILD, INVALID_FORM):
                return None
            raise
        return [dict(each) for each in found]

    async def _all(self, find: Callable[[Any], Any], wanted: Sequence[Any]) -> list[Any]:
        """What is found for each, some at a time."""

        async def one(each: Any) -> Any:
            async with self._room:
                return await find(each)

        return list(await asyncio.gather(*map(one, wanted)))

    async def _get(self, path: str, *, params: Mapping[str, Any] | None = None, **of: Any) -> Any:
        more: dict[str, Any] = {} if params is None else {"params": params}
        with translated():
            return await self._http.request(Call("GET", path, **of), **more)


def _chosen(guilds: Sequence[Json], places: Sequence[Place]) -> Sequence[Json]:
    """The servers to look at: those of the places, and where none is named the first few."""
    if not places:
        return guilds[:SERVERS]
    wanted = {place.found.server for place in places if isinstance(place.found, Channel)}
    return [each for each in guilds if int(each["id"]) in wanted]
