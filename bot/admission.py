"""Admission: how many runners live at once, and who is next where more are to be woken.

A place is taken before a runner is started and given back when its exit was seen. Who finds none waits in a line
that is fair across places: a place with five hundred sessions waiting holds up another one's single session by one
turn, not by five hundred.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Final

from bot.signals import Signal

STARTS_AT_ONCE: Final = 4
"""An interpreter that starts needs a processor for a while: more at once are no faster, and slow all the others."""
START_SECONDS: Final = 10.0
"""A start that hangs keeps others from starting for no longer than this; it keeps its place."""


class Line:
    """Who waits: the places take turns, and within a place first come is first served."""

    def __init__(self) -> None:
        self._lines: OrderedDict[Hashable, OrderedDict[str, None]] = OrderedDict()
        self._places: dict[str, Hashable] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, who: str) -> bool:
        return who in self._places

    def __iter__(self) -> Iterator[str]:
        """In the order in which they will be called if nobody else comes."""
        lines = [iter(line) for line in self._lines.values()]
        while lines:
            still = []
            for line in lines:
                who = next(line, None)
                if who is not None:
                    yield who
                    still.append(line)
            lines = still

    def join(self, who: str, place: Hashable) -> None:
        """At the end of the place's own line. Who waits already keeps where it stands."""
        if who not in self._places:
            self._places[who] = place
            self._lines.setdefault(place, OrderedDict())[who] = None

    def leave(self, who: str) -> None:
        """Absent is success."""
        if who in self._places:
            place = self._places.pop(who)
            del self._lines[place][who]
            if not self._lines[place]:
                del self._lines[place]

    def call(self) -> str:
        """Takes out who is next, after which it is the next place's turn. Raises IndexError when nobody waits."""
        if not self._lines:
            raise IndexError("nobody waits")
        place, line = next(iter(self._lines.items()))
        who = next(iter(line))
        self.leave(who)
        if place in self._lines:
            self._lines.move_to_end(place)
        return who


class Admission:
    """The places. Whoever is called out of the line is told by `wake`, and holds a place from then on."""

    def __init__(
        self, limit: int, *, wake: Signal[str], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit
        self.crowded = asyncio.Event()
        """Set while anybody waits."""
        self._wake = wake
        self._monotonic = monotonic
        self._holders: set[str] = set()
        self._starting: dict[str, float] = {}
        self._line = Line()

    @property
    def held(self) -> int:
        """How many places are taken; more than `limit` after an adoption."""
        return len(self._holders)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    @property
    def starts_under_way(self) -> int:
        """How many have a place and have not shown yet that they run."""
        return len(self._starting)

    @property
    def wanted(self) -> int:
        """How many places should become free, for those who can be called next."""
        return min(self.waiting, STARTS_AT_ONCE) - (self.limit - self.held)

    def line(self) -> Iterator[str]:
        """Who waits, in the order in which they will be called."""
        return iter(self._line)

    def waits(self, session_id: str) -> bool:
        """Whether the session waits for a place."""
        return session_id in self._line

    def enter(self, session_id: str, place: Hashable) -> bool:
        """Takes a place for the session, unless it has one; False when there is none, and it waits now."""
        if session_id not in self._holders:
            self._line.join(session_id, place)
            self._call(told=session_id)
        return session_id in self._holders

    def adopt(self, session_id: str) -> None:
        """The session has a runner already, so it takes a place, whether there is one or not."""
        self._line.leave(session_id)
        self._holders.add(session_id)
        self._note()

    def started(self, session_id: str) -> None:
        """The session's runner has shown that it runs: the next one may be started. It may be said often."""
        if self._starting.pop(session_id, None) is not None:
            self._call()

    def leave(self, session_id: str) -> None:
        """Gives back the session's place, or takes it out of the line. Absent is success."""
        self._holders.discard(session_id)
        self._starting.pop(session_id, None)
        self._line.leave(session_id)
        self._call()

    def give_up_on_slow_starts(self) -> None:
        """Goes on with others where a start takes too long."""
        late = self._monotonic() - START_SECONDS
        for session_id in [who for who, since in self._starting.items() if since <= late]:
            del self._starting[session_id]
        self._call()

    def _call(self, *, told: str | None = None) -> None:
        """Calls as many as there is room for; `told` sees for itself."""
        while self._line and self.held < self.limit and self.starts_under_way < STARTS_AT_ONCE:
            session_id = self._line.call()
            self._holders.add(session_id)
            self._starting[session_id] = self._monotonic()
            if session_id != told:
                self._wake(session_id)
        self._note()

    def _note(self) -> None:
        if self._line:
            self.crowded.set()
        else:
            self.crowded.clear()
