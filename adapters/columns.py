"""What a command answers, made fit for letters of different widths: lines that are set in columns become code. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from adapters.tables import tables_as_code
from adapters.text import pieces, without_mass_mentions

_IN_COLUMNS: Final = re.compile(r"^ {2,}\S|\S {2,}\S")
_FENCE: Final = re.compile(r"^\s*(?:```|~~~)")
_FENCE_LINE: Final = "```"


def pages(text: str, limit: int) -> Iterator[str]:
    """All of an answer in pieces of `limit` at most; tables are code, as only that keeps their columns."""
    return pieces(tables_as_code(columns_as_code(without_mass_mentions(text))), limit)


def columns_as_code(text: str) -> str:
    """The text with lines that are set in columns, two or more in a row, in blocks of code."""
    done: list[str] = []
    held: list[str] = []
    fenced = False
    for line in text.split("\n"):
        is_fence = _FENCE.match(line) is not None
        if not fenced and not is_fence and _IN_COLUMNS.search(line):
            held.append(line)
            continue
        done += _block(held)
        held = []
        fenced ^= is_fence
        done.append(line)
    return "\n".join([*done, *_block(held)])


def _block(lines: Sequence[str]) -> list[str]:
    if len(lines) < 2:
        return list(lines)
    # What somebody has said, cut short in a column, must not end the block.
    guarded = [line.replace("```", "`\N{ZERO WIDTH SPACE}`\N{ZERO WIDTH SPACE}`") for line in lines]
    return [_FENCE_LINE, *guarded, _FENCE_LINE]
