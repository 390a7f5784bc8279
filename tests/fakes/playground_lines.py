"""What a person types in a playground: who says what where, or what they do. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

ADDRESS: Final = re.compile(r"(?:(?P<who>\w+)\s+)?(?P<place>#[\w-]+|dm|t\d+)(?:\s+|$)")
"""`ada #general`, `#general`, `bob dm`, `ada t1`; "dm" alone would be a word of somebody's."""


class Unclear(Exception):
    """Raised when a line cannot be understood; the text is one sentence for whoever typed it."""


@dataclass(frozen=True)
class Kind:
    """What may follow a command: a message's or a button's number, a text. `spelt` is how it is typed."""

    spelt: str
    number: bool = False
    needs_number: bool = False
    needs_text: bool = False


@dataclass(frozen=True)
class Line:
    """A line, understood. `who` and `place` stand where they were named; `kind` is the name of one."""

    kind: str
    text: str = ""
    number: int | None = None
    who: str | None = None
    place: str | None = None


def understood(typed: str, people: Collection[str], kinds: Mapping[str, Kind]) -> Line | None:
    """What a line means; None for an empty one. Only a name of `people` is a speaker: any other is a word; what can
    be done stands in `kinds`. Raises Unclear."""
    rest = typed.strip()
    if not rest:
        return None
    who = place = None
    found = ADDRESS.match(rest)
    if found and (found["who"] in people or (found["who"] is None and found["place"] != "dm")):
        who, place, rest = found["who"], found["place"], rest[found.end() :]
    if not rest.startswith("/"):
        # An address alone is going there.
        return Line("say", rest, None, who, place) if rest else Line("in", place or "", None, who, place)
    word, _, rest = rest[1:].partition(" ")
    kind = kinds.get(word) if word != "say" else None
    if kind is None:
        raise Unclear(f"There is no /{word} here; /help lists what there is.")
    number, rest = _number(rest.strip()) if kind.number else (None, rest.strip())
    if (kind.needs_number and number is None) or (kind.needs_text and not rest):
        raise Unclear(f"That is {kind.spelt}.")
    return Line(word, rest, number, who, place)


def _number(text: str) -> tuple[int | None, str]:
    found = re.match(r"(\d+)(?:\s+|$)", text)
    return (int(found[1]), text[found.end() :]) if found else (None, text)
