"""What a token costs, by the model's family. Pure.

One US dollar for a million tokens is a millionth of a dollar for a token, so that tokens times a price are micros.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Final

from bot.gateway.usage import Usage

WEB_SEARCH_MICROS: Final = 10_000
"""Of one search by the server's own tool ("Web search tool", usage and pricing)."""


@dataclass(frozen=True)
class Price:
    """In US dollars for a million tokens."""

    input: float
    output: float
    cache_write_5m: float
    cache_write_1h: float
    cache_read: float

    @classmethod
    def of(
        cls,
        read: float,
        written: float,
        *,
        cache_write_5m: float | None = None,
        cache_write_1h: float | None = None,
        cache_read: float | None = None,
    ) -> Price:
        """What is not given stands to `read` as in Anthropic's list ("Pricing", prompt caching)."""
        return cls(
            read,
            written,
            read * 1.25 if cache_write_5m is None else cache_write_5m,
            read * 2 if cache_write_1h is None else cache_write_1h,
            read / 10 if cache_read is None else cache_read,
        )

    def micros(self, usage: Usage) -> int:
        """What it comes to, in millionths of a US dollar, rounded up."""
        tokens = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_write_5m_tokens * self.cache_write_5m
            + usage.cache_write_1h_tokens * self.cache_write_1h
            + usage.cache_read_tokens * self.cache_read
        )
        return math.ceil(tokens) + usage.web_searches * WEB_SEARCH_MICROS


KNOWN: Final[Mapping[str, Price]] = {
    "claude-opus": Price.of(5, 25),
    "claude-opus-4-0": Price.of(15, 75),
    "claude-opus-4-1": Price.of(15, 75),
    "claude-opus-4-2025": Price.of(15, 75),
    "claude-3-opus": Price.of(15, 75),
    "claude-sonnet": Price.of(3, 15),
    "claude-3-7-sonnet": Price.of(3, 15),
    "claude-3-5-sonnet": Price.of(3, 15),
    "claude-haiku": Price.of(1, 5),
    "claude-3-5-haiku": Price.of(0.8, 4),
    "claude-3-haiku": Price.of(0.25, 1.25),
}
"""By the beginning of the name; the longest one that fits counts."""


class Prices:
    """The list: `given` goes before what is known."""

    def __init__(self, given: Mapping[str, Price]) -> None:
        self._given = given
        every = [astuple(each) for each in (*KNOWN.values(), *given.values())]
        # Whoever asks a model that nobody has heard of must not do so for nothing.
        self._dearest = Price(*(max(column) for column in zip(*every, strict=True)))

    def given(self, model: str) -> Price | None:
        """The price that somebody has listed for a model, if anybody has."""
        return _longest(self._given, model)

    def of(self, model: str) -> Price:
        """The price of a model; of one that is not in the list the dearest."""
        return _longest(self._given, model) or _longest(KNOWN, model) or self._dearest


def _longest(prices: Mapping[str, Price], model: str) -> Price | None:
    fitting = [name for name in prices if model.startswith(name)]
    return prices[max(fitting, key=len)] if fitting else None
