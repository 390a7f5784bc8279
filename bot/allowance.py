"""How much a session may say: an agent that never stops must fill neither a channel nor the disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.protocol.pace import Bucket


@dataclass(frozen=True)
class Rate:
    """Of one session in a minute; so much may also come at once."""

    replies: int
    bytes: int


class Allowance:
    """What is left of it to one session. What was taken beyond it is waited for afterwards."""

    def __init__(self, rate: Rate, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._replies = Bucket(a_second=rate.replies / 60, at_once=rate.replies, clock=clock)
        self._bytes = Bucket(a_second=rate.bytes / 60, at_once=rate.bytes, clock=clock)

    def wait_ms(self) -> int:
        """How long nothing more may be said; 0 when something may be now."""
        seconds = max(self._replies.wait(), self._bytes.wait())
        return int(seconds * 1000) + 1 if seconds else 0

    def said(self, size: int) -> None:
        """One more reply, of so many bytes."""
        self._replies.take()
        self._bytes.take(size)
