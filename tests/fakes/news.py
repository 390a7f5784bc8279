"""How a test waits for what it cannot see happen: it is woken at every change and looks again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

UNTIL_SECONDS: Final = 10.0


class News:
    """Told of changes from anywhere in the event loop, without an await."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """Something has changed: everybody who waits looks again."""
        waiting, self._waiting = self._waiting, set()
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def until(self, holds: Callable[[], bool], *, seconds: float = UNTIL_SECONDS) -> None:
        """Returns when `holds` does. Raises TimeoutError when it does not in so many seconds."""
        async with asyncio.timeout(seconds):
            while not holds():
                told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.add(told)
                await told
