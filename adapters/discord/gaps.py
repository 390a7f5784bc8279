"""Gaps: what was said while nobody listened is read afterwards, and the channel is told.

A session of the gateway that is resumed has missed nothing. One that begins anew has; so the channels with a message
since then are read, some of the newest messages of each, and handed in like any other: what was accepted before is
known for what it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp
import discord

from adapters.base import Notes, NotSaved, Receipt, SendFailed
from adapters.discord import ids
from adapters.discord.client import Client, Timing
from adapters.discord.draft import Draft
from adapters.discord.rest import Rest
from agent.protocol import failpoint
from agent.protocol.clock import Clock

HEARD: Final = f"{ids.NAME}:heard"
DIRECT: Final = f"{ids.NAME}:dm:"
MARGIN_MS: Final = 60_000
"""How much further back is read: clocks differ, and what had come in may not have been kept yet."""
LONGEST_MS: Final = 7 * 86_400_000
"""What was said before that is nobody's question any more."""
MAX_CHANNELS: Final = 100
"""Of one connection, those that were spoken in last; and as many direct conversations."""
MAX_MESSAGES: Final = 100
"""Of one channel."""
MAX_TRIES: Final = 5
"""To read a channel that Discord does not give just now."""
AT_ONCE: Final = 4
DM: Final = 1
"""Discord's documentation, Channel Types."""
OFFLINE: Final = "I was offline <t:{began}:t>\N{EN DASH}<t:{ended}:t>; answering {count} missed message{s}."
AND_MORE: Final = " There were more; I have read the newest {count}."

HandIn = Callable[[discord.Message, bool], Awaitable[Receipt | None]]
Readable = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread
_log = logging.getLogger("roost.discord")


@dataclass(frozen=True)
class Gap:
    """What has to be read of one channel, or of a direct conversation, of which only the id is known. Times are in
    epoch milliseconds; `tries` is how often it was tried in vain."""

    place: Readable | int
    began: int
    ended: int
    tries: int = 0

    @property
    def since(self) -> int:
        """The id after which it is read."""
        return ids.first_at(self.began - MARGIN_MS)


class Gaps:
    """`hand_in` deals with a message as if it had just been said, and returns when that is done; it is told whether it
    may have been heard before the gap."""

    def __init__(self, rest: Rest, hand_in: HandIn, timing: Timing, *, clock: Clock) -> None:
        self._rest = rest
        self._hand_in = hand_in
        self._timing = timing
        self._clock = clock
        self._notes: Notes | None = None
        self._heard: int | None = None
        """Until when everything was heard, as far as an earlier connection knows."""
        self._begun: set[int] = set()
        """The shards that have read what came after it."""
        self._down: dict[int, int] = {}
        """Since when a shard hears nothing."""
        self._missed: dict[int, int] = {}
        """Since when a shard has heard what could not be taken in."""
        self._direct: set[int] = set()
        self._unread: list[Gap] = []
        self._reading = 0

    async def recall(self, notes: Notes) -> None:
        """What an earlier connection has left. Raises NotSaved."""
        self._notes = notes
        heard = await notes.get(HEARD)
        if heard is None:
            # Whatever is said from the first connection on is missed, should this service not live to note more.
            await notes.put(HEARD, str(self._clock()))
        elif heard.isdecimal():
            self._heard = int(heard)
        self._begun.clear()
        self._direct.update(int(key.removeprefix(DIRECT)) for key in await notes.all(DIRECT))

    async def keep(self, client: Client) -> None:
        """Notes from time to time until when everything was heard, and reads what could not be read before, until
        cancelled."""
        await client.wait_until_ready()
        while True:
            await self.note(client)
            await asyncio.sleep(self._timing.noted)
            for shard in list(self._missed):
                await self.fill(client, shard)
            again, self._unread = self._unread, []
            await self._read_all(client, again)

    async def note(self, client: Client) -> None:
        """Notes it now. While a connection is down nothing is heard, and what is still to be read was not."""
        behind = self._down or self._missed or self._unread or self._reading
        if (
            self._notes is None
            or behind
            or not client.is_ready()
            or not self._begun.issuperset(client.shards)
        ):
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

    def missed(self, shards: Iterable[int]) -> bool:
        """Something was heard, on one of these, and could not be taken in: it is read from here on. Whether it is the
        first since it was read."""
        first = not self._missed
        for shard in shards:
            self._missed.setdefault(shard, self._clock())
        return first

    def resumed(self, shard: int) -> None:
        """It has caught up by itself."""
        self._down.pop(shard, None)

    async def fill(self, client: Client, shard: int) -> None:
        """A connection has begun anew, or there is room again: reads what was not taken in."""
        known = [self._down.get(shard), self._missed.pop(shard, None)]
        if not client.shards[shard].is_closed():
            # It may be gone again by now.
            self._down.pop(shard, None)
        if shard not in self._begun:
            self._begun.add(shard)
            known.append(self._heard)
        times = [each for each in known if each is not None]
        if times:
            now = self._clock()
            await self._read_all(
                client, _gaps(client, shard, max(min(times), now - LONGEST_MS), now, self._direct)
            )
        await self.note(client)

    async def _read_all(self, client: Client, gaps: Iterable[Gap]) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def read(gap: Gap) -> None:
            async with room:
                await self._try(client, gap)

        self._reading += 1
        try:
            await asyncio.gather(*map(read, gaps))
        finally:
            self._reading -= 1

    async def _try(self, client: Client, gap: Gap) -> None:
        try:
            newest = await _newest(client, gap)
        except (discord.Forbidden, discord.NotFound) as exc:
            _log.info("what was said in a gap is not to be read: %s", exc)
        except (discord.DiscordException, aiohttp.ClientError, OSError) as exc:
            _log.warning("what was said in a gap cannot be read: %s", exc)
            if gap.tries + 1 < MAX_TRIES:
                self._unread.append(replace(gap, tries=gap.tries + 1))
        else:
            await self._take(gap, newest)

    async def _take(self, gap: Gap, newest: list[discord.Message]) -> None:
        """Hands in the messages of a channel, which come newest first, and tells the channel."""
        count = 0
        for message in reversed(newest[:MAX_MESSAGES]):
            try:
                receipt = await self._hand_in(message, ids.made_at(message.id) < gap.began)
            except Exception:
                _log.exception("a missed message could not be dealt with")
                continue
            count += receipt is not None and receipt.state == "accepted"
        failpoint.hit("gap-read")
        if not count or gap.ended - gap.began < self._timing.gap_told * 1000:
            return
        said = OFFLINE.format(
            began=gap.began // 1000, ended=gap.ended // 1000, count=count, s="" if count == 1 else "s"
        )
        if len(newest) > MAX_MESSAGES:
            said += AND_MORE.format(count=MAX_MESSAGES)
        channel = newest[0].channel.id
        try:
            await self._rest.post(channel, Draft(said), nonce=ids.nonce("gap", str(channel), str(gap.ended)))
        except SendFailed as exc:
            _log.info("a channel could not be told of a gap: %s", exc)


def _gaps(client: Client, shard: int, began: int, ended: int, direct: Iterable[int]) -> list[Gap]:
    since = ids.first_at(began - MARGIN_MS)
    spoken = sorted(_spoken_in(client, shard, since), key=lambda each: -(each.last_message_id or 0))
    if len(spoken) > MAX_CHANNELS:
        _log.warning("after a gap %d channels are read, and not %d", MAX_CHANNELS, len(spoken))
    places: list[Readable | int] = list(spoken[:MAX_CHANNELS])
    if shard == 0:
        places += sorted(direct)[-MAX_CHANNELS:]
    return [Gap(place, began, ended) for place in places]


async def _newest(client: Client, gap: Gap) -> list[discord.Message]:
    """At most one more than MAX_MESSAGES, the newest first. Raises what the library does."""
    place = gap.place
    if isinstance(place, int):
        # The library leaves out of such a channel when it was last spoken in.
        data: Any = await client.http.get_channel(place)
        if client.user is None or data["type"] != DM or int(data.get("last_message_id") or 0) < gap.since:
            return []
        history = discord.DMChannel(me=client.user, state=client._connection, data=data).history
    else:
        history = place.history
    after = discord.Object(gap.since)
    return [each async for each in history(limit=MAX_MESSAGES + 1, after=after, oldest_first=False)]


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
