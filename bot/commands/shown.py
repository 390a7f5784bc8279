"""How the answers of commands name places and times, and how they list. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from adapters.terminal.text import plain
from agent.protocol.messages import Route


def place(route: Route) -> str:
    """Channel, place and thread, as far as there are any: "discord/7/9"."""
    return "/".join(part for part in (route.channel, route.platform_id, route.thread_id) if part)


def iso(at: int) -> str:
    """A time in epoch milliseconds, in UTC and to the second, as programs read it."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")


def beginning(text: str, chars: int) -> str:
    """The first words of a text, on one line."""
    line = " ".join(plain(text).split())
    return line if len(line) <= chars else line[: chars - 1] + "…"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lines whose cells stand below each other, the header first."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
