"""How the text of an answer is laid out as blocks: its tables as tables, what stands around them as markdown. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

from adapters.base import OutgoingFile
from adapters.slack import kit
from adapters.slack.kit import MESSAGE_CHARS, TABLE_CHARS, Block
from adapters.tables import Table, parted, plain_rows, shown
from adapters.text import pieces, utf16_units

READ_CHARS: Final = 200_000
"""Of all tables of an answer together, for the time that it takes. What does not fit stays as it was written."""
SHORTENED: Final = "(The table has {rows} rows and {columns} columns: all of it is in the file {name}.)"


class Answer:
    """A text that harms nobody, on its way into messages. `files` are those that go with what was cut so far."""

    def __init__(self, text: str, max_file_bytes: int) -> None:
        self.files: list[OutgoingFile] = []
        self._text = text
        self._max_file_bytes = max_file_bytes
        self._blocks: list[Block] = []
        self._used = 0

    def messages(self) -> Iterator[list[Block]]:
        """The blocks of each, as far as they are asked for. The text before the first table is cut as `live` does."""
        for part in parted(self._text, READ_CHARS):
            if isinstance(part, Table):
                yield from self._table(part)
            else:
                yield from self._words(part)
        if self._blocks:
            yield self._blocks

    def _words(self, text: str) -> Iterator[list[Block]]:
        for piece in pieces(text, MESSAGE_CHARS):
            yield from self._add(kit.markdown(piece), utf16_units(piece))

    def _table(self, table: Table) -> Iterator[list[Block]]:
        rows, whole = kit.cells(table, TABLE_CHARS)
        file = None if whole else self._file(table)
        if not rows or not (whole or file):
            yield from self._words(shown(table))
        else:
            size = sum(utf16_units(cell) or 1 for row in rows for cell in row)
            columns = len(rows[0])
            yield from self._add(kit.table(rows, list(table.align[:columns])), size)
        if file is not None:
            self.files.append(file)
            note = SHORTENED.format(rows=len(table.rows), columns=len(table.header), name=file.name)
            yield from self._words(note)

    def _add(self, block: Block, size: int) -> Iterator[list[Block]]:
        """Puts it where there is room, and gives away the message that is full."""
        second = block["type"] == "table" and any(each["type"] == "table" for each in self._blocks)
        if self._blocks and (second or self._used + size > MESSAGE_CHARS or len(self._blocks) == kit.BLOCKS):
            yield self._blocks
            self._blocks, self._used = [], 0
        self._blocks.append(block)
        self._used += size

    def _file(self, table: Table) -> OutgoingFile | None:
        """All of a table, where the place takes a file that large."""
        lines = io.StringIO()
        csv.writer(lines).writerows(plain_rows(table))
        # Excel takes a file without the mark for one in the encoding of its country.
        data = lines.getvalue().encode("utf-8-sig")
        if len(data) > self._max_file_bytes:
            return None
        number = len(self.files) + 1
        return OutgoingFile("table.csv" if number == 1 else f"table-{number}.csv", "text/csv", data)
