"""The slow look underneath the bell: a frame that was lost, or a bell that cannot be had, costs time and no reply."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.containers import Containers
from bot.delivery import Delivery
from bot.runner import Runner

Stamp = tuple[int, int]

BUSY_SECONDS: Final = 0.5
"""Without a bell, while the runner works."""
IDLE_SECONDS: Final = 1.0
"""Without a bell, while it does not."""
SLOW_SECONDS: Final = 5.0
"""With a bell that works, while the runner does."""
SELDOM_SECONDS: Final = 60.0
"""With a bell that works, while the runner does not; and then only where outbound.db is another one than before."""


@dataclass(frozen=True)
class Facts:
    """What is known of one runner; `seconds` have passed since it was last looked at."""

    connected: bool
    busy: bool
    seconds: float


def is_due(facts: Facts) -> bool:
    """Whether it is time to look at the runner's outbound.db, whatever the bell says."""
    if facts.connected:
        return facts.seconds >= (SLOW_SECONDS if facts.busy else SELDOM_SECONDS)
    return facts.seconds >= (BUSY_SECONDS if facts.busy else IDLE_SECONDS)


class Polling:
    """Kicks the delivery of living runners now and then. A runner that rests costs a look at its file's size and
    time, each at a time of its own."""

    name = "polling"

    def __init__(self, containers: Containers, delivery: Delivery) -> None:
        self._containers = containers
        self._delivery = delivery
        self._looked_at: dict[str, float] = {}
        self._stamps: dict[str, Stamp] = {}

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(BUSY_SECONDS)
            await self.round(loop.time())

    async def round(self, now: float) -> None:
        """Looks at whoever is due at `now`, on the loop's clock."""
        alive = {runner.session.id: runner for runner in self._containers}
        self._looked_at = {i: self._looked_at.get(i, now - _head_start(i)) for i in alive}
        self._stamps = {i: stamp for i, stamp in self._stamps.items() if i in alive}
        resting: list[Runner] = []
        for session_id, runner in alive.items():
            connected, busy = runner.bell.connected, runner.session.oldest() is not None
            if not is_due(Facts(connected, busy, now - self._looked_at[session_id])):
                continue
            self._looked_at[session_id] = now
            if connected and not busy:
                resting.append(runner)
            else:
                self._delivery.kick(session_id)
        if resting:
            await self._glance(resting)

    async def _glance(self, resting: Sequence[Runner]) -> None:
        stamps = await asyncio.to_thread(_stamps, [each.session.workspace.outbound for each in resting])
        for runner, stamp in zip(resting, stamps, strict=True):
            if stamp != self._stamps.get(runner.session.id):
                self._stamps[runner.session.id] = stamp
                self._delivery.kick(runner.session.id)


def _head_start(session_id: str) -> float:
    """Many may be adopted at once; they are not looked at all at once for ever."""
    return BUSY_SECONDS + zlib.crc32(session_id.encode()) % 1000 / 1000 * (SELDOM_SECONDS - BUSY_SECONDS)


def _stamps(paths: Sequence[Path]) -> list[Stamp]:
    return [_stamp(path) for path in paths]


def _stamp(path: Path) -> Stamp:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
