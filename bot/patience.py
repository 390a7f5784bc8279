"""How long a session's outbound.db is borne with when it cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agent.protocol.snapshot import Busy, Costly

READ_SECONDS: Final = 0.25
MAX_READ_SECONDS: Final = 2.0
FIRST_WAIT_SECONDS: Final = 0.05
MAX_WAIT_SECONDS: Final = 5.0
MAX_COSTLY: Final = 8
"""So many looks in a row for which the time was not enough: it is not the host that was busy, it is the file."""
_MAX_DOUBLINGS: Final = 10


@dataclass
class Patience:
    """What has become of the latest looks. A lock goes away with whoever holds it, who has a turn limit; a file
    that takes too long to read does so again."""

    locked: int = 0
    costly: int = 0

    @property
    def read_seconds(self) -> float:
        """What the next look may take: more, the more were not enough."""
        return min(READ_SECONDS * 2.0**self.costly, MAX_READ_SECONDS)

    @property
    def pause_seconds(self) -> float:
        """For how long the file is left alone now, also when its agent rings: what is locked is free when it rings,
        what is too much is no less then."""
        return _wait(self.costly) if self.costly else 0.0

    @property
    def at_an_end(self) -> bool:
        """Whether the file is not to be looked at any more."""
        return self.costly >= MAX_COSTLY

    def failed(self, why: Busy) -> float:
        """A look was in vain; returns how long to wait before the next one, in seconds."""
        if isinstance(why, Costly):
            self.costly += 1
        else:
            self.locked += 1
        return _wait(max(self.costly, self.locked))

    def restored(self) -> None:
        """It could be read, or is another one now."""
        self.locked = self.costly = 0


def _wait(times: int) -> float:
    return min(FIRST_WAIT_SECONDS * 2.0 ** min(times - 1, _MAX_DOUBLINGS), MAX_WAIT_SECONDS)
