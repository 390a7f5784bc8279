"""What a person types in the Discord playground: who says what where, or what they do. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

ADDRESS: Final = re.compile(r"(?:(?P<who>\w+)\s+)?(?P<place>#[\w-]+|dm|t\d+)(?:\s+|$)")
"""`ada #general`, `#general`, `bob dm`, `ada t1`; "dm" alone would be a word of somebody's."""
OPTION: Final = re.compile(r"(\w+)=(?:\"([^\"]*)\"|(\S+))")
HELP: Final = """\
ada #general @roost hello    ada says it there; @roost, @ada and @bob mention
bob dm hello                 bob says it to the bot alone
t1 hello                     says it in the thread t1
hello                        says it as whoever spoke last, where they were
/as bob   /in #random        changes who you are, and where: #general, #random, dm, t1
/reply 3 TEXT                answers message 3
/edit [3] TEXT   /delete [3] changes or takes away one of your own messages, the last one without a number
/react [3] EMOJI             puts an emoji on a message, the bot's last one without a number
/unreact [3] EMOJI           takes it off
/file PATH [TEXT]            sends a file
/thread [3] NAME             opens a thread
/click 1                     clicks button 1, or chooses option 1
/run NAME [OPTION=VALUE ...] gives a slash command; /run help lists them
/fill TEXT | TEXT            fills in the form that was shown, field by field
/cut                         drops the bot's connection to the gateway
/help   /quit"""


class Unclear(Exception):
    """Raised when a line cannot be understood; the text is one sentence for whoever typed it."""


@dataclass(frozen=True)
class Kind:
    """What may follow a command: a message's or a button's number, a text. `spelt` is how it is typed."""

    spelt: str
    number: bool = False
    needs_number: bool = False
    needs_text: bool = False


KINDS: Final = {
    "say": Kind("TEXT", needs_text=True),
    "as": Kind("/as NAME", needs_text=True),
    "in": Kind("/in PLACE", needs_text=True),
    "reply": Kind("/reply NUMBER TEXT", number=True, needs_number=True, needs_text=True),
    "edit": Kind("/edit [NUMBER] TEXT", number=True, needs_text=True),
    "delete": Kind("/delete [NUMBER]", number=True),
    "react": Kind("/react [NUMBER] EMOJI", number=True, needs_text=True),
    "unreact": Kind("/unreact [NUMBER] EMOJI", number=True, needs_text=True),
    "file": Kind("/file PATH [TEXT]", needs_text=True),
    "thread": Kind("/thread [NUMBER] NAME", number=True, needs_text=True),
    "click": Kind("/click NUMBER", number=True, needs_number=True),
    "run": Kind("/run NAME [OPTION=VALUE ...]", needs_text=True),
    "fill": Kind("/fill TEXT | TEXT", needs_text=True),
    "cut": Kind("/cut"),
    "help": Kind("/help"),
    "quit": Kind("/quit"),
}


@dataclass(frozen=True)
class Line:
    """A line, understood. `who` and `place` stand where they were named; `kind` is one of KINDS."""

    kind: str
    text: str = ""
    number: int | None = None
    who: str | None = None
    place: str | None = None


def understood(typed: str, people: Collection[str]) -> Line | None:
    """What a line means; None for an empty one. Only a name of `people` is a speaker: any other is a word. Raises
    Unclear."""
    rest = typed.strip()
    if not rest:
        return None
    who = place = None
    found = ADDRESS.match(rest)
    if found and (found["who"] in people or (found["who"] is None and found["place"] != "dm")):
        who, place, rest = found["who"], found["place"], rest[found.end() :]
    if not rest.startswith("/"):
        # An address alone is going there.
        return Line("say", rest, None, who, place) if rest else Line("in", place or "", None, who, place)
    word, _, rest = rest[1:].partition(" ")
    kind = KINDS.get(word) if word != "say" else None
    if kind is None:
        raise Unclear(f"There is no /{word} here; /help lists what there is.")
    number, rest = _number(rest.strip()) if kind.number else (None, rest.strip())
    if (kind.needs_number and number is None) or (kind.needs_text and not rest):
        raise Unclear(f"That is {kind.spelt}.")
    return Line(word, rest, number, who, place)


def command(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of what follows /run; whole numbers and truths are such."""
    first = OPTION.search(text)
    name = text[: first.start()] if first else text
    return name.strip(), {key: _value(quoted or plain) for key, quoted, plain in OPTION.findall(text)}


def _value(text: str) -> str | int | bool:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?\d{1,15}", text) else text


def _number(text: str) -> tuple[int | None, str]:
    found = re.match(r"(\d+)(?:\s+|$)", text)
    return (int(found[1]), text[found.end() :]) if found else (None, text)
