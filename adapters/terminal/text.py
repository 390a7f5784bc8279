"""Text on its way to a terminal, made harmless. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_SEQUENCE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}+[ -/]{0,8}+[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f\n]{0,4096}+(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{0,4}+[0-~]"
)
"""Escape sequences of ECMA-48: CSI, then the strings (OSC, DCS, SOS, PM, APC), then the short ones.

A string ends where another begins, as in a terminal. That keeps the search linear: what follows an introducer
is never looked at again on behalf of an earlier one.
"""
QUOTED_CHARS: Final = 40
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_PDF: Final = "\u202c"
_PDI: Final = "\u2069"
_OPENING: Final = dict.fromkeys("\u202a\u202b\u202d\u202e", _PDF) | dict.fromkeys("\u2066\u2067\u2068", _PDI)
_DIRECTION: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` without anything that could control a terminal: escape sequences, C0 but newline and tab, C1, DEL.

    Letters of every script and direction stay as they are, as do emoji and what joins them. A change of direction
    ends with its line, so that it turns nothing around that is not the text's own.
    """
    shown = _CONTROL.sub("", _SEQUENCE.sub("", text))
    if not _DIRECTION.search(shown):
        return shown
    return "\n".join(line + _pops(line) for line in shown.split("\n"))


def plain(text: str) -> str:
    """The same for a text in a list or a sentence: there nothing may change the direction of what is around it."""
    return _DIRECTION.sub("", printable(text))


def _pops(line: str) -> str:
    """What ends the embeddings, overrides and isolates that a line leaves open. Unicode Standard Annex #9."""
    waiting: list[str] = []
    for character in _DIRECTION.findall(line):
        if character in _OPENING:
            waiting.append(_OPENING[character])
        elif character == _PDI and _PDI in waiting:
            while waiting.pop() != _PDI:
                pass
        elif waiting[-1:] == [character]:
            waiting.pop()
    return "".join(reversed(waiting))


def card_lines(*, title: str, text: str, fields: Sequence[tuple[str, str]]) -> str:
    """A card with a line on its left, printable. No right edge: how wide a letter is, only the terminal knows."""
    body = printable(text).splitlines()
    for name, value in fields:
        first, *more = printable(value).splitlines() or [""]
        body += [f"{_one_line(name)}: {first}".rstrip(), *(f"  {line}" for line in more)]
    return "\n".join([f"┌ {_one_line(title)}", *(f"│ {line}".rstrip() for line in body), "└"])


def quoted(text: str) -> str:
    """The beginning of a message, by which a person knows it again."""
    line = _one_line(text)
    return line if len(line) <= QUOTED_CHARS else line[: QUOTED_CHARS - 1].rstrip() + "…"


def edited(text: str, quote: str) -> str:
    """A text that has taken another one's place, printable."""
    which = f'"{_one_line(quote)}"' if quote else "an earlier message"
    return f"(edited {which}) {printable(text)}"


def reacted(emoji: str, quote: str) -> str:
    """A reaction, printable."""
    which = f'"{_one_line(quote)}"' if quote else "an earlier message"
    return f"({_one_line(emoji)} on {which})"


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())


def question_lines(*, title: str, question: str, options: Sequence[str]) -> str:
    """A question as a numbered list, printable."""
    head = [part for part in (title, question) if part.strip()]
    choices = [f"  {number}. {label}" for number, label in enumerate(options, 1)]
    hint = ["Answer with a number or its words."] if options else []
    return printable("\n".join([*head, *choices, *hint]))
