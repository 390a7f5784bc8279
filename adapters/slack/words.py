"""The words of a command as people type them on Slack. Pure.

Slack escapes whom and what a text names (its documentation, Formatting message text); phones put curly quotes and long
dashes in the place of plain ones.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.slack.escapes import unescaped, unescaped_around

MAX_CHARS: Final = 12_000
"""Of a text that is looked at: Slack takes no longer command."""

_PIECE: Final = re.compile(r"<[^<>\s][^<>\n]{0,2000}>|[^\s]")
_MENTION: Final = re.compile(r"<(?:@|#|!subteam\^)([A-Z][A-Z0-9]{1,40})(?:\|[^<>]*)?>", re.ASCII)
_NAME: Final = re.compile(r"(?P<dashes>--|[—–])?(?P<name>[A-Za-z][A-Za-z0-9_-]{0,40})(?P<sign>[:=]?)")
_CLOSERS: Final = {
    '"': '"', "'": "'", "“": "”“", "”": "”", "„": "“”", "«": "»", "‘": "’‘", "’": "’", "‚": "‘’",
}  # fmt: skip
"""Which quotes close what one of them opens."""
_QUOTES: Final = frozenset("".join(_CLOSERS.values()))


@dataclass(frozen=True)
class Word:
    """A word, or what stands in quotes, from `start` to `end` of the text. `name` is that of the option which it is
    given to, where it says one; a `bare` one names the option and holds nothing. `raw` is its value as Slack has it,
    with its escapes."""

    value: str
    start: int
    end: int
    name: str = ""
    bare: bool = False
    raw: str = ""

    @property
    def named(self) -> str:
        """The id of the person, the group or the channel that it mentions; its value where it mentions none."""
        found = _MENTION.fullmatch(self.raw.strip())
        return self.value if found is None else found[1]


def words(text: str, names: Container[str] = (), flags: Container[str] = ()) -> list[Word]:
    """All words of a text, of which those that begin with one of `names` are options: `name:value`, `name=value`, and
    `--name value`; of the `flags` among these, `--name` holds nothing."""
    text = text[:MAX_CHARS]
    reader = _Reader(text, names, flags)
    found: list[Word] = []
    position = 0
    while (word := reader.word(position)) is not None:
        found.append(word)
        position = word.end
    return found


def resolved(text: str) -> str:
    """What Slack has escaped: a person's or channel's id, the words of a link."""

    def meant(found: re.Match[str]) -> str:
        inner, _, label = found[1].partition("|")
        if inner[:1] in ("@", "#"):
            return inner[1:]
        if inner[:1] == "!":
            return unescaped(label) or inner[1:]
        return unescaped(label or inner.removeprefix("mailto:"))

    return unescaped_around(text, meant)


class _Reader:
    """Reads one text, which it has looked through for closing quotes once."""

    def __init__(self, text: str, names: Container[str], flags: Container[str]) -> None:
        self._text = text
        self._names = names
        self._flags = flags
        self._closing = _closing(text)

    def word(self, position: int) -> Word | None:
        """The first one from a position on."""
        text, start = self._text, _skipped(self._text, position)
        if start == len(text):
            return None
        named = _NAME.match(text, start)
        if named is None or (name := named["name"].lower().replace("-", "_")) not in self._names:
            return self._valued(start, start, "")
        if named["sign"]:
            return self._valued(start, named.end(), name)
        if not named["dashes"] or _ends(text, named.end()) != named.end():
            return self._valued(start, start, "")
        behind = _skipped(text, named.end())
        following = _NAME.match(text, behind)
        if name in self._flags or behind == len(text) or (following is not None and following["dashes"]):
            return Word("", start, named.end(), name, bare=True)
        return self._valued(start, behind, name)

    def _valued(self, start: int, at: int, name: str) -> Word:
        """The word whose value begins `at` a place."""
        text = self._text
        ends = [end for each in _CLOSERS.get(text[at : at + 1], "") if (end := self._closed(at + 1, each))]
        if ends:
            raw = text[at + 1 : min(ends)]
            return Word(resolved(raw), start, min(ends) + 1, name, raw=raw)
        end = _ends(text, at)
        return Word(resolved(text[at:end]), start, end, name, raw=text[at:end])

    def _closed(self, at: int, closer: str) -> int | None:
        places = self._closing.get(closer, ())
        index = bisect_left(places, at)
        return places[index] if index < len(places) else None


def _closing(text: str) -> Mapping[str, Sequence[int]]:
    """Where each kind of quote may close: before white space, or at the end. An apostrophe within a word is none."""
    found: dict[str, list[int]] = {}
    for index, each in enumerate(text):
        if each in _QUOTES and (index + 1 == len(text) or text[index + 1].isspace()):
            found.setdefault(each, []).append(index)
    return found


def _ends(text: str, at: int) -> int:
    """Behind the last character of a word; what Slack has escaped is one, with the spaces in it."""
    while (piece := _PIECE.match(text, at)) is not None:
        at = piece.end()
    return at


def _skipped(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
