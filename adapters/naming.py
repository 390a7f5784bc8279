"""Names of files and conversations, as every platform can show them. Pure."""

from __future__ import annotations

import re
from typing import Final

from adapters.text import shortened, shown_name, utf16_units

TITLE_CHARS: Final = 100
"""Of a thread on Discord: its documentation, Start Thread from Message. Slack takes twice as many of a session."""
NO_TITLE: Final = "Conversation"
NO_FILE_NAME: Final = "file"
FILE_NAME_UNITS: Final = 100
EXTENSION_UNITS: Final = 20

_MARKUP: Final = re.compile(r"[*_~`|>#\\]+|\]\([^)]*\)|\[")


def file_name(name: str) -> str:
    """What a file is called, without a folder, and with nothing in it that makes it look like another kind of file: a
    long one keeps its extension."""
    last = shown_name(re.split(r"[/\\]", name)[-1], len(name)).strip()
    if not last.strip("."):
        return NO_FILE_NAME
    if utf16_units(last) <= FILE_NAME_UNITS:
        return last
    stem, dot, extension = last.rpartition(".")
    if not dot or utf16_units(extension) > EXTENSION_UNITS:
        return shortened(last, FILE_NAME_UNITS)
    return shortened(stem, FILE_NAME_UNITS - utf16_units(dot + extension)) + dot + extension


def title(text: str) -> str:
    """The first line of a question, as the name of its thread."""
    line = next((line for line in text.splitlines() if _MARKUP.sub("", line).strip()), "")
    name = shown_name(" ".join(_MARKUP.sub("", line).split())) if line else ""
    if not name.strip():
        return NO_TITLE
    return name if len(name) <= TITLE_CHARS else name[: TITLE_CHARS - 1].rstrip() + "…"
