"""What an interaction with a command of ours says, and the suggestions while one is typed. Pure.

The rules are those of Discord's "Receiving and Responding to Interactions"; layout.py says which commands there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.discord import layout
from adapters.discord.layout import (
    ASK,
    MENTIONABLE,
    MESSAGE_COMMAND,
    MOST,
    SLASH_COMMAND,
    STOP,
    SUBCOMMAND,
    Json,
)
from adapters.offers import Suggestion
from adapters.text import shortened, utf16_units

MAX_CHOICE_UNITS: Final = 100
"""Of a choice's name and value, in UTF-16: the safe way to count them."""


@dataclass(frozen=True)
class Pointed:
    """A command from the menu of a message: its name, ASK or STOP, and the message as Discord sent it along."""

    name: str
    message: Mapping[str, Any]


def invoked(data: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The command that an interaction's data names, and what was given to it, all as text: what an Event has as
    `command` and `arguments`. Of a command that is being typed, what is there so far. Raises ValueError."""
    if data.get("type", SLASH_COMMAND) == MESSAGE_COMMAND:
        if data.get("name") == STOP:
            return STOP.lower(), {}
        raise ValueError(f"{data.get('name')!r} is no command of the service")
    name, options = _descend(data)
    resolved = data.get("resolved")
    roles = resolved.get("roles") if isinstance(resolved, Mapping) else None
    known = frozenset(roles) if isinstance(roles, Mapping) else frozenset()
    return name, {option: _given(each, known) for option, each in _named(options)}


def focused(data: Mapping[str, Any]) -> tuple[str, str]:
    """The option that somebody is typing, and what is there of it so far. Raises ValueError."""
    _, options = _descend(data)
    for name, option in _named(options):
        if option.get("focused") is True:
            return name, _text(option)
    raise ValueError("no option is being typed")


def pointed(data: Mapping[str, Any]) -> Pointed:
    """What was chosen in the menu of a message. Raises ValueError."""
    name, target = data.get("name"), data.get("target_id")
    resolved = data.get("resolved")
    messages = resolved.get("messages") if isinstance(resolved, Mapping) else None
    message = messages.get(target) if isinstance(messages, Mapping) and isinstance(target, str) else None
    if name not in (ASK, STOP) or not isinstance(message, Mapping):
        raise ValueError(f"{name!r} is no command about a message, or the message is missing")
    return Pointed(name, message)


def suggestions(data: object) -> list[Json]:
    """The choices with which a `complete` event is answered, from the data of its receipt: none where there are
    none, or where they are none that Discord takes."""
    found = [each for each in data if isinstance(each, Suggestion)] if isinstance(data, list) else []
    fitting = [each for each in found if 0 < utf16_units(each.value) <= MAX_CHOICE_UNITS]
    return [
        {"name": shortened(each.label.strip() or each.value, MAX_CHOICE_UNITS), "value": each.value}
        for each in fitting[:MOST]
    ]


def _descend(data: Mapping[str, Any]) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """The name of the command and its options. Raises ValueError."""
    name = data.get("name")
    if not isinstance(name, str) or data.get("type", SLASH_COMMAND) != SLASH_COMMAND:
        raise ValueError(f"there is no command {name!r}")
    options = _options(data)
    if len(options) == 1 and options[0].get("type") == SUBCOMMAND:
        (inner,) = options
        word = inner.get("name")
        if not isinstance(word, str) or not word:
            raise ValueError("a subcommand has no name")
        return layout.named(name, word), _options(inner)
    return layout.named(name, None), options


def _options(entry: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    options = entry.get("options") or []
    if not isinstance(options, list) or not all(isinstance(each, Mapping) for each in options):
        raise ValueError("the options are no list of options")
    return options


def _named(options: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for option in options:
        name = option.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError("an option has no name")
        yield name, option


def _given(option: Mapping[str, Any], roles: frozenset[str]) -> str:
    """Of somebody or a role, Discord gives the id alone, and says beside it which of them it is."""
    text = _text(option)
    if option.get("type") != MENTIONABLE:
        return text
    return f"<@&{text}>" if text in roles else f"<@{text}>"


def _text(option: Mapping[str, Any]) -> str:
    value = option.get("value")
    if isinstance(value, bool):
        return str(value).lower()
    # What is being typed comes as text, whatever it is to become.
    if isinstance(value, str | int):
        return str(value)
    raise ValueError(f"the option {option.get('name')} holds {type(value).__name__}")
