"""Beforehand: what was said in a thread before the agent was called into it, read from the platform for the first
message that is accepted there.

Others have said it, and not to the agent: it is bounded, its secrets are struck out, and to the agent it is data. Where
it cannot be had the message is taken without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from adapters.base import Said, clean
from agent.protocol.messages import MAX_BEFORE, Quote
from bot import log
from bot.screening import screened

MAX_NAME_CHARS: Final = 200
MAX_QUOTE_CHARS: Final = 4000
"""Of one message."""
MAX_CHARS: Final = 12_000
"""Of all of them together, names included."""
READ_SECONDS: Final = 3.0

_log = log.get("roost.beforehand")


async def read(before: Callable[[], Awaitable[Sequence[Said]]], *, event_id: str) -> list[Quote]:
    """What `before` finds, bounded; nothing where it takes longer than READ_SECONDS, or fails."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            said = await before()
    except TimeoutError:
        _log.warning("what was said in a thread before was not read in time", event_id=event_id)
        return []
    except Exception:
        # An adapter's mistake costs the context and not the message.
        _log.exception("what was said in a thread before could not be read", event_id=event_id)
        return []
    return bounded(said)


def bounded(said: Sequence[Said]) -> list[Quote]:
    """The first message, which says what a thread is about, and as many of the last ones as there is room for. Pure."""
    quotes = [_quote(each) for each in said if each.text.strip()]
    if len(quotes) > MAX_BEFORE:
        quotes = [quotes[0], *quotes[1 - MAX_BEFORE :]]
    kept: list[Quote] = []
    room = MAX_CHARS - sum(map(_size, quotes[:1]))
    for quote in reversed(quotes[1:]):
        room -= _size(quote)
        if room < 0:
            break
        kept.append(quote)
    return [*quotes[:1], *reversed(kept)]


def one_name(text: str) -> str:
    """A name as one short line."""
    return " ".join(clean(text).split())[:MAX_NAME_CHARS] or "somebody"


def _quote(said: Said) -> Quote:
    # Struck out before it is cut: half a secret has no known shape.
    return Quote(
        sender=one_name(screened(clean(said.name))), text=screened(clean(said.text))[:MAX_QUOTE_CHARS]
    )


def _size(quote: Quote) -> int:
    return len(quote.sender) + len(quote.text)
