"""Tables of markdown for a platform that shows none: laid out as code, or as a list where they are too wide. Pure.

What is a table is GitHub's (https://github.github.com/gfm/#tables-extension-), as markdown-it-py reads it. How wide
a character is comes from `unicodedata`: two columns for East Asian wide ones, which emoji are, none for what combines.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from adapters.lines import Frame, opening

WIDTH_COLUMNS: Final = 80
"""Of a table that is laid out as code: a window of a chat is hardly wider."""
MAX_TABLE_CHARS: Final = 12_000
"""Of all tables of a text together, for the time that it takes. What does not fit stays as it was written."""
MAX_TABLES: Final = 100
MIN_CELL_COLUMNS: Final = 3
NAME_COLUMNS: Final = 60
"""Of a name that is repeated before each value."""
MAX_CELL_CHARS: Final = 1_000
"""Of a cell of which the markup is read."""
LONG_CELL: Final = 2
"""How many times as long as the table may be wide."""
NO_VALUE: Final = "–"

_IN_COLUMNS: Final = re.compile(r"^ {2,}\S|\S {2,}\S")
_FENCE: Final = re.compile(r"^\s*(?:```|~~~)")
_FENCE_LINE: Final = "```"
_EVENTS: Final = re.compile(
    r"^(?:(?P<rule>[ \t]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t\r]*+)"
    r"|[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+(?:```|~~~)[^\n]*+)$",
    re.MULTILINE,
)
"""The lines that a table can have as its second, and those that could begin or end a fence."""
_ROWS: Final = re.compile(r"(?:\n[^\n|]*+\|[^\n]*+)*+")
_CODE: Final = re.compile(r"(?<!`)(`{1,3})(?!`)[^`]++\1(?!`)")
_PIPE: Final = re.compile(r"(?<!\\)\|")
_BREAK: Final = re.compile(r"<br[ \t]*/?>", re.IGNORECASE)
_MARKUP: Final = re.compile(r"[\\`*_\[\]<>&~!]")


Align = Literal["left", "center", "right"]


@dataclass(frozen=True)
class Table:
    """The cells of a table as they were written, all rows as long as the header. `align` says for each column how
    it is to be aligned: left, where nothing is said."""

    header: list[str]
    align: list[Align]
    rows: list[list[str]]

    @property
    def right(self) -> list[bool]:
        """Which columns are aligned to the right."""
        return [each == "right" for each in self.align]


def tables_as_code(text: str, width: int = WIDTH_COLUMNS) -> str:
    """The text with its tables laid out as code, or as "name: value" where one would have more than `width` columns.
    What is written in a cell is kept, its markup is not. A table that holds more than would be shown stays as it is.
    """
    parts = parted(text)
    return "".join(part if isinstance(part, str) else shown(part, width) for part in parts)


def parted(text: str, most: int = MAX_TABLE_CHARS) -> list[str | Table]:
    """The tables of a text, and what stands around them, in their order. Those that have no room in `most`
    characters together stay as they were written."""
    parts: list[str | Table] = []
    position, left = 0, most
    parser: MarkdownIt | None = None
    for start, end in itertools.islice(_candidates(text), MAX_TABLES):
        if end - start > left:
            continue
        left -= end - start
        parser = parser or _parser()
        if found := _read(text[start:end], parser):
            table, length = found
            parts += (text[position:start], table)
            position = start + length
    return [*parts, text[position:]]


def plain_rows(table: Table) -> list[list[str]]:
    """The rows of a table, the header first, each cell in one line and without its markup. One with more than
    MAX_CELL_CHARS keeps it: to look for its end would take long."""
    plain = _plain()
    return [
        [plain(cell) if len(cell) <= MAX_CELL_CHARS else " ".join(cell.split()) for cell in row]
        for row in (table.header, *table.rows)
    ]


def shown(table: Table, width: int = WIDTH_COLUMNS) -> str:
    """A table as code, or as a list where it would be wider than `width` columns."""
    plain = _plain()
    cells = itertools.chain(table.header, *table.rows)
    if any(len(cell) > width * LONG_CELL for cell in cells):
        # No markup is that long, and to look for its end would take long as well.
        return _as_list([plain(name) if len(name) <= width else name for name in table.header], table.rows)
    rows = [[plain(cell) for cell in row] for row in (table.header, *table.rows)]
    widths = [max(MIN_CELL_COLUMNS, *map(columns, column)) for column in zip(*rows, strict=True)]
    if sum(widths) + 3 * (len(widths) - 1) > width:
        return _as_list(rows[0], table.rows)
    head, *body = ["  ".join(_padded(row, widths, table.right)).rstrip() for row in rows]
    return "\n".join(("```", head, "  ".join("-" * each for each in widths), *body, "```"))


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    count, joined = 0, False
    for character in text:
        if not joined and unicodedata.category(character) not in ("Mn", "Me", "Cf"):
            count += 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
        joined = character == "\N{ZERO WIDTH JOINER}"
    return count


def _candidates(text: str) -> Iterator[tuple[int, int]]:
    """Where a table may begin that is not in a fence, and the end of the lines that can be its own. None overlaps
    another, so that whatever somebody writes is parsed once."""
    if "|" not in text:
        return
    fence: Frame | None = None
    end = 0
    for event in _EVENTS.finditer(text):
        if event["rule"] is None:
            if fence is not None:
                fence = None if fence.ended_by(event[0]) else fence
            elif opened := opening(event[0]):
                fence = Frame(mark=opened["mark"], quoted=">" in opened["lead"])
        elif fence is None and "|" in event[0] and event.start() > end:
            start = text.rfind("\n", 0, event.start() - 1) + 1
            if "|" in text[start : event.start()]:
                rows = _ROWS.match(text, event.end())
                end = rows.end() if rows else event.end()
                yield start, end


def _read(source: str, parser: MarkdownIt) -> tuple[Table, int] | None:
    """The table with which the source begins, and how many characters it takes. None where it is none, or has cells
    beyond its header: who goes by the book does not show them, but here nothing is lost."""
    lines = source.split("\n")
    indent = len(source) - len(source.lstrip(" \t"))
    lines = [line[min(indent, len(line) - len(line.lstrip(" \t"))) :] for line in lines]
    for cells in (lines, [_CODE.sub(_escaped, line) for line in lines]):
        tokens = parser.parse("\n".join(cells))
        if not tokens or tokens[0].type != "table_open" or tokens[0].map is None:
            return None
        taken = "\n".join(source.split("\n")[: tokens[0].map[1]])
        table = _table(tokens)
        if _letters(taken) == sum(_letters(cell) for row in (table.header, *table.rows) for cell in row):
            return table, len(taken)
    return None


def _escaped(code: re.Match[str]) -> str:
    """Many write a | within code as if it ended no cell."""
    return _PIPE.sub(r"\\|", code[0])


def _table(tokens: list[Token]) -> Table:
    rows: list[list[str]] = []
    align: list[Align] = []
    for before, token in itertools.pairwise(tokens):
        if before.type == "tr_open":
            rows.append([])
        if token.type == "inline" and before.type in ("th_open", "td_open"):
            rows[-1].append(token.content)
            if before.type == "th_open":
                style = str(before.attrGet("style"))
                align.append("right" if "right" in style else "center" if "center" in style else "left")
        if token.type == "table_close":
            break
    header, *others = rows
    return Table(header, align, others)


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _plain() -> Callable[[str], str]:
    """What shows a cell without its markup, in one line, and such that it ends no fence."""
    parser = MarkdownIt("commonmark").enable("strikethrough")

    def plain(cell: str) -> str:
        cell = _BREAK.sub(" ", cell)
        if _MARKUP.search(cell):
            (inline,) = parser.parseInline(cell)
            cell = "".join(_words(inline.children or []))
        cell = " ".join(cell.split())
        return cell.replace("```", "`\N{ZERO WIDTH SPACE}`\N{ZERO WIDTH SPACE}`")

    return plain


def _words(tokens: list[Token]) -> Iterator[str]:
    target = ""
    for token in tokens:
        match token.type:
            case "link_open":
                target = "" if token.info == "auto" else str(token.attrGet("href") or "")
            case "link_close":
                yield f" ({target})" if target else ""
            case "image":
                yield f"{token.content} ({token.attrGet('src')})"
            case "softbreak" | "hardbreak":
                yield " "
            case _:
                yield token.content


def _padded(row: list[str], widths: list[int], right: list[bool]) -> Iterator[str]:
    for cell, width, to_the_right in zip(row, widths, right, strict=True):
        room = " " * (width - columns(cell))
        yield room + cell if to_the_right else cell + room


def _as_list(names: list[str], rows: list[list[str]]) -> str:
    """A block of lines for each row. The first names every column, the others those that have a value."""
    names = [name or str(number) for number, name in enumerate(names, 1)]
    blocks = []
    for index, row in enumerate(rows or [[""] * len(names)]):
        pairs = [(name, cell) for name, cell in zip(names, row, strict=True) if cell or not index]
        blocks.append("\n".join(_pair(name, cell, whole=not index) for name, cell in pairs))
    return "\n\n".join(block for block in blocks if block)


def _pair(name: str, value: str, *, whole: bool) -> str:
    if not whole and len(name) > NAME_COLUMNS:
        name = f"{name[: NAME_COLUMNS - 1]}…"
    return f"**{name}:** {value or NO_VALUE}"


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
