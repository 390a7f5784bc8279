"""A trace on a terminal, in colours."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console
from rich.text import Text

from bot.trace import COLUMNS

TROUBLE: Final = ("try lost", "put off", "given up", "restarted")


def show(text: str) -> None:
    """Prints it; plain where nobody watches."""
    if not sys.stdout.isatty():
        sys.stdout.write(f"{text}\n")
        return
    console = Console(highlight=False)
    for line in text.splitlines():
        console.print(Text(line, style=style_of(line)), soft_wrap=True)


def style_of(line: str) -> str:
    """What did not happen is dim, and what went wrong is yellow."""
    if line.startswith((COLUMNS[0], "state:")):
        return "bold"
    if line.startswith("- "):
        return "dim"
    wrong = any(f" ms  {step} " in line for step in TROUBLE) or "given up" in line or "failed" in line
    return "yellow" if wrong else ""
