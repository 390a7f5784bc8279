"""The gate: how many events are dealt with at once, so that a flood of them stays outside.

Crowded                     too many wait already
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

AT_ONCE: Final = 64
OF_ONE_PLACE: Final = 16
WAITING: Final = 4_096
WAITING_OF_ONE_PLACE: Final = 256
REPEAT_MS: Final = 30_000
"""How long the same place is not told again that it is too much."""
MORE: Final = " ({count} other messages since the last time I said so were not taken either.)"
PLACES_REMEMBERED: Final = 1_000


class Crowded(Exception):
    """Raised when so many wait at the gate that no other one may."""


@dataclass
class _Place:
    slots: asyncio.Semaphore
    inside: int = 0
    """Those that wait among them."""


class Gate:
    """Lets in AT_ONCE, and OF_ONE_PLACE: a place that is flooded leaves room for the others."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._places: dict[Hashable, _Place] = {}
        self._inside = 0

    async def enter(self, key: Hashable) -> None:
        """Returns when there is room inside; `leave` has to follow. Raises Crowded."""
        place = self._places.get(key)
        if self._inside >= WAITING or (place is not None and place.inside >= WAITING_OF_ONE_PLACE):
            raise Crowded
        if place is None:
            place = self._places[key] = _Place(asyncio.Semaphore(OF_ONE_PLACE))
        self._inside += 1
        place.inside += 1
        try:
            await place.slots.acquire()
            try:
                await self._slots.acquire()
            except BaseException:
                place.slots.release()
                raise
        except BaseException:
            self._forget(key, place)
            raise

    def leave(self, key: Hashable) -> None:
        """Makes room for the next one."""
        place = self._places[key]
        self._slots.release()
        place.slots.release()
        self._forget(key, place)

    def _forget(self, key: Hashable, place: _Place) -> None:
        self._inside -= 1
        place.inside -= 1
        if not place.inside:
            del self._places[key]


@dataclass
class _Said:
    at: int
    unsaid: int = 0


class Overload:
    """What is said of refusals in a place: once in a while, and then how many there were meanwhile."""

    def __init__(self, repeat_ms: int = REPEAT_MS, *, more: str = MORE) -> None:
        """It is said again after `repeat_ms`, with the number of the others in `more`."""
        self._repeat_ms = repeat_ms
        self._more = more
        self._said: dict[Hashable, _Said] = {}

    def say(self, place: Hashable, text: str, *, now: int) -> str | None:
        """The text to show; None when the place has just been told. `now` is in milliseconds."""
        said = self._said.get(place)
        if said is not None and now - said.at < self._repeat_ms:
            said.unsaid += 1
            return None
        # In the order in which they were told, so that the oldest ones stand first.
        self._said.pop(place, None)
        self._said[place] = _Said(now)
        while len(self._said) > PLACES_REMEMBERED:
            del self._said[next(iter(self._said))]
        return text + self._more.format(count=said.unsaid) if said is not None and said.unsaid else text
