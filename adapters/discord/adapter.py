"""The adapter itself: connects, has what comes heard, sends what it is given."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import discord

from adapters.base import (
    DIRECT,
    Absent,
    Host,
    Live,
    Manners,
    Open,
    Outgoing,
    Part,
    SendFailed,
    Settled,
    Update,
    Working,
)
from adapters.connecting import keep_connected
from adapters.discord import ids, layout, normalize, render
from adapters.discord.client import Client, Timing
from adapters.discord.direct import Directs
from adapters.discord.draft import SMALLEST_LIMIT_BYTES, Draft
from adapters.discord.fetching import Fetcher
from adapters.discord.forms import Forms
from adapters.discord.listening import Listening
from adapters.discord.posting import Posting
from adapters.discord.registration import register
from adapters.discord.rest import REFUSALS, Rest
from adapters.discord.session import outcome
from adapters.discord.streams import Streams
from adapters.discord.threads import Threads
from adapters.discord.typing import Typing
from adapters.discord.watch import watch
from agent.protocol.clock import Clock, now_ms
from agent.protocol.messages import Route

REST_URL: Final = "https://discord.com/api/v10"
CANCEL_AGAIN_SECONDS: Final = 0.1
DRAFTS_KEPT: Final = 256
DRAFTS_BYTES: Final = 128 * 1024 * 1024
"""Of all drafts that are kept; only those that were asked for last are kept whatever their size."""
OFFLINE: Final = "the bot is not connected to Discord"


@dataclass(frozen=True)
class Settings:
    """What the operator says of it. `token` is asked for at each new connection, and raises NoSecret."""

    token: Callable[[], str]
    rest_url: str = REST_URL
    gateway_url: str | None = None
    """Without it the one that Discord names."""
    development_guilds: Sequence[int] = ()
    """Servers in which the commands are registered in the place of everywhere."""
    hide_admins: bool = False
    """Whether commands that are for admins alone are offered only to those who may manage their server."""
    timing: Timing = field(default_factory=Timing)
    refusals: int = REFUSALS
    """After so many refused calls at once the bot rests, before Discord bans its address."""


class DiscordAdapter:
    """Implements adapters.base.Adapter."""

    name = ids.NAME

    def __init__(self, settings: Settings, *, clock: Clock = now_ms) -> None:
        self._settings = settings
        self._clock = clock
        self._rest = Rest(refusals=settings.refusals)
        self._threads = Threads(self._rest)
        self._typing = Typing(self._rest, self._threads, settings.timing)
        self._streams = Streams(
            self._rest,
            self._threads,
            self._typing,
            settings.timing,
            manners=self._manners,
            clock=clock,
        )
        self._listening = Listening(
            self._rest, self._threads, settings.timing, self._works_again, clock=clock
        )
        self._directs = Directs(self._rest, self._listening.gaps.direct)
        self._posting = Posting(self._rest, self._threads, self._streams, self._typing, clock=clock)
        self._drafts: OrderedDict[tuple[str, str], tuple[Outgoing, list[Draft]]] = OrderedDict()
        self._host: Host | None = None
        self._client: Client | None = None
        self._online = asyncio.Event()
        self._refused: set[str] = set()
        """Places for which there was something to send while nobody was logged in."""

    # ---------------------------------------------------------------- adapters.base.Adapter

    async def run(self, host: Host) -> None:
        """Connects and hands in events until cancelled. What an operator can mend is told to the host, and tried
        again with patience: no answer of Discord's ends the service."""
        self._host = host
        async with AsyncExitStack() as stack:
            fetcher = Fetcher(self._settings.timing)
            stack.push_async_callback(fetcher.close)
            self._listening.begin(host, fetcher)
            stack.push_async_callback(self._close)
            timing = self._settings.timing
            await keep_connected(
                lambda: outcome(self._connect),
                lambda text: host.trouble(self.name, text),
                again=timing.again,
                longest=timing.longest,
                mended=timing.mended,
            )

    def render(self, outgoing: Outgoing) -> list[Part]:
        """See Adapter."""
        return render.parts(outgoing, self._drafts_of(outgoing))

    async def send(self, part: Part) -> str | None:
        """See Adapter. Raises SendFailed."""
        place = part.outgoing.route.platform_id
        try:
            async with asyncio.timeout(self._settings.timing.online):
                await self._online.wait()
        except TimeoutError as exc:
            self._refused.add(place)
            raise Absent(OFFLINE) from exc
        try:
            drafts = self._drafts_of(part.outgoing)
            draft, *more = drafts[part.index :]
            last = draft.file is None and all(each.file is not None for each in more)
            part = await self._directs.led(part)
            if part.outgoing.ends:
                # Its turn is over: nothing may be shown after its answer.
                await self._typing.end(part.outgoing.route)
            sent = await self._posting.send(part, draft, last=last)
            await self._streams.later(part.outgoing)
        except ValueError as exc:
            raise SendFailed(f"this is no place on Discord: {exc}", retry_after=None) from exc
        except SendFailed as exc:
            if not self._rest.is_denied and not isinstance(exc, Absent):
                raise
            # It costs no try, and goes out as soon as there is a way again.
            self._refused.add(place)
            raise Absent(str(exc)) from exc
        if part.index == len(drafts) - 1:
            self._drafts.pop((part.outgoing.session, part.outgoing.id), None)
        return sent

    async def show(self, update: Update) -> None:
        """See Adapter."""
        if not self._online.is_set():
            return
        match update:
            case Live() if self._manners(update.route).streaming:
                self._streams.show(update)
            case Working(on=True) if not self._streams.visible(update.route):
                self._typing.begin(update.route)
            case Working(on=True):
                pass
            case Working():
                await self._typing.end(update.route)
            case Settled(turn_id=str(turn_id)):
                await self._streams.end(turn_id)
            case Live() | Settled() | Open():
                pass

    # ---------------------------------------------------------------- the connection

    async def _connect(self) -> None:
        """One login, and what belongs to it, until it ends. Raises what the library does."""
        settings, host = self._settings, self._host
        assert host is not None  # noqa: S101 - run has set it
        # Before there is a client: one that was never logged in cannot be closed.
        token = settings.token()
        client = Client(
            self._listening,
            rest_url=settings.rest_url,
            gateway_url=settings.gateway_url,
            timing=settings.timing,
            trace=self._rest.trace(),
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(client.close)
            await client.login(token)
            me = client.user
            assert me is not None and client.application_id is not None  # noqa: S101 - it is logged in
            self._rest.use(client.http)
            stack.callback(self._rest.use, None)
            await self._recall(host)
            self._client = client
            self._posting.me = me.id
            self._listening.use(client, host)
            self._online.set()
            self._offer(host)
            stack.callback(self._online.clear)
            stack.push_async_callback(self._listening.gaps.note, client)
            await _first_to_end(
                client.connect(),
                watch(client, settings.timing),
                self._listening.gaps.keep(client),
                self._register(host, client.application_id),
                self._rest.until_denied(),
            )

    async def _recall(self, host: Host) -> None:
        """Raises NotSaved."""
        await self._threads.recall(host.notes)
        await self._streams.recall(host.notes)
        await self._listening.gaps.recall(host.notes)
        await Forms(host.notes, self._clock).forget()

    def _works_again(self, host: Host) -> None:
        host.trouble(self.name, None)
        self._offer(host)

    def _offer(self, host: Host) -> None:
        """What could not be sent may be tried again."""
        refused, self._refused = self._refused, set()
        for place in refused:
            host.present(self.name, place)

    async def _register(self, host: Host, application: int) -> None:
        wanted = layout.payload(host.commands(), hide_admins=self._settings.hide_admins)
        await register(self._rest, application, wanted, guilds=self._settings.development_guilds)
        await asyncio.get_running_loop().create_future()

    async def _close(self) -> None:
        await self._listening.close()
        await self._typing.close()
        await self._streams.close()
        await self._threads.close()

    # ---------------------------------------------------------------- small things

    def _drafts_of(self, outgoing: Outgoing) -> list[Draft]:
        """Cut once for all parts of a reply. Raises SendFailed."""
        key = (outgoing.session, outgoing.id)
        kept = self._drafts.get(key)
        if kept is not None and kept[0] == outgoing:
            return kept[1]
        manners = self._manners(outgoing.route)
        drafts = render.arguments(
            outgoing,
            max_file_bytes=self._largest_file(outgoing.route),
            people=manners.mentions,
            previews=manners.previews,
        )
        self._drafts[key] = (outgoing, drafts)
        self._drafts.move_to_end(key)
        kept_bytes = sum(_bytes(each) for _, each in self._drafts.values())
        while len(self._drafts) > 1 and (len(self._drafts) > DRAFTS_KEPT or kept_bytes > DRAFTS_BYTES):
            kept_bytes -= _bytes(self._drafts.popitem(last=False)[1][1])
        return drafts

    def _largest_file(self, route: Route) -> int:
        """What the server takes, in bytes; 0 where the bot may send none."""
        if self._client is None or route.platform_id.startswith(DIRECT):
            return SMALLEST_LIMIT_BYTES
        channel = self._client.get_channel(int(route.platform_id))
        if not isinstance(channel, discord.abc.GuildChannel):
            return SMALLEST_LIMIT_BYTES
        return channel.guild.filesize_limit if normalize.may_attach(channel) else 0

    def _manners(self, route: Route) -> Manners:
        return Manners() if self._host is None else self._host.manners(route)


def _bytes(drafts: Sequence[Draft]) -> int:
    """About how much memory they take."""
    return sum(len(each.content) + (len(each.file.data) if each.file is not None else 0) for each in drafts)


async def _first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Until the first of them ends; the others end with it. Raises what it has raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        left = set(tasks)
        while left:
            for task in left:
                task.cancel()
            # The library takes a cancellation while it connects anew for the end of that alone, and goes on.
            _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)
        await asyncio.gather(*tasks, return_exceptions=True)
