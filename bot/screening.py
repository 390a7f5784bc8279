"""What an agent says, made fit to be shown: secrets of known shape are struck out, also those that only a screen
would put together."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from adapters.terminal.text import printable
from bot.redaction import redact

LONG_CHARS: Final = 16_384
"""A longer text is looked through on a thread: two million characters take most of a second."""
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)


def screened(text: str) -> str:
    """The text without its secrets. Where one was taken apart by characters that nobody sees, these are gone, too."""
    if _UNSEEN.search(text):
        seen = _UNSEEN.sub("", printable(text))
        without = redact(seen)
        if without != seen:
            return without
    return redact(text)


def one_line(text: str) -> str:
    """The same in one line: a label that had two could pass for two labels."""
    return " ".join(text.split()) or "?"


async def screen(text: str) -> str:
    """The same as `screened`; a long text holds nobody up."""
    return screened(text) if len(text) <= LONG_CHARS else await asyncio.to_thread(screened, text)
