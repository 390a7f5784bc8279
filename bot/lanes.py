"""Background work by key: one at a time for each key, side by side for different ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Lanes(Generic[K]):
    """Runs `work(key)` whenever a key is kicked.

    However often a key is kicked while its work runs, the work runs once more afterwards: a kick says "look
    again", not what there is to see. What the work raises goes to `on_error` and stops nobody else; what
    `on_error` raises ends `run`. At most `limit` keys are worked on at once.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[K], Awaitable[None]],
        on_error: Callable[[K, Exception], None],
        limit: int | None = None,
    ) -> None:
        self.name = name
        self._work = work
        self._on_error = on_error
        self._slots: AbstractAsyncContextManager[object] = (
            asyncio.Semaphore(limit) if limit else nullcontext()
        )
        self._tasks: dict[K, asyncio.Task[None]] = {}
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failure: Exception | None = None
        self._failed = asyncio.Event()
        self._closed = False

    def kick(self, key: K) -> None:
        """Has the key worked on: at once when it is idle, once more when it is busy. After the end, nothing."""
        if self._closed:
            return
        if key in self._tasks:
            self._again.add(key)
        else:
            self._tasks[key] = asyncio.create_task(self._drain(key), name=f"{self.name} {key}")

    def kick_later(self, key: K, delay_seconds: float) -> None:
        """Kicks the key after the delay, or earlier when an earlier kick is waiting. `kick` leaves it be."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        waiting = self._timers.get(key)
        if waiting is not None:
            if waiting.when() <= loop.time() + delay_seconds:
                return
            waiting.cancel()
        self._timers[key] = loop.call_later(delay_seconds, self._ring, key)

    def idle(self, key: K) -> bool:
        """Whether nothing runs for the key, and no kick waits for its time."""
        return key not in self._tasks and key not in self._timers

    async def settle(self, key: K) -> None:
        """Returns when nothing runs for the key; a kick that still waits for its time does not count.

        Never to be awaited from the key's own work.
        """
        while (task := self._tasks.get(key)) and not task.done():
            await asyncio.wait([task])

    async def run(self) -> None:
        """Keeps the work going until cancelled, then cancels it and waits. Raises what `on_error` raised."""
        try:
            await self._failed.wait()
            if self._failure is not None:
                raise self._failure
        finally:
            await self._close()

    async def _drain(self, key: K) -> None:
        try:
            while True:
                async with self._slots:
                    self._again.discard(key)
                    await self._once(key)
                if key not in self._again:
                    return
        except Exception as exc:
            self._failure = exc
            self._failed.set()
        finally:
            # No await stands between the last look at _again and this, so no kick is lost.
            del self._tasks[key]

    async def _once(self, key: K) -> None:
        try:
            await self._work(key)
        except asyncio.CancelledError:
            if self._closed:
                raise
            # Something that the work waited for was cancelled: a failure of the work, and not our end.
            self._on_error(key, RuntimeError("what the work waited for was cancelled"))
        except Exception as exc:
            self._on_error(key, exc)

    def _ring(self, key: K) -> None:
        del self._timers[key]
        self.kick(key)

    async def _close(self) -> None:
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
