"""Listening: what Discord tells becomes events, in the order in which each channel heard it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, Final

import discord

from adapters.base import Event, Host, Outgoing, Receipt, SendFailed
from adapters.discord import context, ids, normalize, render
from adapters.discord.client import Client, Timing
from adapters.discord.draft import SMALLEST_LIMIT_BYTES
from adapters.discord.fetching import Fetcher
from adapters.discord.gaps import Gaps
from adapters.discord.interactions import Interactions
from adapters.discord.members import Members
from adapters.discord.reactions import reaction_event
from adapters.discord.rest import Rest
from adapters.discord.session import UNREACHABLE
from adapters.discord.threads import Threads
from adapters.queues import Queues
from adapters.text import shown_name
from agent.protocol.clock import Clock

MAX_INTERACTIONS: Final = 500
"""At once. Discord tells whoever did one more that the application did not respond."""

_log = logging.getLogger("roost.discord")


class Listening:
    """Implements adapters.discord.client.Listener. `works_again` is called when a connection is there (again). Whoever
    holds the connection has the `gaps` recalled, kept and noted with it."""

    def __init__(
        self,
        rest: Rest,
        threads: Threads,
        timing: Timing,
        works_again: Callable[[Host], None],
        *,
        clock: Clock,
    ) -> None:
        self.gaps = Gaps(rest, self._hand_in, timing, clock=clock)
        self._rest = rest
        self._members = Members(rest, clock=clock)
        self._threads = threads
        self._timing = timing
        self._works_again = works_again
        self._clock = clock
        self._queues = Queues(ids.NAME)
        self._host: Host | None = None
        self._fetcher: Fetcher | None = None
        self._client: Client | None = None
        self._interactions: Interactions | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._crowded = False
        """Whether interactions are left out now, which is said once."""

    def begin(self, host: Host, fetcher: Fetcher) -> None:
        """Who is told of it, and who fetches the files of it."""
        self._host = host
        self._fetcher = fetcher

    def use(self, client: Client, host: Host) -> None:
        """Hears this client from now on, which is logged in; `host` is the one of `begin`."""
        self._client = client
        assert self._fetcher is not None  # noqa: S101 - begin has set it
        self._interactions = Interactions(
            client,
            self._rest,
            host,
            self._threads,
            self._timing,
            self._place_of,
            self._fetcher.fetch,
            self._clock,
        )

    async def close(self) -> None:
        """Ends what is being dealt with."""
        await self._queues.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---------------------------------------------------------------- called by the client

    def on_message(self, message: discord.Message) -> None:
        """Somebody has said something."""
        if message.type in normalize.SPOKEN and not self._is_me(message.author.id):
            self._queue(message.channel.id, lambda: self._said(message))

    def on_edit(self, message: discord.Message) -> None:
        """A message has changed."""
        if message.type in normalize.SPOKEN and not self._is_me(message.author.id):
            self._queue(message.channel.id, lambda: self._edited(message))

    def on_delete(self, channel: int, messages: frozenset[int]) -> None:
        """Messages were taken away."""
        for message in sorted(messages):
            self._queue(channel, partial(self._deleted, channel, message))

    def on_reaction(self, reaction: discord.RawReactionActionEvent) -> None:
        """Somebody has put an emoji on a message, or taken it away."""
        author = reaction.message_author_id
        if not self._is_me(reaction.user_id) and (author is None or self._is_me(author)):
            self._queue(reaction.channel_id, lambda: self._reacted(reaction))

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

    def on_place(self, channel: discord.abc.GuildChannel, *, gone: bool) -> None:
        """A channel of a server is there, is called something else, or was deleted."""
        if self._host is not None and not isinstance(channel, discord.CategoryChannel):
            self._host.place(ids.NAME, str(channel.id), shown_name(channel.name) or None, gone=gone)

    def on_begin(self, shard: int) -> None:
        """A new session of the gateway: what was said before it is not told."""
        if self._host is not None and self._client is not None:
            self._works_again(self._host)
            for guild in self._client.guilds:
                for channel in guild.channels if guild.shard_id == shard else ():
                    self.on_place(channel, gone=False)
            self._begin(self.gaps.fill(self._client, shard), f"discord gap {shard}")

    def on_lost(self, shard: int, quiet_seconds: float) -> None:
        """A connection is gone."""
        self.gaps.lost(shard, quiet_seconds)

    def on_resumed(self, shard: int) -> None:
        """A connection goes on where it broke."""
        self.gaps.resumed(shard)
        if self._host is not None:
            self._works_again(self._host)

    def on_refused(self, reason: str) -> None:
        """The gateway takes no connection."""
        if self._host is not None:
            self._host.trouble(ids.NAME, UNREACHABLE.format(reason=reason))

    # ---------------------------------------------------------------- what comes in

    async def _said(self, message: discord.Message) -> None:
        await self._hand_in(message, heard=False)

    async def _hand_in(self, message: discord.Message, heard: bool) -> Receipt | None:
        place = await self._find_place(message)
        me = None if self._client is None else self._client.user
        if place is None or me is None or self._fetcher is None or self._host is None:
            return None
        event = normalize.event(message, place, me, self._fetcher.fetch)
        if event is None:
            return None
        event = await self._with_groups(event, message)
        if place.route.thread_id is not None and not place.opens and self._client is not None:
            event = replace(event, before=partial(context.before, self._rest, self._client, message))
        receipt = await self._host.receive(event)
        if receipt.state == "duplicate":
            # It may have been edited in a gap, of which Discord tells nobody afterwards.
            await self._edited(message)
        if place.direct and receipt.state in ("accepted", "duplicate"):
            # What strangers say is not answered after a gap either.
            await self.gaps.direct(message.channel.id)
        if receipt.state == "accepted" and place.opens:
            self._threads.begin(place.route, event.text)
        if receipt.state == "refused" and receipt.text and not heard:
            # Nothing durable knows what was refused: whoever may have been told so is not told again.
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
            await self._host.receive(await self._with_groups(event, message))

    async def _with_groups(self, event: Event, message: discord.Message) -> Event:
        """What was read from a channel says nothing of roles."""
        if isinstance(message.author, discord.Member):
            self._members.heard(message.author)
        elif message.guild is not None and not event.sender.is_bot:
            groups = await self._members.groups(message.guild.id, message.author.id)
            return replace(event, sender=replace(event.sender, groups=groups))
        return event

    async def _deleted(self, channel: int, message: int) -> None:
        if self._host is not None:
            await self._host.receive(normalize.deletion(channel, message, self._clock()))

    async def _reacted(self, reaction: discord.RawReactionActionEvent) -> None:
        if self._client is None or self._client.user is None or self._host is None:
            return
        channel = await self._known(reaction.channel_id)
        if reaction.member is not None:
            self._members.heard(reaction.member)
        event = reaction_event(reaction, channel, self._client.user, self._clock())
        if event is not None and reaction.member is None and reaction.guild_id is not None:
            groups = self._members.lately(reaction.guild_id, reaction.user_id)
            event = replace(event, sender=replace(event.sender, groups=groups))
        if event is not None:
            await self._host.receive(event)

    async def _find_place(self, message: discord.Message) -> normalize.Place | None:
        channel: normalize.Where = message.channel
        if isinstance(channel, discord.PartialMessageable):
            channel = await self._known(channel.id)
        place = self._place_of(channel, message.id)
        if place is not None and place.opens and self._answers_us(message):
            # What stands in the channel is talked about there: it may be the report of a schedule.
            return normalize.Place(ids.route(message.channel.id), direct=place.direct)
        return place

    def _answers_us(self, message: discord.Message) -> bool:
        """Whether it is a reply to a message of the bot's."""
        replied = message.reference.resolved if message.reference is not None else None
        return isinstance(replied, discord.Message) and self._is_me(replied.author.id)

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
        if channel is None or isinstance(channel, discord.PartialMessageable) or self._host is None:
            return None
        threads = self._host.manners(ids.route(channel.id)).threads
        group = self._client is not None and channel.id in self._client.groups
        return normalize.place_of(channel, message, threads=threads, group=group)

    # ---------------------------------------------------------------- small things

    def _is_me(self, user: int) -> bool:
        return self._client is not None and self._client.user is not None and self._client.user.id == user

    def _queue(self, place: int, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # It is still on Discord, and read when there is room again.
        shards = () if self._client is None else self._client.shards
        if not self._queues.put(place, work) and self.gaps.missed(shards):
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
