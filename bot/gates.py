"""Gates: a place that has said "not before" is left alone until then, by everybody who has something to say there."""

from __future__ import annotations

from agent.protocol.clock import Clock, steady_ms
from agent.protocol.messages import Route


class Gates:
    """Kept in memory: after a restart the first who tries is told again. All times are in milliseconds, on a
    clock that nobody sets."""

    def __init__(self, clock: Clock = steady_ms) -> None:
        self._clock = clock
        self._shut: dict[tuple[str, str | None], int] = {}

    def left(self, route: Route) -> int:
        """How long nothing may be sent there; 0 when something may be now."""
        keys = ((route.channel, None), (route.channel, route.platform_id))
        opens_at = max(self._shut.get(key, 0) for key in keys)
        return max(0, opens_at - self._clock())

    def shut(self, route: Route, pause: int, *, everywhere: bool) -> None:
        """The platform wants nothing for so long: in this place, all its threads, or everywhere."""
        now = self._clock()
        self._shut = {key: at for key, at in self._shut.items() if at > now}
        key = (route.channel, None if everywhere else route.platform_id)
        self._shut[key] = max(now + pause, self._shut.get(key, 0))
