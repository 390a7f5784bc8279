"""Patterns: regular expressions that admins set, looked for in what people say, by anybody's leave and within bounds.

A pattern may take for ever on a text that somebody writes on purpose, so each search has a bounded time, on a thread of
its own that keeps nobody from working meanwhile, and one that goes on failing rests. What cannot be told does not fit:
the message is then not for the agent, and the admins see why.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Final

import regex

from agent.protocol.clock import Clock
from bot import log
from bot.metrics import Metrics

LOOK_SECONDS: Final = 0.05
"""Of one search. The library looks at the time between its steps, so that it may be some milliseconds more."""
LOOKED_AT_CHARS: Final = 10_000
"""Only the beginning of what was said is looked at."""
MAX_REPEATS: Final = 10_000
"""All the numbers of a pattern's repetitions multiplied: the library writes them out when it compiles one, and five
times {100} in each other take all memory that there is."""
FAILURES: Final = 5
REST_MS: Final = 60_000
"""After so many failures in a row a pattern is not looked for during this time: each costs a processor LOOK_SECONDS."""
KEPT: Final = 256
"""So many compiled patterns, and so many that fail, are remembered."""
REPEATS_TOO_MUCH: Final = "its numbers of repetitions are too high together"
TOO_SLOW: Final = "it takes too long on some texts: leave out a repetition within a repetition"

_COUNTS: Final = re.compile(r"\{(\d*)(?:,(\d*))?\}")
_WORDS: Final = re.compile(r"\w+")
_log = log.get("roost.patterns")


class BadPattern(Exception):
    """Raised when a pattern cannot be used; the text says why, as the end of a sentence."""


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


def search(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the beginning of the text. Raises BadPattern, also when that cannot be told in
    LOOK_SECONDS."""
    compiled = _compiled(pattern)
    try:
        found = compiled.search(text[:LOOKED_AT_CHARS], timeout=LOOK_SECONDS, concurrent=True)
    except TimeoutError as exc:
        raise BadPattern(TOO_SLOW) from exc
    except (MemoryError, RecursionError) as exc:
        raise BadPattern("it takes too much memory") from exc
    return found is not None


def fault(pattern: str) -> str | None:
    """Why a pattern cannot be used, in one sentence; None when it can. It is tried on texts on which patterns are slow,
    which takes some milliseconds, and LOOK_SECONDS for one that is refused. Whether another text makes it slow nobody
    can tell beforehand."""
    try:
        for text in _nasty(pattern):
            search(pattern, text)
    except BadPattern as exc:
        return f"This pattern cannot be used: {exc}."
    return None


@lru_cache(KEPT)
def _compiled(pattern: str) -> regex.Pattern[str]:
    counts = [int(high or low or 1) for low, high in _COUNTS.findall(pattern)]
    if prod(each or 1 for each in counts) > MAX_REPEATS:
        raise BadPattern(REPEATS_TOO_MUCH)
    try:
        return regex.compile(pattern)
    except regex.error as exc:
        raise BadPattern(f"{exc}") from exc
    except (MemoryError, RecursionError, OverflowError, ValueError) as exc:
        raise BadPattern("it is too much to be understood") from exc


def _nasty(pattern: str) -> Iterable[str]:
    """Long repetitions of what the pattern may take, with an end that it does not."""
    words = _WORDS.findall(pattern)
    seeds = ("a", "0", " ", "a ", "ab, ", "a.", "-", "/", *dict.fromkeys(words), "".join(words))
    for seed in (each for each in seeds if each):
        yield (seed * LOOKED_AT_CHARS)[: LOOKED_AT_CHARS - 1] + "\x00"
