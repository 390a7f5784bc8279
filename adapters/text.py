"""Text for the people of a chat platform, made fit for it: cut where it reads well, and harmless to look at. Pure;
nothing here knows a platform, and everything takes time in proportion to the text."""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from adapters.lines import NOTHING, Frame, Grade, Line, Size, lines

MIN_LIMIT: Final = 100
NAME_CHARS: Final = 80
CLUSTER_CHARS: Final = 64
"""How far a letter of several characters is looked back for; nobody writes a longer one in good faith."""
LEAST_FILL: Final[Mapping[Grade, float]] = {
    Grade.PARAGRAPH: 0.5,
    Grade.ITEM: 0.25,
    Grade.SECTION: 0.5,
    Grade.LINE: 0.25,
    Grade.INNER: 0.25,
}
"""The share of the limit that a piece has at least when it is cut so: a better cut is not worth many small pieces."""

_UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
"""Controls, and what has no width or changes the direction of what is around it (Unicode's Default_Ignorable)."""
_MASS_MENTION: Final = re.compile(r"@(?=(?:everyone|here)\b)", re.IGNORECASE)
_MARKUP: Final = re.compile(r"([\\`*_~|<>\[\]()#:@-])")

_SENTENCE: Final = re.compile(r"""[.!?…]["')\]*_”’»]*+\s++|[。！？]""")
_JOINER: Final = "\N{ZERO WIDTH JOINER}"
_EXTENDS: Final = re.compile("[\U0001f3fb-\U0001f3ff\u1160-\u11ff\U000e0020-\U000e007f\u200c]")
"""Skin tones, the later letters of a Hangul syllable, tags, and the non-joiner."""


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
    """Cuts markdown into pieces of at most `limit`, as far as they are asked for. Each can be read by itself: a fence
    that is cut is closed and opened again, a table gets its header again, and a list is counted on.

    It is cut between paragraphs where that leaves no piece too small, else between items of a list, lines, sentences,
    words, and only at last within one. Nothing is lost but white space at the ends, and blank lines where there are
    more than anybody needs. What a piece holds depends on the text up to the line in which the next one begins, and
    in tables on the line behind it. Raises ValueError for a limit below MIN_LIMIT.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"a piece of {limit} is too small to hold a fence")
    return _Cutter(lines(text, limit, size), limit, size).pieces()


def without_mass_mentions(text: str) -> str:
    """`@everyone` and `@here` as words that call nobody: with a zero-width space behind the @."""
    return _MASS_MENTION.sub("@\N{ZERO WIDTH SPACE}", text)


def shown_name(text: str, limit: int = NAME_CHARS) -> str:
    """A name, or other words of a person within a sentence of ours: one line of at most `limit` UTF-16 units, and
    nothing in it that cannot be seen or that turns what is around it. May be empty."""
    seen = _UNSEEN.sub("", " ".join(text.split()))
    return shortened(" ".join(seen.split()), limit)


def shortened(text: str, limit: int, size: Size = utf16_units) -> str:
    """The text, or as much of its beginning as goes into `limit` with an ellipsis."""
    if size(text) <= limit:
        return text
    end = _fitting(text, limit - size("…"), size)
    return text[: _whole(text, end)].rstrip() + "…"


def escaped(text: str) -> str:
    """A line of text that markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", text)


class _Cutter:
    """Fills one piece after the other with lines; what was taken back comes again."""

    def __init__(self, source: Iterator[Line], limit: int, size: Size) -> None:
        self._source = source
        self._limit = limit
        self._size = size
        self._again: deque[Line] = deque()
        self._held: list[Line] = []
        self._fills: list[int] = []
        """How full the piece was before each line, without what opens it."""
        self._open = NOTHING
        self._first = True

    def pieces(self) -> Iterator[str]:
        self._begin(NOTHING)
        while (line := self._next()) is not None:
            if not self._first and (line.numbered or line.inside.indent):
                line = self._fitted(line)
            if not self._held and line.blank:
                continue
            cost = self._size(line.text) + 1
            closing = self._closing(line.after) if line.after.closer else 0
            if self._used + cost + closing <= self._limit + 1:
                self._held.append(line)
                self._fills.append(self._fill)
                self._fill += cost
                self._used += cost
            elif piece := self._cut(line):
                yield piece
        if self._held and (piece := self._piece(self._held, self._held[-1].after)):
            yield piece

    def _next(self) -> Line | None:
        return self._again.popleft() if self._again else next(self._source, None)

    def _begin(self, frame: Frame) -> None:
        self._open = frame
        self._held, self._fills = [], []
        self._fill = 0
        self._used = sum(self._size(line) + 1 for line in frame.opener)

    def _closing(self, frame: Frame) -> int:
        return self._size(frame.closer) + 1 if frame.closer else 0

    def _fitted(self, line: Line) -> Line:
        """As the line reads in a piece that is not the first."""
        if line.numbered:
            return replace(line, text=line.numbered, numbered="")
        if line.inside.indent and line.inside.fence == self._open.fence:
            indent = len(line.text) - len(line.text.lstrip())
            inside = replace(line.inside, indent=0)
            return replace(line, text=line.text[min(indent, line.inside.indent) :], inside=inside)
        return line

    def _cut(self, line: Line) -> str:
        """Ends the piece before the line, within it, or further up."""
        at = self._best(line)
        closes = line.inside.fence and not line.after.fence
        if at is None and not (closes and self._held):
            within = self._within(line)
            if within is not None:
                return within
        at = at or len(self._held)
        done, back = self._held[:at], self._held[at:]
        frame = done[-1].after
        self._again.extendleft(reversed([*back, line]))
        piece = self._piece(done, frame)
        self._begin(frame)
        return piece

    def _best(self, line: Line) -> int | None:
        """Before which line, counted in the piece, it reads best; None where it has to be in the middle of one."""
        grades = [each.grade for each in (*self._held[1:], line)]
        fills = [*self._fills[1:], self._fill]
        for grade, share in LEAST_FILL.items():
            least = self._limit * share
            for index in range(min(len(grades), len(self._held)) - 1, -1, -1):
                if fills[index] < least:
                    break
                if grades[index] == grade:
                    return index + 1
        return None

    def _within(self, line: Line) -> str | None:
        """The piece with the beginning of the line; None where there is no room for any of it."""
        room = self._limit - self._used - self._closing(line.inside)
        end = _fitting(line.text, room, self._size)
        if self._held and end < len(line.text) and end * 8 < self._limit:
            return None
        end = max(1, _readable_end(line.text, end))
        head, rest = line.text[:end], line.text[end:]
        if not line.inside.fence:
            rest = rest.lstrip()
        frame = line.inside if rest.strip() else line.after
        piece = self._piece([*self._held, replace(line, text=head)], frame)
        self._begin(frame)
        if rest.strip():
            rest = frame.guarded(rest)
            if not frame.fence and line.text.startswith(">"):
                rest = f"> {rest}"
            self._again.appendleft(replace(line, text=rest, grade=Grade.NEVER, numbered=""))
        return piece

    def _piece(self, held: list[Line], frame: Frame) -> str:
        self._first = False
        text = "\n".join(line.text for line in held)
        if not text.strip():
            return ""
        closer = (frame.closer,) if frame.closer else ()
        return "\n".join((*self._open.opener, text, *closer)).strip("\n").rstrip()


def _fitting(text: str, room: int, size: Size) -> int:
    """How many characters of the text go into the room."""
    low, high = 0, max(0, min(len(text), room))
    if size(text[:high]) <= room:
        return high
    while low + 1 < high:
        middle = (low + high) // 2
        if size(text[:middle]) <= room:
            low = middle
        else:
            high = middle
    return low


def _readable_end(text: str, end: int) -> int:
    """Where at or before `end` a line is best cut: behind a sentence, behind a word, or between two letters."""
    if text[end : end + 1].isspace():
        return end
    least = end // 2
    behind = [found.end() for found in _SENTENCE.finditer(text, least, end)]
    if behind:
        return behind[-1]
    for index in range(end, end // 4, -1):
        if text[index - 1].isspace():
            return index
    return _whole(text, end)


def _whole(text: str, end: int) -> int:
    """Where at or before `end` no letter is cut that is written with several characters, if there is such a place
    among the last few."""
    for index in range(end, max(0, end - CLUSTER_CHARS), -1):
        if not _joined(text, index):
            return index
    return end


def _joined(text: str, index: int) -> bool:
    """Whether the characters on both sides belong together: https://www.unicode.org/reports/tr29/, in short."""
    if index >= len(text) or index <= 0:
        return False
    before, after = text[index - 1], text[index]
    if after.isascii() and before.isascii():
        return False
    if "\U0001f1e6" <= after <= "\U0001f1ff":
        start = index
        while start > max(0, index - CLUSTER_CHARS) and "\U0001f1e6" <= text[start - 1] <= "\U0001f1ff":
            start -= 1
        return (index - start) % 2 == 1
    return (
        _JOINER in (before, after)
        or unicodedata.category(after) in ("Mn", "Me", "Mc")
        or _EXTENDS.match(after) is not None
        or ("\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff")
    )
