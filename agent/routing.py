"""The routing extractor: which part of an answer goes where. Pure.

An answer is text for whoever asked. Two tags change that, wherever they stand outside a ``` fence:

    <message to="name">...</message>    goes to the destination of that name, as a message of its own
    <internal>...</internal>            is shown to nobody

No reply is ever lost to a slip in a tag. A name that nobody knows makes no tag: it stays in the text, as a
stray closing tag does. A block that is not closed ends where the next one begins, or with the answer. An
<internal> that is never closed loses the tag alone, and what follows it is shown. A fence opens with three
or more backticks at the start of a line and closes with at least as many, at the start of a line or on the
line on which it was opened; one that is never closed holds the rest of the answer.

`address` and `LiveText` read through the same `_Scanner`, so what was shown live is how the reply begins.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from agent.protocol.messages import Route

MAX_HELD_CHARS: Final = 256
"""The most that `LiveText` holds back until it knows what it is."""

_TAG: Final = r"""
    <\s{0,8} message \s{1,8} to \s{0,8} = \s{0,8}
        (?: "\s{0,8}(?P<double>[^\s"'<>`]{1,100})\s{0,8}" | '\s{0,8}(?P<single>[^\s"'<>`]{1,100})\s{0,8}' )
        \s{0,8}>
  | <\s{0,8} / \s{0,8} (?P<end>message) \s{0,8}>
  | <\s{0,8} (?P<hide>internal) \s{0,8}>
  | <\s{0,8} / \s{0,8} (?P<unhide>internal) \s{0,8}>
"""
# Every repetition is bounded and none can take a "<", so a search is linear and a tag is shorter than
# MAX_HELD_CHARS; `maybe` takes every beginning of a tag.
_TAGS: Final = re.compile(_TAG, re.VERBOSE)
_TAGS_OR_BEGINNING: Final = re.compile(
    _TAG + r"| (?P<maybe> <\s{0,8} (?: /?\s{0,8}[a-z]{0,8}\s{0,8} | message\s[^<>]{0,200} ) \Z )", re.VERBOSE
)
_FENCE_PIECES: Final = re.compile(r"`+|\n|[^`\n]+")


@dataclass(frozen=True)
class Addressed:
    """A reply and where it goes. `to` is the name that the agent wrote; None is whoever asked."""

    route: Route
    text: str
    to: str | None


def address(answer: str, origin: Route, destinations: Mapping[str, Route]) -> list[Addressed]:
    """The replies in `answer`, in the order in which they begin.

    All that is meant for the origin is one reply, its pieces joined by a blank line. Texts are stripped, and
    a reply without text is none.
    """
    replies: list[Addressed] = []
    home: list[str] = []
    place = 0
    for to, text in _pieces(answer, destinations):
        if to is not None:
            replies.append(Addressed(destinations[to], text, to))
            continue
        if not home:
            place = len(replies)
        home.append(text)
    if home:
        replies.insert(place, Addressed(origin, "\n\n".join(home), None))
    return replies


class LiveText:
    """What may be shown of one answer while it is being written, for the place that asked.

    At every moment, however the answer was cut into deltas, all that `feed` has returned is exactly how the
    text of the origin's reply begins that `address` will find. Once that can no longer be kept up within
    MAX_HELD_CHARS, it is `muted` and returns nothing more.
    """

    def __init__(self, destinations: Container[str]) -> None:
        self._scanner = _Scanner(destinations)
        self._here = True
        self._begun = False
        self._new_piece = True
        self._space = ""
        self.muted = False

    def feed(self, delta: str) -> str:
        """The text that has become certain with `delta`, often none."""
        if self.muted:
            return ""
        shown: list[str] = []
        for token in self._scanner.feed(delta):
            if isinstance(token, _Turn):
                self._here, self._new_piece, self._space = token.to is None, True, ""
            elif self._here:
                shown.append(self._show(token))
        self.muted = len(self._space) > MAX_HELD_CHARS
        return "".join(shown)

    def _show(self, text: str) -> str:
        """Whitespace waits for the text after it, for at the end of a piece it is stripped."""
        text = text.lstrip() if self._new_piece else self._space + text
        body = text.rstrip()
        self._space = text[len(body) :]
        if not body:
            return ""
        gap = "\n\n" if self._new_piece and self._begun else ""
        self._new_piece, self._begun = False, True
        return gap + body


@dataclass(frozen=True)
class _Turn:
    """From here on, text is for `to`."""

    to: str | None


def _pieces(answer: str, names: Container[str]) -> Iterator[tuple[str | None, str]]:
    to: str | None = None
    texts: list[str] = []
    for token in (*_Scanner(names).feed(answer, whole=True), _Turn(None)):
        if isinstance(token, str):
            texts.append(token)
            continue
        if text := "".join(texts).strip():
            yield to, text
        to, texts = token.to, []


class _Scanner:
    """Cuts an answer into texts and turns, chunk by chunk; what may yet become a tag waits in `_held`."""

    def __init__(self, names: Container[str]) -> None:
        self._names = names
        self._held = ""
        self._to: str | None = None
        self._hidden = False
        self._fence = _Fence()

    def feed(self, chunk: str, *, whole: bool = False) -> Iterator[str | _Turn]:
        """What has become certain. With `whole`, `chunk` is all there is, and nothing is held back."""
        text, at, self._held = self._held + chunk, 0, ""
        # While the end is not in sight, an <internal> may still be closed.
        last_unhide = _last_unhide(text) if whole else len(text)
        for tag in (_TAGS if whole else _TAGS_OR_BEGINNING).finditer(text):
            yield from self._text(text[at : tag.start()])
            at = tag.end()
            if self._hidden:
                self._hidden = tag.lastgroup != "unhide"
                self._held = tag[0] if tag.lastgroup == "maybe" else ""
            elif self._fence.holds("<"):
                yield from self._text(tag[0])
            elif tag.lastgroup == "maybe":
                self._held = tag[0]
            elif tag.lastgroup == "hide":
                self._hidden = tag.start() < last_unhide
            else:
                yield self._turn(tag) or self._literal(tag[0])
        yield from self._text(text[at:])

    def _text(self, text: str) -> Iterator[str]:
        if text and not self._hidden:
            yield self._literal(text)

    def _literal(self, text: str) -> str:
        self._fence.add(text)
        return text

    def _turn(self, tag: re.Match[str]) -> _Turn | None:
        """None for a tag that opens or closes nothing."""
        name = tag["double"] or tag["single"]
        if name is not None and name in self._names:
            self._to = name
        elif tag.lastgroup == "end" and self._to is not None:
            self._to = None
        else:
            return None
        self._fence = _Fence()
        return _Turn(self._to)


def _last_unhide(text: str) -> int:
    return max((tag.start() for tag in _TAGS.finditer(text) if tag.lastgroup == "unhide"), default=-1)


class _Fence:
    """Whether the text so far ends inside a ``` fence."""

    def __init__(self) -> None:
        self._run = 0  # backticks at the very end of the text so far
        self._opened = 0  # length of the run that opened the fence, 0 outside of one
        self._same_line = False  # still on the line on which the fence was opened
        self._blank = True  # nothing but blanks on this line, before the run

    def add(self, text: str) -> None:
        for match in _FENCE_PIECES.finditer(text):
            piece = match[0]
            if piece[0] == "`":
                self._run += len(piece)
                continue
            self._settle(piece[0])
            if piece == "\n":
                self._blank, self._same_line = True, False
            elif not piece.isspace():
                self._blank = False

    def holds(self, upcoming: str) -> bool:
        """Whether `upcoming`, the next character, stands inside a fence."""
        self._settle(upcoming)
        return self._opened > 0

    def _settle(self, upcoming: str) -> None:
        """A run of backticks counts when it is over. ```name at the start of a line closes nothing."""
        run, self._run = self._run, 0
        if run == 0:
            return
        if self._opened == 0:
            if run >= 3 and self._blank:
                self._opened, self._same_line = run, True
        elif run >= self._opened and (self._same_line or (self._blank and not upcoming.isalnum())):
            self._opened = 0
        self._blank = False
