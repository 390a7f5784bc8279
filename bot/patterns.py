"""Patterns: regular expressions that admins set, looked for in what people say, by anybody's leave and within bounds.

A pattern may take for ever on a text that somebody writes on purpose, so each search has a bounded time, on a thread of
its own that keeps nobody from working meanwhile, and one that goes on failing rests. What cannot be told does not fit:
the message is then not for the agent, and the admins see why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from agent.protocol.clock import Clock
from bot import log
from bot.metrics import Metrics
from bot.searching import BadPattern, search

FAILURES: Final = 5
REST_MS: Final = 60_000
"""After so many failures in a row a pattern is not looked for during this time: each costs a processor LOOK_SECONDS."""
KEPT: Final = 256
"""So many compiled patterns, and so many that fail, are remembered."""

_log = log.get("roost.patterns")


@dataclass(frozen=True)
class Failing:
    """A pattern that could not be looked for: how often, and since when and when last, in epoch milliseconds;
    `in_a_row` counts since it was found or not found for the last time."""

    pattern: str
    why: str
    times: int
    in_a_row: int
    since: int
    last: int

    def rests(self, now: int) -> bool:
        """Whether it is not looked for."""
        return self.in_a_row >= FAILURES and 0 <= now - self.last < REST_MS


class Patterns:
    """Looks for them, and remembers which fail."""

    def __init__(self, *, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._failing: dict[str, Failing] = {}
        self._seldom = log.Seldom()

    async def fit(self, patterns: Iterable[str], text: str) -> Mapping[str, bool | None]:
        """Whether each is found in the text; None: that could not be told."""
        wanted = dict.fromkeys(patterns)
        return {each: await self._fits(each, text) for each in wanted}

    def failing(self) -> list[Failing]:
        """Those that could not be looked for when they were tried last, the ones that have failed longest first."""
        found = [each for each in self._failing.values() if each.in_a_row]
        return sorted(found, key=lambda each: each.since)

    async def _fits(self, pattern: str, text: str) -> bool | None:
        before = self._failing.get(pattern)
        if before is not None and before.rests(self._clock()):
            self._metrics.patterns_failed.inc()
            return None
        try:
            found = await asyncio.to_thread(search, pattern, text)
        except BadPattern as exc:
            self._failed(pattern, str(exc))
            return None
        if before is not None:
            self._failing[pattern] = replace(before, in_a_row=0)
        return found

    def _failed(self, pattern: str, why: str) -> None:
        now = self._clock()
        before = self._failing.pop(pattern, Failing(pattern, why, 0, 0, now, now))
        since = before.since if before.in_a_row else now
        self._failing[pattern] = Failing(pattern, why, before.times + 1, before.in_a_row + 1, since, now)
        while len(self._failing) > KEPT:
            del self._failing[next(iter(self._failing))]
        self._metrics.patterns_failed.inc()
        if self._seldom(pattern):
            _log.error("a pattern could not be looked for: %s", why, pattern=pattern)
