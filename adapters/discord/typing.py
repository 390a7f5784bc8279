"""Typing: shown in a channel while a turn runs there, and not a moment longer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from adapters.base import SendFailed
from adapters.discord.client import Timing
from adapters.discord.rest import Rest
from adapters.discord.threads import Threads
from agent.protocol.messages import Route

_log = logging.getLogger("roost.discord")


class Typing:
    """Best effort: what Discord refuses is let be until the next turn."""

    def __init__(self, rest: Rest, threads: Threads, timing: Timing) -> None:
        self._rest = rest
        self._threads = threads
        self._timing = timing
        self._tasks: dict[Route, asyncio.Task[None]] = {}
        self._calls: dict[Route, asyncio.Lock] = {}

    def begin(self, route: Route) -> None:
        """A turn runs there."""
        if route not in self._tasks:
            self._calls[route] = asyncio.Lock()
            self._tasks[route] = asyncio.create_task(
                self._type(route), name=f"discord typing {route.platform_id}"
            )

    async def end(self, route: Route) -> None:
        """No turn runs there any more. Returns when nothing more can be shown."""
        task = self._tasks.pop(route, None)
        if task is None:
            return
        async with self._calls.pop(route):
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def before(self, route: Route, send: Callable[[], Awaitable[int]]) -> int:
        """Sends a message, which takes the sign away: none may be on its way meanwhile, it would stay."""
        lock = self._calls.get(route)
        if lock is None:
            return await send()
        async with lock:
            return await send()

    async def close(self) -> None:
        """Ends all of them."""
        for route in list(self._tasks):
            await self.end(route)

    async def _type(self, route: Route) -> None:
        await asyncio.sleep(self._timing.typing_begins)
        lock = self._calls[route]
        try:
            while True:
                place = await self._threads.ready(route)
                async with lock:
                    # A call that is cut off may arrive all the same.
                    await asyncio.shield(self._rest.typing(place))
                await asyncio.sleep(self._timing.typing_again)
        except SendFailed as exc:
            _log.debug("typing is not shown: %s", exc)
