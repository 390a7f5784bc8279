"""Absences: a place in which nobody is there to take a reply is not tried again until somebody comes."""

from __future__ import annotations

from agent.protocol.clock import Clock
from agent.protocol.messages import Route


class Absences:
    """Kept in memory: after a restart the first who tries is told again. Times are on `clock`, in milliseconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[tuple[str, str], tuple[int, int]] = {}
        self.comings = 0
        """How often somebody came, anywhere."""

    def begin(self, route: Route, until: int, *, came: int) -> None:
        """Nobody is there; try again then at the latest. `came` is what `comings` was before the try: whoever came
        since may be there."""
        if came == self.comings:
            now = self._clock()
            self._until = {key: both for key, both in self._until.items() if both[0] <= now < both[1]}
            self._until[route.channel, route.platform_id] = (now, until)

    def until(self, route: Route) -> int | None:
        """When to try again, if nobody is there now. A clock that was put back since tells nothing."""
        began, until = self._until.get((route.channel, route.platform_id), (0, 0))
        return until if began <= self._clock() < until else None

    def over(self, channel: str, platform_id: str) -> None:
        """Somebody came."""
        self.comings += 1
        self._until.pop((channel, platform_id), None)
