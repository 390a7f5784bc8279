"""What a line means that a person enters: a message, or something for Roost itself. Pure."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.base import clean
from adapters.offers import CommandInfo
from agent.protocol.messages import MAX_TEXT_CHARS

OWN_COMMANDS: Final = (
    CommandInfo("help", "what can be entered here"),
    CommandInfo("file", "PATH: attach a file to the next message"),
    CommandInfo("stop", "stop what runs"),
    CommandInfo("quit", "leave"),
)
"""Commands that the terminal answers itself."""
SERVICE_COMMANDS: Final = (
    CommandInfo("status", "how the service is doing"),
    CommandInfo("clear", "forget this conversation and start anew"),
)
"""Commands of the service that are always there; a caller that knows all of them passes its own list."""

_COMMAND: Final = re.compile(r"/([A-Za-z][A-Za-z0-9_-]*)(?:\s+(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Message:
    """Ordinary text."""

    text: str


@dataclass(frozen=True)
class Help:
    """Show what can be entered."""


@dataclass(frozen=True)
class Quit:
    """Leave."""


@dataclass(frozen=True)
class StopTurn:
    """Stop the turn that runs."""


@dataclass(frozen=True)
class Attach:
    """Attach the file at `path` to the next message."""

    path: str


@dataclass(frozen=True)
class ServiceCommand:
    """A command for the service: `key=value` words are arguments, the others together are `text`."""

    name: str
    arguments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wrong:
    """Nothing that can be done; `sentence` says why."""

    sentence: str


Line = Message | Help | Quit | StopTurn | Attach | ServiceCommand | Wrong


def parse(line: str, commands: Sequence[CommandInfo] = SERVICE_COMMANDS) -> Line | None:
    """What `line` means where the service has `commands`; None for a blank one.

    Only a line whose first word is a slash and a name is a command: /etc/hosts and //text are messages.
    """
    text = clean(line)
    if not text.strip():
        return None
    match = _COMMAND.fullmatch(text.rstrip())
    if match is None:
        if len(text) > MAX_TEXT_CHARS:
            return Wrong(f"A message can be {MAX_TEXT_CHARS:,} characters long; send a longer one as a file.")
        return Message(text)
    name, rest = match[1].lower(), (match[2] or "").strip()
    if name == "file":
        return Attach(_path(rest)) if rest else Wrong("Name the file: /file PATH")
    if name in _PLAIN:
        return _PLAIN[name]
    if any(name == command.name for command in commands):
        return ServiceCommand(name, _arguments(rest))
    return Wrong(_unknown(name, commands))


def help_text(commands: Sequence[CommandInfo] = SERVICE_COMMANDS) -> str:
    """One line a command."""
    own = {command.name for command in OWN_COMMANDS}
    shown = [*OWN_COMMANDS, *(command for command in commands if command.name not in own)]
    width = max(len(command.name) for command in shown)
    return "\n".join(f"/{command.name:<{width}}  {command.summary}" for command in shown)


_PLAIN: Final[dict[str, Line]] = {"help": Help(), "quit": Quit(), "exit": Quit(), "stop": StopTurn()}


def _unknown(name: str, commands: Sequence[CommandInfo]) -> str:
    known = [command.name for command in (*OWN_COMMANDS, *commands)]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean /{close[0]}?" if close else "/help lists the commands."
    return f"There is no command /{name}. {hint}"


def _words(rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError:
        return rest.split()  # A lone quote, as in: don't


def _path(rest: str) -> str:
    words = _words(rest)
    return words[0] if len(words) == 1 else rest


def _arguments(rest: str) -> dict[str, str]:
    arguments: dict[str, str] = {}
    words: list[str] = []
    for word in _words(rest):
        key, equals, value = word.partition("=")
        if equals and key.isidentifier():
            arguments[key] = value
        else:
            words.append(word)
    return {**arguments, "text": " ".join(words)} if words else arguments
