"""What a person types in the Discord playground. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from tests.fakes.playground_lines import Kind

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


def command(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of what follows /run; whole numbers and truths are such."""
    first = OPTION.search(text)
    name = text[: first.start()] if first else text
    return name.strip(), {key: _value(quoted or plain) for key, quoted, plain in OPTION.findall(text)}


def _value(text: str) -> str | int | bool:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?\d{1,15}", text) else text
