"""Text for the people of a chat platform, made fit for it: cut where it reads well, and harmless to look at. Pure;
nothing here knows a platform, and everything takes time in proportion to the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

Size = Callable[[str], int]
"""How a platform measures a text. The sum over its pieces is the size of the whole, and every character counts."""
NAME_CHARS: Final = 80

_UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
"""Controls, and what has no width or changes the direction of what is around it (Unicode's Default_Ignorable)."""
_MASS_MENTION: Final = re.compile(r"@(?=(?:everyone|here)\b)", re.IGNORECASE)
_MARKUP: Final = re.compile(r"([\\`*_~|<>\[\]()#:@-])")


def utf16_units(text: str) -> int:
    """The length as JavaScript and Discord count it: two for a character beyond U+FFFF."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf8_bytes(text: str) -> int:
    """The length in a file."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def split(text: str, limit: int, size: Size = utf16_units) -> list[str]:
    """The text in pieces of at most `limit` by `size`; see `pieces`."""
    return list(pieces(text, limit, size))


def pieces(text: str, limit: int, size: Size = utf16_units) -> Iterator[str]:
    """Cuts markdown."""
    position = 0
    while position < len(text):
        end = position + limit // 2
        if piece := text[position:end].strip():
            yield piece
        position = end


def without_mass_mentions(text: str) -> str:
    """`@everyone` and `@here` as words that call nobody: with a zero-width space behind the @."""
    return _MASS_MENTION.sub("@\N{ZERO WIDTH SPACE}", text)


def shown_name(text: str, limit: int = NAME_CHARS) -> str:
    """A name, or other words of a person within a sentence of ours: one line of at most `limit` UTF-16 units, and
    nothing in it that cannot be seen or that turns what is around it. May be empty."""
    return shortened(" ".join(_UNSEEN.sub(" ", text).split()), limit)


def shortened(text: str, limit: int, size: Size = utf16_units) -> str:
    """The text, or as much of its beginning as goes into `limit` with an ellipsis."""
    if size(text) <= limit:
        return text
    return text[: limit // 2 - 1].rstrip() + "…"


def escaped(text: str) -> str:
    """A line of text that markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", text)
