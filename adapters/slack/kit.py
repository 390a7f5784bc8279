"""The blocks of Slack's Block Kit that Roost makes, and how much each of them holds. Pure.

Slack's documentation, Reference, Blocks; the sum of all blocks of a message is nowhere said, and is refused
(`msg_blocks_too_long`) from about 13,000 characters on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from adapters.slack.mrkdwn import messages
from adapters.tables import Table, plain_rows, shown
from adapters.text import shortened, utf16_units

MESSAGE_CHARS: Final = 12_000
"""Of all markdown blocks of a message together, and of what one addition to a stream carries."""
BLOCKS: Final = 50
SECTION_CHARS: Final = 3_000
HEADER_CHARS: Final = 150
SMALL_CHARS: Final = 300
"""Slack has no limit of its own for a line in small print: longer than this nobody reads one."""
FIELD_CHARS: Final = 2_000
FIELDS: Final = 10
"""In one section."""
TABLE_ROWS: Final = 100
TABLE_COLUMNS: Final = 20
TABLE_CHARS: Final = 10_000
"""Of all cells of a message. A message has one table at most."""
NOTHING: Final = "\N{ZERO WIDTH SPACE}"
"""Slack takes no empty cell, field or header."""

Block = dict[str, Any]


def markdown(text: str) -> Block:
    """A text in markdown, which Slack lays out itself."""
    return {"type": "markdown", "text": text}


def header(text: str) -> Block:
    """One line, large."""
    return {"type": "header", "text": plain(text, HEADER_CHARS)}


def plain(text: str, limit: int) -> Block:
    """A text of so many characters at most, in which nothing is markup."""
    return {"type": "plain_text", "text": shortened(text, limit, len) or NOTHING, "emoji": False}


def sections(text: str) -> list[Block]:
    """A text in markdown as sections, which come back from Slack as they were sent. No more is made of their words than
    we have: verbatim."""
    return [section(each) for each in messages(text, SECTION_CHARS)]


def section(text: str) -> Block:
    """At most SECTION_CHARS of mrkdwn."""
    return {"type": "section", "text": words(text)}


def small(text: str) -> Block:
    """One line in small print, in which nothing is markup."""
    return {"type": "context", "elements": [plain(text, SMALL_CHARS)]}


def words(text: str) -> Block:
    """The same without the section around it, as it stands in a field."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def table(rows: list[list[str]], align: list[str]) -> Block:
    """Rows of cells that Slack has room for, the header first."""
    return {
        "type": "table",
        "rows": [[{"type": "raw_text", "text": cell or NOTHING} for cell in row] for row in rows],
        "column_settings": [{"align": each, "is_wrapped": True} for each in align],
    }


def source(blocks: list[Block]) -> Iterator[tuple[str, bool]]:
    """The words of blocks of ours, each with whether it is mrkdwn already: what can be said without any block."""
    for block in blocks:
        match block.get("type"):
            case "markdown":
                yield str(block["text"]), False
            case "table":
                rows = [[str(cell["text"]).replace("|", "\\|") for cell in row] for row in block["rows"]]
                align = [each["align"] for each in block["column_settings"]]
                yield shown(Table(rows[0], align, rows[1:])), False
            case "header":
                yield f"**{block['text']['text']}**", False
            case "context":
                yield from ((str(each["text"]), False) for each in block["elements"])
            case "section":
                yield from (
                    (str(each["text"]), True)
                    for each in (block.get("text"), *block.get("fields", ()))
                    if each
                )


def cells(made: Table, limit: int) -> tuple[list[list[str]], bool]:
    """The rows of a table that have room in one block of so many characters, and whether these are all of it."""
    rows = plain_rows(made)
    fitting: list[list[str]] = []
    used = 0
    for row in rows[:TABLE_ROWS]:
        row = row[:TABLE_COLUMNS]
        used += sum(utf16_units(cell) or 1 for cell in row)
        if used > limit:
            break
        fitting.append(row)
    return fitting, len(fitting) == len(rows) and len(made.header) <= TABLE_COLUMNS
