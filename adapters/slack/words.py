"""The words of a command as people type them on Slack. Pure.

Slack escapes whom and what a text names (its documentation, Formatting message text); phones put curly quotes and long
dashes in the place of plain ones.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from adapters.slack.escapes import unescaped, unescaped_around

MAX_CHARS: Final = 12_000
"""Of a text that is looked at: Slack takes no longer command."""

_PIECE: Final = re.compile(r"<[^<>\s][^<>\n]{0,2000}>|[^\s]")
_NAME: Final = re.compile(r"(?P<dashes>--|[—–])?(?P<name>[A-Za-z][A-Za-z0-9_-]{0,40})(?P<sign>[:=]?)")
_CLOSING: Final = {
    '"': '"', "'": "'", "“": "”“", "”": "”", "„": "“”", "«": "»", "‘": "’‘", "’": "’", "‚": "‘’",
}  # fmt: skip
"""Which quotes close what one of them opens."""


@dataclass(frozen=True)
class Word:
    """A word, or what stands in quotes, from `start` to `end` of the text. `name` is that of the option which it is
    given to, where it says one; a `bare` one names the option and holds nothing."""

    value: str
    start: int
    end: int
    name: str = ""
    bare: bool = False


def words(text: str, names: Container[str] = ()) -> list[Word]:
    """All words of a text, of which those that begin with one of `names` are options: `name:value`, `name=value`, and
    `--name value`."""
    text = text[:MAX_CHARS]
    found: list[Word] = []
    position = 0
    while (word := _word(text, position, names)) is not None:
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


def _word(text: str, position: int, names: Container[str]) -> Word | None:
    start = _skipped(text, position)
    if start == len(text):
        return None
    named = _NAME.match(text, start)
    if named is None or (name := named["name"].lower().replace("-", "_")) not in names:
        return _valued(text, start, start, "")
    if named["sign"]:
        return _valued(text, start, named.end(), name)
    if not named["dashes"] or _ends(text, named.end()) != named.end():
        return _valued(text, start, start, "")
    behind = _skipped(text, named.end())
    following = _NAME.match(text, behind)
    if behind == len(text) or (following is not None and following["dashes"]):
        return Word("", start, named.end(), name, bare=True)
    return _valued(text, start, behind, name)


def _valued(text: str, start: int, at: int, name: str) -> Word:
    """The word whose value begins `at` a place."""
    closers = _CLOSING.get(text[at : at + 1], "")
    ends = [end for each in closers if (end := _closed(text, at + 1, each)) is not None]
    if ends:
        return Word(resolved(text[at + 1 : min(ends)]), start, min(ends) + 1, name)
    end = _ends(text, at)
    return Word(resolved(text[at:end]), start, end, name)


def _closed(text: str, at: int, closer: str) -> int | None:
    """Where a quote ends that is followed by white space or nothing: an apostrophe is none."""
    end = text.find(closer, at)
    while end != -1:
        if end + 1 == len(text) or text[end + 1].isspace():
            return end
        end = text.find(closer, end + 1)
    return None


def _ends(text: str, at: int) -> int:
    """Behind the last character of a word; what Slack has escaped is one, with the spaces in it."""
    while (piece := _PIECE.match(text, at)) is not None:
        at = piece.end()
    return at


def _skipped(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
