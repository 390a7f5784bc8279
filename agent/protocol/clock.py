"""Time as the wall knows it: integer epoch milliseconds, UTC.

Never ISO text: comparing ISO strings with SQLite's `datetime('now')` goes wrong at every change of
format, and silently.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the time now in epoch milliseconds. Passed in, so that a test can hold it still."""


def steady_ms() -> int:
    """Milliseconds on a clock that nobody sets and that rests while the machine sleeps: for how long something
    takes. Where it began says nothing."""
    return time.monotonic_ns() // 1_000_000


def now_ms() -> int:
    """The wall clock, in epoch milliseconds."""
    return time.time_ns() // 1_000_000
