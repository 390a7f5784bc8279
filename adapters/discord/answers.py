"""What a command answers, as messages of Discord: a few, or else a file. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from adapters.base import OutgoingFile
from adapters.discord.draft import MESSAGE_UNITS
from adapters.tables import columns_as_code, tables_as_code
from adapters.text import pieces, without_mass_mentions

MOST_PAGES: Final = 5
"""Follow-ups to one interaction; who wants more is better served by a file."""
FILE_NAME: Final = "answer.txt"
IN_THE_FILE: Final = "This answer is long: all of it is in the file."
NOTHING: Final = "There is nothing to say about this."
"""Discord takes no empty message."""


@dataclass(frozen=True)
class Answered:
    """The texts of the messages, at least one, and the file that goes with the first where they do not hold it all."""

    pages: Sequence[str]
    file: OutgoingFile | None = None


def answered(text: str) -> Answered:
    """The answer as MOST_PAGES messages at most, or as one with a file."""
    begun = list(islice(_pages(text), MOST_PAGES + 1))
    if len(begun) <= MOST_PAGES:
        return Answered(begun or [NOTHING])
    data = text.encode("utf-8", "replace")
    return Answered([IN_THE_FILE], OutgoingFile(FILE_NAME, "text/plain; charset=utf-8", data))


def pages(text: str) -> list[str]:
    """All of the answer in messages of MESSAGE_UNITS at most; tables are code, as only that keeps their columns."""
    return list(_pages(text))


def _pages(text: str) -> Iterator[str]:
    return pieces(tables_as_code(columns_as_code(without_mass_mentions(text))), MESSAGE_UNITS)
