"""The lines of a markdown text, each with how well the text can be cut before it, and what is open there. Pure.

This is no parser: it knows what a cut must respect, which is fences, lists and tables, and reads each line once. Fences
are those of CommonMark (https://spec.commonmark.org/0.31.2/#fenced-code-blocks), at any indentation, because
platforms do not count it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

Size = Callable[[str], int]
"""How a platform measures a text. The sum over its pieces is the size of the whole; a character counts 1 to 4."""
GUARD: Final = "\N{ZERO WIDTH SPACE}"
"""Before a line that would otherwise begin something which its author did not write there."""
BLANK_LINES: Final = 50
"""More of them than these, one behind the other, are not kept."""
INFO_CHARS: Final = 40
"""A longer info string is not repeated."""

_FENCE: Final = re.compile(
    r"(?P<lead>[ \t]*+(?:>[ \t]*+)*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+)(?P<mark>`{3,}+|~{3,}+)(?P<info>.*)",
    re.DOTALL,
)
_ITEM: Final = re.compile(r"(?P<indent>[ \t]*+)(?:[-*+]|(?P<number>\d{1,9})(?P<mark>[.)]))(?:[ \t]|$)")
_HEADING: Final = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_BLOCK: Final = re.compile(r"[ \t]*+(?:[>#*+-]|\d{1,9}[.)]|`{3}|~{3})")
_DELIMITERS: Final = re.compile(r"[ \t]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+")
_BLANKS: Final = re.compile(r"\n(?:[^\S\n]*+\n)*+")
_RULE: Final = re.compile(r"[ \t]*+[-─=]{2}[-─=+|┼ \t]*+")


class Grade(IntEnum):
    """How well a text can be cut before a line, the best first."""

    PARAGRAPH = 0
    ITEM = 1
    """Between two items of a list."""
    SECTION = 2
    """Between two parts of an item, or of a piece of code."""
    LINE = 3
    INNER = 4
    """In the middle of an item, or behind a heading."""
    NEVER = 5
    """It would leave half of something."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What is open in a place. Who cuts there writes `closer` as a last line, and goes on with the lines of `opener`.
    `fence` tells one fence of a text from another, 0 for none; its lines lose `indent` where its first is missing."""

    opener: tuple[str, ...] = ()
    closer: str = ""
    fence: int = 0
    mark: str = ""
    quoted: bool = False
    indent: int = 0

    def ended_by(self, line: str) -> bool:
        """Whether the line closes the fence."""
        text = (line.lstrip(" \t>") if self.quoted else line.lstrip(" \t")).rstrip()
        return len(text) >= len(self.mark) and text == self.mark[0] * len(text)

    def guarded(self, rest: str) -> str:
        """The rest of a line that was cut in its middle, such that it does not pass for the beginning of one."""
        marks = rest.lstrip(" \t>").startswith(self.mark) if self.fence else _BLOCK.match(rest) is not None
        guarded = GUARD + rest if marks else rest
        return f"> {guarded}" if self.quoted else guarded


NOTHING: Final = Frame()


def opening(line: str) -> re.Match[str] | None:
    """The `lead`, the `mark` and the `info` of a line that opens a fence, None for any other."""
    fence = _FENCE.match(line)
    return None if fence is None or (fence["mark"][0] == "`" and "`" in fence["info"]) else fence


@dataclass(frozen=True, slots=True)
class Line:
    """`numbered` is the line as it reads where the beginning of its list is missing. `inside` is what is open in the
    middle of the line, and `after` what is open behind it."""

    text: str
    grade: Grade
    inside: Frame = NOTHING
    after: Frame = NOTHING
    numbered: str = ""

    @property
    def blank(self) -> bool:
        """Whether there is nothing to see, and no fence that it could belong to."""
        return not self.inside.fence and not self.text.strip()


def lines(text: str, limit: int, size: Size) -> Iterator[Line]:
    """The lines of a text that is to be cut into pieces of `limit` by `size`, as far as they are asked for."""
    reader = _Reader(limit, size)
    held: str | None = None
    for following in itertools.chain(_raw(text), ("",)):
        if held is not None:
            if ended := reader.end_of_quotation(held):
                yield ended
            yield reader.read(held, following)
        held = following


def _raw(text: str) -> Iterator[str]:
    start = blanks = 0
    while (end := text.find("\n", start)) >= 0:
        line = text[start:end]
        blanks = 0 if line and not line.isspace() else blanks + 1
        if blanks <= BLANK_LINES:
            yield line.removesuffix("\r")
        elif more := _BLANKS.match(text, end):
            end = more.end() - 1
        start = end + 1
    yield text[start:]


class _Reader:
    """Goes through a text line by line, with a look at the following one."""

    def __init__(self, limit: int, size: Size) -> None:
        self._size = size
        self._long = limit // 16
        """Lines of no more characters are never cut in their middle, whatever a character counts."""
        self._mark_chars = max(3, limit // 8)
        self._header_room = limit // 4
        """Of a table's header. All that opens a piece takes half of it at most, and what closes it an eighth."""
        self._frame = NOTHING
        self._row = 0
        """Of a fence or a table: the number of the line in it."""
        self._last = ""
        self._after_heading = False
        self._after_fence = False
        self._fences = 0
        self._list = _List()

    def end_of_quotation(self, line: str) -> Line | None:
        """The end of a quoted fence that is missing, where the line before which it belongs is quoted no more."""
        if not self._frame.quoted or line.lstrip().startswith(">"):
            return None
        closer = Line(self._frame.closer, Grade.NEVER, self._frame)
        self._leave()
        return closer

    def read(self, line: str, following: str) -> Line:
        """The next line."""
        read = self._code(line) if self._frame.fence else self._prose(line, following)
        self._last = line
        return read

    def _code(self, line: str) -> Line:
        frame = self._frame
        if frame.mark in line:
            if frame.ended_by(line) and len(line.strip()) <= self._mark_chars:
                self._leave()
                return Line(line.strip() if self._cuttable(line) else line.rstrip(), Grade.NEVER, frame)
            inner = line.lstrip(" \t>")
            if self._cuttable(line) and inner.startswith(frame.mark):
                line = f"{line[: len(line) - len(inner)]}{GUARD}{inner}"
        self._row += 1
        grade = Grade.SECTION if not self._last.strip() and line[:1].strip() else Grade.LINE
        if self._row <= 1:
            grade = Grade.NEVER
        elif self._row == 2 and _RULE.fullmatch(line) and self._repeatable(line):
            # A table that was laid out as code: whoever reads on wants its header.
            self._frame = replace(frame, opener=(*frame.opener, self._last, line))
            grade = Grade.NEVER
        elif self._row == 3 and len(frame.opener) > 1:
            grade = Grade.NEVER
        return Line(line, grade, self._frame if self._row > 2 else frame, self._frame)

    def _leave(self) -> None:
        self._frame = NOTHING
        self._row = 0
        self._after_fence = True

    def _prose(self, line: str, following: str) -> Line:
        marked = "```" in line or "~~~" in line
        if marked and (fence := opening(line)):
            if len(fence["lead"].rstrip() + fence["mark"]) <= self._mark_chars:
                return self._open(line, fence)
            line = GUARD + line
        elif marked and self._cuttable(line) and _FENCE.match(line):
            line = GUARD + line
        if "|" in line:
            if self._row:
                return self._table_row(line)
            if "-" in following and "|" in following and _DELIMITERS.fullmatch(following):
                self._row = 1
                return Line(line, self._judged(Grade.PARAGRAPH))
        self._frame, self._row = NOTHING, 0
        return self._text(line) if line.strip() else Line(line, self._before_blank())

    def _cuttable(self, line: str) -> bool:
        return len(line) > self._long

    def _repeatable(self, line: str) -> bool:
        """Whether there is room for the header above the line in every piece of its table."""
        return self._size(self._last) + self._size(line) + 2 <= self._header_room

    def _open(self, line: str, fence: re.Match[str]) -> Line:
        lead, mark, info = fence["lead"], fence["mark"], fence["info"].strip()
        if len(info) > INFO_CHARS or self._size(info) > self._mark_chars:
            info = ""
        within = Grade.SECTION if self._list.open and lead[:1].isspace() else Grade.PARAGRAPH
        grade = self._judged(self._list.grade(line) or within)
        closer = f"> {mark}" if ">" in lead else mark
        indent = 0 if ">" in lead else len(lead.expandtabs(4))
        self._fences += 1
        self._row = 0
        self._frame = Frame((closer + info,), closer, self._fences, mark, ">" in lead, indent)
        # Cut within its info string, the fence goes on with none.
        return Line(line, grade, replace(self._frame, opener=(closer,)), self._frame)

    def _table_row(self, line: str) -> Line:
        self._row += 1
        before = self._frame
        if self._row == 2 and self._repeatable(line):
            self._frame = Frame((self._last, line))
        return Line(
            line,
            Grade.LINE if self._row > 3 else Grade.NEVER,
            NOTHING,
            self._frame if self._row > 2 else before,
        )

    def _before_blank(self) -> Grade:
        if self._after_heading or not self._last.strip():
            return Grade.INNER
        return Grade.SECTION if self._list.open else Grade.PARAGRAPH

    def _text(self, line: str) -> Line:
        heading = "#" in line and _HEADING.match(line) is not None
        grade = self._list.grade(line)
        if grade is None:
            if not self._last.strip() or self._after_fence or heading:
                self._list.leave(line, sure=heading)
                grade = Grade.SECTION if self._list.open else Grade.PARAGRAPH
            else:
                grade = Grade.INNER if self._list.open else Grade.LINE
        judged = self._judged(grade)
        self._after_heading = heading
        return Line(line, judged, numbered=self._list.numbered)

    def _judged(self, grade: Grade) -> Grade:
        """What follows a heading stays with it."""
        judged = Grade.INNER if self._after_heading else grade
        self._after_heading = self._after_fence = False
        return judged


class _List:
    """The list that the reader is in."""

    def __init__(self) -> None:
        self.open = False
        self.numbered = ""
        self._indent = 0
        self._numbers: dict[int, tuple[str, int]] = {}
        """By indentation: the number as it was written last, and the one that is meant."""

    def grade(self, line: str) -> Grade | None:
        """The grade of an item, None for any other line."""
        self.numbered = ""
        item = _ITEM.match(line)
        if item is None:
            return None
        indent = len(item["indent"].expandtabs(4))
        for deeper in [each for each in self._numbers if each > indent]:
            del self._numbers[deeper]
        if item["number"]:
            self._count(line, item, indent)
        else:
            self._numbers.pop(indent, None)
        if not self.open:
            self.open, self._indent = True, indent
            return Grade.LINE
        if indent <= self._indent:
            self._indent = indent
            return Grade.ITEM
        return Grade.SECTION

    def leave(self, line: str, *, sure: bool) -> None:
        """A line that is no item comes behind a blank one."""
        if sure or len(line) - len(line.lstrip()) <= self._indent:
            self.open = False
            self._numbers.clear()

    def _count(self, line: str, item: re.Match[str], indent: int) -> None:
        written, mark = item["number"], item["mark"]
        before = self._numbers.get(indent)
        # Who writes 1. before each item leaves the counting to whoever shows it.
        meant = before[1] + 1 if before and before[0] == written + mark else int(written)
        self._numbers[indent] = (written + mark, meant)
        if meant != int(written):
            self.numbered = f"{item['indent']}{meant}{line[item.end('number') :]}"
