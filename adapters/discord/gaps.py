"""Gaps: what was said while nobody listened is read afterwards, and the channel is told.

A session of the gateway that is resumed has missed nothing. One that begins anew has; so the channels with a message
since then are read, some of the newest messages of each, and handed in like any other: what was accepted before is
known for what it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import discord

from adapters.base import Notes, NotSaved, Receipt, SendFailed
from adapters.discord import ids
from adapters.discord.client import Client
from adapters.discord.draft import Draft
from adapters.discord.rest import Rest
from agent.protocol import failpoint
from agent.protocol.clock import Clock

HEARD: Final = f"{ids.NAME}:heard"
DIRECT: Final = f"{ids.NAME}:dm:"
HEARD_SECONDS: Final = 30.0
MARGIN_MS: Final = 60_000
"""How much further back is read: clocks differ, and what had come in may not have been kept yet."""
LONGEST_MS: Final = 7 * 86_400_000
TOLD_MS: Final = 120_000
"""A shorter gap is not worth a word."""
MAX_CHANNELS: Final = 100
MAX_MESSAGES: Final = 100
"""Of one channel."""
AT_ONCE: Final = 4
OFFLINE: Final = "I was offline <t:{began}:t>\N{EN DASH}<t:{ended}:t>; answering {count} missed message{s}."
AND_MORE: Final = " There were more; I have read the newest {count}."

HandIn = Callable[[discord.Message], Awaitable[Receipt | None]]
Readable = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread
_log = logging.getLogger("roost.discord")


class Gaps:
    """`hand_in` deals with a message as if it had just been said, and returns when that is done."""

    def __init__(self, rest: Rest, hand_in: HandIn, *, clock: Clock) -> None:
        self._rest = rest
        self._hand_in = hand_in
        self._clock = clock
        self._notes: Notes | None = None
        self._heard: int | None = None
        """Until when everything was heard, as far as an earlier service knows."""
        self._down: dict[int, int] = {}
        self._direct: set[int] = set()
        self._overflown: int | None = None
        self._filling: set[int] = set()
        """Connections whose gap is still being read: what was heard ends before it."""

    async def recall(self, notes: Notes) -> None:
        """What an earlier service has left. Raises NotSaved."""
        self._notes = notes
        heard = await notes.get(HEARD)
        if heard is None:
            # Whatever is said from the first connection on is missed, should this service not live to note more.
            await notes.put(HEARD, str(self._clock()))
        elif self._heard is None and heard.isdecimal():
            self._heard = int(heard)
        self._direct.update(int(key.removeprefix(DIRECT)) for key in await notes.all(DIRECT))

    async def keep(self, client: Client) -> None:
        """Notes from time to time until when everything was heard, until cancelled."""
        while True:
            await asyncio.sleep(HEARD_SECONDS)
            await self.note(client)

    async def note(self, client: Client) -> None:
        """Notes it now. While a connection is down nothing is heard."""
        if self._notes is None or not client.is_ready():
            return
        if self._down or self._filling or self._overflown is not None:
            return
        try:
            await self._notes.put(HEARD, str(self._clock()))
        except NotSaved:
            _log.warning("it is not kept until when Discord was heard", exc_info=True)

    async def direct(self, channel: int) -> None:
        """A direct conversation: Discord does not list them."""
        if channel in self._direct or self._notes is None:
            return
        self._direct.add(channel)
        try:
            await self._notes.put(f"{DIRECT}{channel}", "")
        except NotSaved:
            self._direct.discard(channel)

    def lost(self, shard: int, quiet_seconds: float) -> None:
        """A connection is gone, which had been quiet for so long."""
        self._down.setdefault(shard, self._clock() - int(quiet_seconds * 1000))

    def missed(self) -> None:
        """Something was heard and could not be taken in: the next session reads from here on."""
        if self._overflown is None:
            self._overflown = self._clock()

    def resumed(self, shard: int) -> None:
        """It has caught up by itself."""
        self._down.pop(shard, None)

    async def fill(self, client: Client, shard: int) -> None:
        """A connection has begun anew: reads what it has not been told."""
        self._filling.add(shard)
        try:
            await self._fill(client, shard)
        finally:
            self._filling.discard(shard)

    async def _fill(self, client: Client, shard: int) -> None:
        now, lost = self._clock(), self._down.pop(shard, self._heard)
        known = [each for each in (lost, self._overflown) if each is not None]
        self._heard = self._overflown = None
        if not known:
            return
        began = max(min(known), now - LONGEST_MS)
        since = ids.first_at(began - MARGIN_MS)
        wanted = sorted(_spoken_in(client, shard, since), key=lambda each: -(each.last_message_id or 0))
        if len(wanted) > MAX_CHANNELS:
            _log.warning("after a gap %d channels are read, and not %d", MAX_CHANNELS, len(wanted))
        places: list[discord.abc.Messageable] = list(wanted[:MAX_CHANNELS])
        if shard == 0:
            places += [client.get_partial_messageable(each) for each in sorted(self._direct)[-MAX_CHANNELS:]]
        room = asyncio.Semaphore(AT_ONCE)

        async def read(place: discord.abc.Messageable) -> None:
            async with room:
                await self._read(place, since, began=began, ended=now)

        await asyncio.gather(*map(read, places))

    async def _read(self, place: discord.abc.Messageable, since: int, *, began: int, ended: int) -> None:
        try:
            newest = [
                each
                async for each in place.history(
                    limit=MAX_MESSAGES, after=discord.Object(since), oldest_first=False
                )
            ]
        except (discord.HTTPException, OSError) as exc:
            _log.warning("what was said in a gap cannot be read: %s", exc)
            return
        receipts = [await self._hand_in(message) for message in reversed(newest)]
        failpoint.hit("gap-read")
        taken = [each for each in receipts if each is not None and each.state == "accepted"]
        if not taken or ended - began < TOLD_MS:
            return
        said = OFFLINE.format(
            began=began // 1000, ended=ended // 1000, count=len(taken), s="" if len(taken) == 1 else "s"
        )
        if len(newest) >= MAX_MESSAGES:
            said += AND_MORE.format(count=MAX_MESSAGES)
        try:
            await self._rest.post(newest[0].channel.id, Draft(said))
        except SendFailed as exc:
            _log.info("a channel could not be told of a gap: %s", exc)


def _spoken_in(client: Client, shard: int, since: int) -> Iterator[Readable]:
    """The channels of a connection in which something was said since that the bot may read."""
    for guild in client.guilds:
        if guild.shard_id != shard or guild.unavailable:
            continue
        channels: list[Readable] = [*guild.text_channels, *guild.voice_channels, *guild.stage_channels]
        for channel in (*channels, *guild.threads):
            if (channel.last_message_id or 0) >= since and _may_read(channel):
                yield channel


def _may_read(channel: Readable) -> bool:
    granted = channel.permissions_for(channel.guild.me)
    return granted.view_channel and granted.read_message_history
