"""The slow look underneath the bell: a frame that was lost, or a bell that cannot be had, costs time and no reply."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from bot.containers import Containers
from bot.delivery import Delivery

BUSY_SECONDS: Final = 0.5
"""Without a bell, while the runner works."""
IDLE_SECONDS: Final = 1.0
"""Without a bell, while it does not."""
SLOW_SECONDS: Final = 5.0
"""With a bell that works."""


@dataclass(frozen=True)
class Facts:
    """What is known of one runner; `seconds` have passed since it was last looked at."""

    connected: bool
    busy: bool
    seconds: float


def is_due(facts: Facts) -> bool:
    """Whether it is time to look at the runner's outbound.db, whatever the bell says."""
    if facts.connected:
        return facts.busy and facts.seconds >= SLOW_SECONDS
    return facts.seconds >= (BUSY_SECONDS if facts.busy else IDLE_SECONDS)


class Polling:
    """Kicks the delivery of living runners now and then."""

    name = "polling"

    def __init__(self, containers: Containers, delivery: Delivery) -> None:
        self._containers = containers
        self._delivery = delivery
        self._looked_at: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(BUSY_SECONDS)
            now = loop.time()
            alive = {runner.session.id: runner for runner in self._containers}
            self._looked_at = {i: self._looked_at.get(i, now - BUSY_SECONDS) for i in alive}
            for session_id, runner in alive.items():
                busy = runner.session.oldest() is not None
                if is_due(Facts(runner.bell.connected, busy, now - self._looked_at[session_id])):
                    self._looked_at[session_id] = now
                    self._delivery.kick(session_id)
