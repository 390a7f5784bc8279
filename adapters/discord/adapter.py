"""The adapter itself: connects, hands in what comes, sends what it is given."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import discord

from adapters.base import (
    Absent,
    Host,
    Live,
    Manners,
    Open,
    Outgoing,
    Part,
    Receipt,
    SendFailed,
    Settled,
    Update,
    Working,
)
from adapters.discord import commands, ids, normalize, render
from adapters.discord.client import Client, Timing
from adapters.discord.draft import Draft
from adapters.discord.fetching import Fetcher
from adapters.discord.gaps import Gaps
from adapters.discord.interactions import Interactions
from adapters.discord.lines import Lines
from adapters.discord.posting import Posting
from adapters.discord.reactions import reaction_event
from adapters.discord.registration import register
from adapters.discord.rest import REFUSALS, Rest
from adapters.discord.session import UNREACHABLE, keep_connected
from adapters.discord.streams import Streams
from adapters.discord.threads import Threads
from adapters.discord.typing import Typing
from adapters.discord.watch import watch
from agent.protocol.clock import Clock, now_ms
from agent.protocol.messages import Route

REST_URL: Final = "https://discord.com/api/v10"
SMALLEST_LIMIT_BYTES: Final = 10 * 1024 * 1024
"""What every server and every direct conversation takes of a file. Discord's documentation, Uploading Files."""
DRAFTS_KEPT: Final = 256
CANCEL_AGAIN_SECONDS: Final = 0.1
DRAFTS_BYTES: Final = 128 * 1024 * 1024
"""Of all drafts that are kept; only those that were asked for last are kept whatever their size."""
MAX_INTERACTIONS: Final = 500
"""At once. Discord tells whoever did one more that the application did not respond."""
OFFLINE: Final = "the bot is not connected to Discord"

_log = logging.getLogger("roost.discord")


@dataclass(frozen=True)
class Settings:
    """What the operator says of it. `token` is asked for at each new connection, and raises NoSecret."""

    token: Callable[[], str]
    rest_url: str = REST_URL
    gateway_url: str | None = None
    """Without it the one that Discord names."""
    development_guilds: Sequence[int] = ()
    """Servers in which the commands are registered in the place of everywhere."""
    timing: Timing = field(default_factory=Timing)
    refusals: int = REFUSALS
    """After so many refused calls at once the bot rests, before Discord bans its address."""


class DiscordAdapter:
    """Implements adapters.base.Adapter and adapters.discord.client.Listener."""

    name = ids.NAME

    def __init__(self, settings: Settings, *, clock: Clock = now_ms) -> None:
        self._settings = settings
        self._clock = clock
        self._rest = Rest(refusals=settings.refusals)
        self._threads = Threads(self._rest)
        self._typing = Typing(self._rest, self._threads, settings.timing)
        self._streams = Streams(self._rest, self._threads, self._typing, settings.timing, clock=clock)
        self._gaps = Gaps(self._rest, self._hand_in, settings.timing, clock=clock)
        self._lines = Lines()
        self._posting = Posting(self._rest, self._threads, self._streams, self._typing, clock=clock)
        self._drafts: OrderedDict[tuple[str, str], tuple[Outgoing, list[Draft]]] = OrderedDict()
        self._host: Host | None = None
        self._client: Client | None = None
        self._fetcher: Fetcher | None = None
        self._interactions: Interactions | None = None
        self._online = asyncio.Event()
        self._refused: set[str] = set()
        """Places for which there was something to send while nobody was logged in."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._crowded = False
        """Whether interactions are left out now, which is said once."""

    # ---------------------------------------------------------------- adapters.base.Adapter

    async def run(self, host: Host) -> None:
        """Connects and hands in events until cancelled. What an operator can mend is told to the host, and tried
        again with patience: no answer of Discord's ends the service."""
        self._host = host
        async with AsyncExitStack() as stack:
            self._fetcher = Fetcher(self._settings.timing)
            stack.push_async_callback(self._fetcher.close)
            stack.push_async_callback(self._close)
            await keep_connected(
                self._connect, lambda text: host.trouble(self.name, text), self._settings.timing
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

    # ---------------------------------------------------------------- adapters.discord.client.Listener

    def on_message(self, message: discord.Message) -> None:
        """Somebody has said something."""
        if message.type in normalize.SPOKEN and not self._is_me(message.author.id):
            self._line(message.channel.id, lambda: self._said(message))

    def on_edit(self, message: discord.Message) -> None:
        """A message has changed."""
        if message.type in normalize.SPOKEN and not self._is_me(message.author.id):
            self._line(message.channel.id, lambda: self._edited(message))

    def on_delete(self, channel: int, messages: frozenset[int]) -> None:
        """Messages were taken away."""
        for message in sorted(messages):
            self._line(channel, partial(self._deleted, channel, message))

    def on_reaction(self, reaction: discord.RawReactionActionEvent) -> None:
        """Somebody has put an emoji on a message, or taken it away."""
        author = reaction.message_author_id
        if not self._is_me(reaction.user_id) and (author is None or self._is_me(author)):
            self._line(reaction.channel_id, lambda: self._reacted(reaction))

    def on_interaction(self, interaction: discord.Interaction) -> None:
        """Somebody has given a command, pressed a button, filled in a form."""
        if self._interactions is None:
            return
        if len(self._tasks) >= MAX_INTERACTIONS:
            if not self._crowded:
                _log.error("more interactions come from Discord than can be dealt with; some are left out")
            self._crowded = True
            return
        self._crowded = False
        self._begin(self._interactions.handle(interaction), "discord interaction")

    def on_thread_gone(self, thread: int) -> None:
        """A thread was deleted."""
        self._threads.gone(thread)

    def on_begin(self, shard: int) -> None:
        """A new session of the gateway: what was said before it is not told."""
        if self._host is not None and self._client is not None:
            self._works_again(self._host)
            self._begin(self._gaps.fill(self._client, shard), f"discord gap {shard}")

    def on_lost(self, shard: int, quiet_seconds: float) -> None:
        """A connection is gone."""
        self._gaps.lost(shard, quiet_seconds)

    def on_resumed(self, shard: int) -> None:
        """A connection goes on where it broke."""
        self._gaps.resumed(shard)
        if self._host is not None:
            self._works_again(self._host)

    def on_refused(self, reason: str) -> None:
        """The gateway takes no connection."""
        if self._host is not None:
            self._host.trouble(self.name, UNREACHABLE.format(reason=reason))

    # ---------------------------------------------------------------- the connection

    async def _connect(self) -> None:
        """One login, and what belongs to it, until it ends. Raises what the library does."""
        settings, host, fetcher = self._settings, self._host, self._fetcher
        assert host is not None and fetcher is not None  # noqa: S101 - run has set them
        # Before there is a client: one that was never logged in cannot be closed.
        token = settings.token()
        client = Client(
            self,
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
            self._interactions = Interactions(
                client, self._rest, host, self._threads, settings.timing, self._place_of, fetcher.fetch
            )
            self._come_online(host)
            stack.callback(self._online.clear)
            stack.push_async_callback(self._gaps.note, client)
            await _first_to_end(
                client.connect(),
                watch(client, settings.timing),
                self._gaps.keep(client),
                self._register(host, client.application_id),
                self._rest.until_denied(),
            )

    async def _recall(self, host: Host) -> None:
        """Raises NotSaved."""
        await self._threads.recall(host.notes)
        await self._streams.recall(host.notes)
        await self._gaps.recall(host.notes)

    def _come_online(self, host: Host) -> None:
        self._online.set()
        self._offer(host)

    def _works_again(self, host: Host) -> None:
        host.trouble(self.name, None)
        self._offer(host)

    def _offer(self, host: Host) -> None:
        """What could not be sent may be tried again."""
        refused, self._refused = self._refused, set()
        for place in refused:
            host.present(self.name, place)

    async def _register(self, host: Host, application: int) -> None:
        wanted = commands.payload(host.commands())
        await register(self._rest, application, wanted, guilds=self._settings.development_guilds)
        await asyncio.get_running_loop().create_future()

    async def _close(self) -> None:
        await self._lines.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._typing.close()
        await self._streams.close()
        await self._threads.close()

    # ---------------------------------------------------------------- what comes in

    async def _said(self, message: discord.Message) -> None:
        await self._hand_in(message)

    async def _hand_in(self, message: discord.Message) -> Receipt | None:
        place = await self._find_place(message)
        me = None if self._client is None else self._client.user
        if place is None or me is None or self._fetcher is None or self._host is None:
            return None
        event = normalize.event(message, place, me, self._fetcher.fetch)
        if event is None:
            return None
        receipt = await self._host.receive(event)
        if receipt.state == "duplicate":
            # It may have been edited in a gap, of which Discord tells nobody afterwards.
            await self._edited(message)
        if place.direct and receipt.state in ("accepted", "duplicate"):
            # What strangers say is not answered after a gap either.
            await self._gaps.direct(message.channel.id)
        if receipt.state == "accepted" and place.opens:
            self._threads.begin(place.route, event.text)
        if receipt.state == "refused" and receipt.text:
            await self._refuse(message, receipt.text)
        return receipt

    async def _refuse(self, message: discord.Message, text: str) -> None:
        """Best effort: what was refused is with whoever wrote it."""
        told = Outgoing("", ids.route(message.channel.id), text)
        for number, draft in enumerate(render.arguments(told, max_file_bytes=SMALLEST_LIMIT_BYTES)):
            # After a gap a message may come a second time that was refused at first.
            nonce = ids.nonce("refused", str(message.id), str(number))
            try:
                await self._rest.post(message.channel.id, draft, nonce=nonce, answers=message.id)
            except SendFailed as exc:
                _log.warning("nobody could be told that a message was refused: %s", exc)
                return

    async def _edited(self, message: discord.Message) -> None:
        place, me = await self._find_place(message), None if self._client is None else self._client.user
        event = None if place is None or me is None else normalize.edit(message, place, me)
        if event is not None and self._host is not None:
            await self._host.receive(event)

    async def _deleted(self, channel: int, message: int) -> None:
        if self._host is not None:
            await self._host.receive(normalize.deletion(channel, message, self._clock()))

    async def _reacted(self, reaction: discord.RawReactionActionEvent) -> None:
        if self._client is None or self._client.user is None or self._host is None:
            return
        channel = await self._known(reaction.channel_id)
        event = reaction_event(reaction, channel, self._client.user, self._clock())
        if event is not None:
            await self._host.receive(event)

    async def _find_place(self, message: discord.Message) -> normalize.Place | None:
        channel: normalize.Where = message.channel
        if isinstance(channel, discord.PartialMessageable):
            channel = await self._known(channel.id)
        return self._place_of(channel, message.id)

    async def _known(self, channel: int) -> Any:
        """A channel that the cache may not have: Discord tells of no archived threads."""
        if self._client is None:
            return None
        try:
            return self._client.get_channel(channel) or await self._client.fetch_channel(channel)
        except (discord.DiscordException, OSError) as exc:
            _log.warning("a channel is not known: %s", exc)
            return None

    def _place_of(self, channel: normalize.Where, message: int) -> normalize.Place | None:
        if channel is None or isinstance(channel, discord.PartialMessageable):
            return None
        threads = self._manners(ids.route(channel.id)).threads
        group = self._client is not None and channel.id in self._client.groups
        return normalize.place_of(channel, message, threads=threads, group=group)

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
        channel = None if self._client is None else self._client.get_channel(int(route.platform_id))
        if not isinstance(channel, discord.abc.GuildChannel):
            return SMALLEST_LIMIT_BYTES
        return channel.guild.filesize_limit if normalize.may_attach(channel) else 0

    def _manners(self, route: Route) -> Manners:
        return Manners() if self._host is None else self._host.manners(route)

    def _is_me(self, user: int) -> bool:
        return self._client is not None and self._client.user is not None and self._client.user.id == user

    def _line(self, place: int, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # It is still on Discord, and read when there is room again.
        shards = () if self._client is None else self._client.shards
        if not self._lines.put(place, work) and self._gaps.missed(shards):
            _log.error(
                "more comes from Discord than can be taken in; some of it is read again from the channels"
            )

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)


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
