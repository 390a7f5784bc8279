"""How much of a hostile file the host is willing to look at."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from agent.protocol.messages import MAX_TEXT_CHARS
from agent.protocol.snapshot.errors import Costly

_JSON_ESCAPE_BYTES: Final = 6
_REST_OF_A_ROW_BYTES: Final = 2**20


@dataclass(frozen=True)
class Bounds:
    """Sizes in bytes, counts in rows. More than these is a Violation; a larger cell costs only its row."""

    file_bytes: int = 64 * 2**20
    messages: int = 2_000
    acks: int = 10_000
    rejected: int = 100
    # The longest text that a message may have still fits when JSON escapes each of its characters.
    cell_bytes: int = MAX_TEXT_CHARS * _JSON_ESCAPE_BYTES + _REST_OF_A_ROW_BYTES


class Deadline:
    """A moment on the monotonic clock, `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def passed(self) -> bool:
        """Whether that moment is over."""
        return time.monotonic() >= self._at

    def check(self, doing: str) -> None:
        """Raises Costly when there is no time left for `doing`."""
        if self.passed():
            raise Costly(f"no time left for {doing}")
