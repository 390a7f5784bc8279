"""Regular expressions of admins: whether one can be used, and whether it is found in a text, within a bounded time.
Pure, and without anything that a command line would have to load."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from math import prod
from typing import Final

import regex

LOOK_SECONDS: Final = 0.05
"""Of one search. The library looks at the time between its steps, so that it may be some milliseconds more."""
LOOKED_AT_CHARS: Final = 10_000
"""Only the beginning of what was said is looked at."""
MAX_REPEATS: Final = 10_000
"""All the numbers of a pattern's repetitions multiplied: the library writes them out when it compiles one, and five
times {100} in each other take all memory that there is."""
REPEATS_TOO_MUCH: Final = "its numbers of repetitions are too high together"
TOO_SLOW: Final = "it takes too long on some texts: leave out a repetition within a repetition"
_COUNTS: Final = re.compile(r"\{(\d*)(?:,(\d*))?\}")
_WORDS: Final = re.compile(r"\w+")
KEPT: Final = 256
"""So many compiled patterns, and so many that fail, are remembered."""


class BadPattern(Exception):
    """Raised when a pattern cannot be used; the text says why, as the end of a sentence."""


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
