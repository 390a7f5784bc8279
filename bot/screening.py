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
_RANGES: Final = (
    (0x00, 0x08), (0x0B, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160),
    (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0xE0000, 0xE0FFF),
)  # fmt: skip
UNSEEN: Final = "".join(f"{chr(first)}-{chr(last)}" for first, last in _RANGES)
"""Controls but tab and line feed, and what has no width (Unicode's Default_Ignorable_Code_Point), as they stand within
the brackets of a regular expression."""
_UNSEEN: Final = re.compile(f"[{UNSEEN}]")
_EMOJI: Final = "\u200d\ufe0f"
"""What joins emoji and colours them: nothing is turned or hidden by it."""


def screened(text: str) -> str:
    """The text without its secrets. Where one was taken apart by characters that nobody sees, these are gone, too."""
    if _UNSEEN.search(text):
        seen = _UNSEEN.sub("", printable(text))
        without = redact(seen)
        if without != seen:
            return without
    return redact(text)


def visible(text: str) -> str:
    """The text with each character that nobody sees, or that turns what is around it, written as its number: whoever
    decides about a text sees what it holds."""
    return _UNSEEN.sub(lambda found: found[0] if found[0] in _EMOJI else f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """The same in one line: a label that had two could pass for two labels."""
    return " ".join(text.split()) or "?"


async def screen(text: str) -> str:
    """The same as `screened`; a long text holds nobody up."""
    return screened(text) if len(text) <= LONG_CHARS else await asyncio.to_thread(screened, text)
