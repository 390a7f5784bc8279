"""Gaps: what was said while nobody listened is read afterwards, and the place is told.

Slack tells an app that is away nothing afterwards. So the channels that the bot is in are read, some of the newest
messages of each, and the threads in which it was spoken to lately, which no channel's history shows; all of it is
handed in like any other: what was accepted before is known for what it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.base import Notes, NotSaved, Receipt, SendFailed
from adapters.slack import ids
from adapters.slack.intakes import NotTaken
from adapters.slack.timing import Timing
from adapters.slack.web import Web
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import Route

HEARD: Final = f"{ids.NAME}:heard"
THREAD: Final = f"{ids.NAME}:thread:"
MARGIN_MS: Final = 60_000
"""How much further back is read: clocks differ, and what had come in may not have been kept yet."""
LONGEST_MS: Final = 7 * 86_400_000
"""What was said before that is nobody's question any more."""
MAX_CHANNELS: Final = 100
MAX_THREADS: Final = 200
"""Those in which the bot was spoken to last."""
LOOKED_AT: Final = 20
"""Of channels, and of threads, when it is only to be seen whether there is anything that nobody has heard."""
MAX_MESSAGES: Final = 100
"""Of one place."""
MAX_TRIES: Final = 5
"""To read a place that Slack does not give just now."""
AT_ONCE: Final = 4
PAGE: Final = 200
PAGES: Final = 5
KINDS: Final = "public_channel,private_channel,mpim,im"
OFFLINE: Final = "I was offline {began}\N{EN DASH}{ended}; answering {count} missed message{s}."
AND_MORE: Final = " There were more; I have read the newest {count}."
_TIME: Final = "<!date^{at}^{{time}}|{utc} UTC>"

HandIn = Callable[[Mapping[str, Any], str, bool], Awaitable[Receipt | None]]
_log = logging.getLogger("roost.slack")


@dataclass(frozen=True)
class Gap:
    """What has to be read of one channel, or of one thread. Times are in epoch milliseconds; `tries` is how often it
    was tried in vain."""

    channel: str
    thread: str | None
    began: int
    ended: int
    tries: int = 0
    told: bool = True
    """Whether the place is told of it: the connection is known to have been gone."""

    def margin(self, message: Mapping[str, Any]) -> bool:
        """Whether it was said before the gap, and may have been heard."""
        ts = str(message.get("ts", ""))
        return ids.is_ts(ts) and ids.made_at(ts) < self.began


class Gaps:
    """`hand_in` deals with a message of a channel as if it had just been said, and returns when that is done; it is
    told whether it may have been heard before the gap, and raises NotTaken for what has to come again."""

    def __init__(self, web: Web, hand_in: HandIn, timing: Timing, *, clock: Clock) -> None:
        self._web = web
        self._hand_in = hand_in
        self._timing = timing
        self._clock = clock
        self._notes: Notes | None = None
        self._heard: int | None = None
        """Until when everything was heard, as far as an earlier connection knows."""
        self._down: int | None = None
        """Since when nobody hears anything."""
        self._listening = 0
        self._threads: OrderedDict[tuple[str, str], None] = OrderedDict()
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
        oldest = self._clock() - LONGEST_MS
        for key, at in sorted((await notes.all(THREAD)).items(), key=lambda each: each[1]):
            known = ids.part_of(key.removeprefix(THREAD))
            if known is None or not at.isdecimal() or int(at) < oldest:
                await notes.drop(key)
            else:
                self._threads[known] = None

    async def spoken(self, route: Route) -> None:
        """Somebody was heard in this thread: it is read after a gap."""
        if route.thread_id is None or self._notes is None:
            return
        thread = (route.platform_id, route.thread_id)
        new = thread not in self._threads
        self._threads[thread] = None
        self._threads.move_to_end(thread)
        try:
            if new:
                await self._notes.put(THREAD + ids.part_id(*thread), str(self._clock()))
            while len(self._threads) > MAX_THREADS:
                oldest, _ = self._threads.popitem(last=False)
                await self._notes.drop(THREAD + ids.part_id(*oldest))
        except NotSaved:
            _log.warning("a thread is not kept for the time after a gap", exc_info=True)

    # ---------------------------------------------------------------- the connection

    def opened(self) -> bool:
        """One more listens; whether it is the first."""
        self._listening += 1
        return self._listening == 1

    def closed(self, quiet_seconds: float) -> None:
        """One less, which had been quiet for so long."""
        self._listening -= 1
        if self._listening == 0:
            self._down = self._clock() - int(quiet_seconds * 1000)

    async def keep(self) -> None:
        """Notes from time to time until when everything was heard, and reads what could not be read before, until
        cancelled."""
        while True:
            await self.note()
            await asyncio.sleep(self._timing.noted)
            again, self._unread = self._unread, []
            await self._read_all(again)

    async def note(self) -> None:
        """Notes it now. While there is no connection that is until the last one was gone; what is still to be read was
        not heard."""
        until = self._clock() if self._listening else self._down
        behind = self._heard is not None or self._unread or self._reading
        if self._notes is None or behind or until is None:
            return
        try:
            await self._notes.put(HEARD, str(until))
        except NotSaved:
            _log.warning("it is not kept until when Slack was heard", exc_info=True)

    async def fill(self) -> None:
        """Somebody listens again: reads what nobody has heard."""
        times = [each for each in (self._down, self._heard) if each is not None]
        if not times or not self._listening:
            return
        now = self._clock()
        began = max(min(times), now - LONGEST_MS)
        self._reading += 1
        try:
            self._down = self._heard = None
            await self._read_all(await self._places(began, now))
        finally:
            self._reading -= 1
        await self.note()

    async def look(self, since: int) -> int:
        """Nothing was heard for a while: whether there was something to hear. Returns how many messages since then
        were accepted only now."""
        now = self._clock()
        known = {channel for channel, _ in self._threads}
        # Deaf is deaf: a few of those in which something is likely to be said are enough to see it.
        places = sorted(await self._places(since, now), key=lambda each: each.channel not in known)
        channels = [each for each in places if each.thread is None][:LOOKED_AT]
        threads = [each for each in places if each.thread is not None][:LOOKED_AT]
        return await self._read_all(replace(each, told=False) for each in (*channels, *threads))

    # ---------------------------------------------------------------- reading

    async def _places(self, began: int, ended: int) -> list[Gap]:
        """The channels that the bot is in, and the threads in which it was spoken to."""
        channels: list[str] = []
        cursor: str | None = None
        try:
            for _ in range(PAGES):
                page = await self._web.call(
                    "users.conversations", types=KINDS, exclude_archived=True, limit=PAGE, cursor=cursor
                )
                channels += [str(each["id"]) for each in page.get("channels") or ()]
                cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
                if cursor is None:
                    break
        except SendFailed as exc:
            _log.warning("the channels in which something may have been missed cannot be listed: %s", exc)
        if len(channels) > MAX_CHANNELS:
            _log.warning("after a gap %d channels are read, and not %d", MAX_CHANNELS, len(channels))
        gaps = [Gap(each, None, began, ended) for each in channels[:MAX_CHANNELS]]
        return gaps + [Gap(channel, thread, began, ended) for channel, thread in reversed(self._threads)]

    async def _read_all(self, gaps: Iterable[Gap]) -> int:
        room = asyncio.Semaphore(AT_ONCE)

        async def read(gap: Gap) -> int:
            async with room:
                return await self._try(gap)

        self._reading += 1
        try:
            return sum(await asyncio.gather(*map(read, gaps)))
        finally:
            self._reading -= 1

    async def _try(self, gap: Gap) -> int:
        try:
            newest = await self._newest(gap)
        except SendFailed as exc:
            if exc.retry_after is None:
                _log.info("what was said in a gap is not to be read: %s", exc)
            elif gap.tries + 1 < MAX_TRIES:
                _log.warning("what was said in a gap cannot be read: %s", exc)
                self._unread.append(replace(gap, tries=gap.tries + 1))
            else:
                _log.error("what was said in a gap could not be read: %s", exc)
            return 0
        known = set(self._threads)
        count = await self._take(gap, newest)
        if gap.thread is not None:
            return count
        # What has begun meanwhile is known only now, and no channel's history shows what was added to it.
        begun = [each for each in self._threads if each[0] == gap.channel and each not in known]
        for _, thread in begun:
            count += await self._try(replace(gap, thread=thread, tries=0, told=False))
        return count

    async def _newest(self, gap: Gap) -> Sequence[Mapping[str, Any]]:
        """At most one more than MAX_MESSAGES, the newest first. Raises SendFailed."""
        oldest = ids.first_at(gap.began - MARGIN_MS)
        if gap.thread is None:
            page = await self._web.call(
                "conversations.history", channel=gap.channel, oldest=oldest, limit=MAX_MESSAGES + 1
            )
            return list(page.get("messages") or ())
        page = await self._web.call(
            "conversations.replies", channel=gap.channel, ts=gap.thread, oldest=oldest, limit=MAX_MESSAGES + 1
        )
        said = [each for each in page.get("messages") or () if each.get("ts") != gap.thread]
        return list(reversed(said))

    async def _take(self, gap: Gap, newest: Sequence[Mapping[str, Any]]) -> int:
        """Hands in the messages of a place, which come newest first, and tells the place."""
        count = 0
        for message in reversed(newest[:MAX_MESSAGES]):
            try:
                receipt = await self._hand_in(message, gap.channel, gap.margin(message))
            except NotTaken as exc:
                if gap.tries + 1 < MAX_TRIES:
                    # What was said after it waits as well, or it would come too early.
                    _log.warning("what was said in a gap cannot be taken in now: %s", exc)
                    self._unread.append(replace(gap, tries=gap.tries + 1))
                    break
                _log.error("what was said in a gap could not be taken in: %s", exc)
                continue
            except Exception:
                _log.exception("a missed message could not be dealt with")
                continue
            count += receipt is not None and receipt.state == "accepted"
        failpoint.hit("gap-read")
        if count and gap.told and gap.ended - gap.began >= self._timing.gap_told * 1000:
            await self._tell(gap, count, more=len(newest) > MAX_MESSAGES)
        return count

    async def _tell(self, gap: Gap, count: int, *, more: bool) -> None:
        said = OFFLINE.format(
            began=_time(gap.began), ended=_time(gap.ended), count=count, s="" if count == 1 else "s"
        )
        if more:
            said += AND_MORE.format(count=MAX_MESSAGES)
        try:
            await self._web.call(
                "chat.postMessage", place=gap.channel, channel=gap.channel, thread_ts=gap.thread, text=said
            )
        except SendFailed as exc:
            _log.info("a channel could not be told of a gap: %s", exc)


def _time(at: int) -> str:
    """A time of day as whoever reads it has it. Slack's documentation, Formatting message text, Date formatting."""
    seconds = at // 1000
    return _TIME.format(at=seconds, utc=f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}")
