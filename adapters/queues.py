"""Queues: work in the order in which it came, one queue for each place and none that waits for another one."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

MAX_WAITING: Final = 5_000
"""Over all places; each is a message with its text."""
MAX_OF_ONE_PLACE: Final = 1_000
"""A place that is flooded leaves room for the others."""

Work = Callable[[], Awaitable[None]]
_log = logging.getLogger("roost.queues")


class Queues:
    """Of one platform, by its name. What a work raises is logged: the next one has to go on."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: dict[Hashable, deque[Work]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0

    def put(self, place: Hashable, work: Work) -> bool:
        """False when so much waits already that this one may not."""
        queue = self._waiting.get(place)
        if self._count >= MAX_WAITING or (queue is not None and len(queue) >= MAX_OF_ONE_PLACE):
            return False
        self._count += 1
        if queue is not None:
            queue.append(work)
            return True
        self._waiting[place] = deque([work])
        task = asyncio.create_task(self._drain(place), name=f"{self._name} queue {place}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def empty(self, place: Hashable) -> bool:
        """Whether nothing of this place waits or is at work."""
        return place not in self._waiting

    async def close(self) -> None:
        """Ends what is at work, and forgets the rest: it can be fetched again."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._waiting.clear()
        self._count = 0

    async def _drain(self, place: Hashable) -> None:
        queue = self._waiting[place]
        try:
            while queue:
                try:
                    await queue[0]()
                except Exception:
                    _log.exception("an event could not be dealt with", extra={"channel": self._name})
                finally:
                    queue.popleft()
                    self._count -= 1
        finally:
            del self._waiting[place]
