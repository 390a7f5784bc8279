"""Threads: what is asked in a channel is answered in a thread of its own, opened when there is something to say."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from adapters.base import Notes, NotSaved, SendFailed
from adapters.discord import ids
from adapters.discord.errors import HAS_THREAD, UNKNOWN_CHANNEL, ChannelGone, MessageGone, code_of
from adapters.discord.rest import Rest
from adapters.naming import title
from agent.protocol import failpoint
from agent.protocol.messages import Route

REST_MINUTES: Final = 1_440
"""Without a message for so long Discord archives a thread; the next message opens it again. Discord's documentation,
Start Thread from Message."""
MAX_KNOWN: Final = 10_000
"""Of each kind of what is remembered of threads."""
HAD_THREAD: Final = 1 << 5
"""Discord's documentation, Message Flags, HAS_THREAD."""
ASIDE: Final = f"{ids.NAME}:aside:"
GONE: Final = "the thread was deleted"

_log = logging.getLogger("roost.discord")


class Threads:
    """A thread that cannot be opened is done without: what was to stand in it stands in the channel."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._opening: dict[int, asyncio.Task[int]] = {}
        self._names: dict[int, str] = {}
        self._aside: set[int] = set()
        self._gone: set[int] = set()
        self._notes: Notes | None = None

    async def recall(self, notes: Notes) -> None:
        """What an earlier service has found. Raises NotSaved."""
        self._notes = notes
        kept = await notes.all(ASIDE)
        self._aside.update(int(key.removeprefix(ASIDE)) for key in kept)
        await self._forget(notes)

    def begin(self, route: Route, text: str) -> None:
        """A question was accepted whose thread is to be opened."""
        thread = ids.target(route)
        self._names[thread] = title(text)
        while len(self._names) > MAX_KNOWN:
            del self._names[next(iter(self._names))]

    def gone(self, thread: int) -> None:
        """It was deleted."""
        self._names.pop(thread, None)
        if len(self._gone) < MAX_KNOWN:
            self._gone.add(thread)

    async def ready(self, route: Route) -> int:
        """Where to write for this route: opens its thread if that is still to be done. Raises SendFailed."""
        place = ids.target(route)
        if route.thread_id is None:
            return place
        if place in self._gone:
            raise ChannelGone(GONE, retry_after=None)
        if place in self._aside:
            return int(route.platform_id)
        name = self._names.get(place)
        return place if name is None else await self._open(route, name)

    async def again(self, route: Route) -> int:
        """The same for a thread that is not there, as Discord says: it may never have been opened. Raises
        SendFailed."""
        place = ids.target(route)
        if route.thread_id is None or place in self._gone:
            raise ChannelGone(GONE, retry_after=None)
        try:
            question = await self._rest.message(int(route.platform_id), place)
        except MessageGone as exc:
            self.gone(place)
            raise ChannelGone(GONE, retry_after=None) from exc
        if "thread" in question or int(question.get("flags", 0)) & HAD_THREAD:
            self.gone(place)
            raise ChannelGone(GONE, retry_after=None)
        return await self._open(route, title(str(question.get("content", ""))))

    async def close(self) -> None:
        """Ends what is being opened: it is found missing, and opened, by whoever writes there."""
        tasks = list(self._opening.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _open(self, route: Route, name: str) -> int:
        thread = ids.target(route)
        task = self._opening.get(thread)
        if task is None:
            task = asyncio.create_task(self._try(route, name), name=f"discord thread {thread}")
            self._opening[thread] = task
            task.add_done_callback(lambda _: self._opening.pop(thread, None))
        return await asyncio.shield(task)

    async def _try(self, route: Route, name: str) -> int:
        channel, thread = int(route.platform_id), ids.target(route)
        try:
            place = await self._rest.open_thread(channel, thread, name, rest_minutes=REST_MINUTES)
            failpoint.hit("thread-opened")
        except SendFailed as exc:
            if code_of(exc) == HAS_THREAD:
                place = thread
            elif exc.retry_after is not None or code_of(exc) == UNKNOWN_CHANNEL:
                raise
            else:
                place = await self._do_without(channel, thread, exc)
        self._names.pop(thread, None)
        return place

    async def _do_without(self, channel: int, thread: int, why: SendFailed) -> int:
        if not isinstance(why, MessageGone):
            _log.warning("no thread can be opened in channel %s: %s", channel, why)
        self._aside.add(thread)
        if self._notes is not None:
            try:
                await self._notes.put(f"{ASIDE}{thread}", str(channel))
                await self._forget(self._notes)
            except NotSaved:
                _log.warning("it is not kept that a thread is done without", exc_info=True)
        return channel

    async def _forget(self, notes: Notes) -> None:
        """Whoever deletes one question after the other must not fill the disk with it: the oldest are found out about
        anew where somebody still writes there. Raises NotSaved."""
        for thread in sorted(self._aside)[:-MAX_KNOWN]:
            self._aside.discard(thread)
            await notes.drop(f"{ASIDE}{thread}")
