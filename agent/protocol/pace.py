"""How fast somebody may do something who can do it as often as he likes."""

from __future__ import annotations

import time
from collections.abc import Callable


class Bucket:
    """`at_once` at once, and `a_second` in the long run; a token for each. Time is `clock`'s, in seconds."""

    def __init__(
        self, *, a_second: float, at_once: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._a_second = a_second
        self._at_once = at_once
        self._clock = clock
        self._tokens = at_once
        self._as_of = clock()

    def take(self, count: float = 1) -> float:
        """Takes so many tokens when there is one at all, and returns 0; else takes none and returns in how many
        seconds there will be. What was taken beyond the last one is owed."""
        wait = self.wait()
        if not wait:
            self._tokens -= count
        return wait

    def wait(self) -> float:
        """In how many seconds there will be a token; 0 when there is one."""
        now = self._clock()
        self._tokens = min(self._at_once, self._tokens + (now - self._as_of) * self._a_second)
        self._as_of = now
        return (1 - self._tokens) / self._a_second if self._tokens < 1 else 0


class Pace:
    """So many in a second; the next ones wait where they are, and whoever sends them."""

    def __init__(self, a_second: int) -> None:
        self._a_second = a_second
        self._since = time.monotonic()
        self._count = 0

    def pause(self) -> float:
        """How long to wait before the next one, in seconds."""
        self._count += 1
        if self._count < self._a_second:
            return 0
        rest = self._since + 1 - time.monotonic()
        self._since, self._count = time.monotonic() + max(0, rest), 0
        return max(0, rest)
