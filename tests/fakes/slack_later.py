"""What the fake Slack does later, by a time that passes when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

RETRY_SECONDS: Final = (0.0, 60.0, 300.0)
"""After which an event that nobody took is delivered again: nearly at once, after one minute and after five. Slack's
documentation, Events API, Retries."""

Work = Callable[[], Awaitable[None]]


class Later:
    """Work that is put off. Nothing of it happens by itself."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._due: list[tuple[float, Work]] = []

    def __len__(self) -> int:
        return len(self._due)

    def put(self, seconds: float, work: Work) -> None:
        """This is done when so much time has passed."""
        self._due.append((self._passed + seconds, work))

    async def pass_time(self, seconds: float) -> None:
        """So much later: what is due by then was done, and what it has put off in turn, where that is due as well."""
        until = self._passed + seconds
        while due := [each for each in self._due if each[0] <= until]:
            self._passed = min(at for at, _ in due)
            now = [each for each in due if each[0] <= self._passed]
            self._due = [each for each in self._due if each not in now]
            await asyncio.gather(*(work() for _, work in now))
        self._passed = until
