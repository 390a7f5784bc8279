"""Wakes whoever waits for something to be so in a fake platform, whatever it is that changes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

TICK_SECONDS: Final = 0.05
"""How often a condition is looked at though nothing has changed: time alone ends some things."""


class News:
    """Told of every change."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something is not as it was."""
        self._next.set()
        self._next = asyncio.Event()

    async def until(self, holds: Callable[[], object], seconds: float) -> None:
        """Returns when `holds` does; it is asked at every change. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not holds():
                change = self._next
                try:
                    async with asyncio.timeout(TICK_SECONDS):
                        await change.wait()
                except TimeoutError:
                    continue
