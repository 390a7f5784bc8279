"""Once: what Slack may deliver twice, and nothing durable knows for the same, is done once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

KEPT_SECONDS: Final = 900.0
"""Slack tries again after 0, 1 and 5 minutes. Its documentation, Events API, Retries."""
MAX_KEPT: Final = 10_000


class Once:
    """Keys that were seen within the last quarter of an hour, by a steady clock."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, float] = OrderedDict()

    def first(self, key: str) -> bool:
        """Whether this is the first time; from now on it was seen."""
        now = self._clock()
        while self._seen and (
            len(self._seen) >= MAX_KEPT or next(iter(self._seen.values())) < now - KEPT_SECONDS
        ):
            self._seen.popitem(last=False)
        if key in self._seen:
            return False
        self._seen[key] = now
        return True

    def forget(self, key: str) -> None:
        """It came to nothing: the next time counts as the first."""
        self._seen.pop(key, None)
