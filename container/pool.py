"""How many containers wait for a conversation that nobody has begun yet: pure decisions.

One that waits takes the start out of the way of the first answer, and costs memory for as long as nobody comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Room:
    """What there is for containers that nobody has asked for: so many places are `free`, and whether anybody `waits`
    for one."""

    free: int
    waits: bool


@dataclass(frozen=True)
class Resting:
    """A container with nothing to do: since when, on any clock, and how much memory it keeps, in MiB."""

    name: str
    since: int
    memory_mb: float


def lacking(ready: Mapping[str, int], size: int, room: Room) -> str | None:
    """The kind of which one more is to be made now, the scarcest first; None: there are enough, or there is no room.
    The last free place is for somebody who comes."""
    if room.waits or room.free <= 1 or not ready:
        return None
    kind = min(sorted(ready), key=lambda each: ready[each])
    return kind if ready[kind] < size else None


def over_budget(resting: Sequence[Resting], budget_mb: float) -> list[str]:
    """Those that have to go so that the others keep within the budget: who has rested longest goes first."""
    left = sum(each.memory_mb for each in resting)
    gone = []
    for each in sorted(resting, key=lambda each: each.since):
        if left <= budget_mb:
            break
        gone.append(each.name)
        left -= each.memory_mb
    return gone
