"""What a channel can offer people to do: the commands of the service, with all that they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

OptionKind = Literal["text", "number", "flag", "person", "group", "who", "place"]


@dataclass(frozen=True)
class OptionInfo:
    """A parameter of a command, for a channel that has typed ones. A `person`, a `group` (Discord's role, Slack's user
    group), a `who` (either of them) and a `place` are given by the platform's ids or mentions of them, as texts.
    `completes` says that a `complete` event is answered with suggestions for it; a text has at most `max_chars`. One
    that takes the `rest` holds all words that are left, and the options behind it are given by name alone. A `long`
    one is a text of several lines: a channel that has forms opens one for it when it is left out. A flag that is
    `three_way` can be set, taken away, and left as it is."""

    name: str
    summary: str
    kind: OptionKind = "text"
    required: bool = False
    choices: Sequence[str] = ()
    completes: bool = False
    max_chars: int | None = None
    rest: bool = False
    long: bool = False
    three_way: bool = False


@dataclass(frozen=True)
class CommandSpec:
    """One command with all that it takes. `name` is its words, at most two. One for `admins` is for nobody else, which
    a channel may use to show it to fewer people; whether somebody may give it is decided when they do."""

    name: str
    summary: str
    options: Sequence[OptionInfo] = ()
    admins: bool = False


@dataclass(frozen=True)
class CommandInfo:
    """Commands that begin with the same word, as a channel shows them in one line; `specs` has each of them."""

    name: str
    summary: str
    specs: Sequence[CommandSpec] = ()


@dataclass(frozen=True)
class Suggestion:
    """What a `complete` event is answered with, a list of them in the receipt's data: the text to give, and how it is
    shown. Each has at most 100 characters, and there are at most 25."""

    value: str
    label: str
