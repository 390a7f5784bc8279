"""Guesses: whoever gives a wrong code waits before the next one counts, longer each time, and nobody else does."""

from __future__ import annotations

from typing import Final

from agent.protocol.clock import Clock

FREE: Final = 5
"""So many wrong ones cost nothing: people mistype."""
BASE_MS: Final = 1_000
LONGEST_MS: Final = 3_600_000
REMEMBERED: Final = 1_000
"""People; those whose last guess is the oldest are forgotten first."""


class Guesses:
    """Kept in memory: guessing is hopeless in any case, and a stranger must not fill the disk with it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: dict[tuple[str, str], tuple[int, int]] = {}

    def wait_ms(self, channel: str, user_id: str) -> int:
        """For how long another guess of theirs does not count."""
        wrong, at = self._wrong.get((channel, user_id), (0, 0))
        if wrong < FREE:
            return 0
        pause: int = min(LONGEST_MS, BASE_MS * 2 ** min(wrong - FREE, 20))
        return max(0, at + pause - self._clock())

    def was_wrong(self, channel: str, user_id: str) -> None:
        """They have given one more."""
        wrong, _ = self._wrong.pop((channel, user_id), (0, 0))
        self._wrong[channel, user_id] = (wrong + 1, self._clock())
        while len(self._wrong) > REMEMBERED:
            del self._wrong[next(iter(self._wrong))]
