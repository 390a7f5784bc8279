"""Commands on Discord: what is registered there, and what an interaction with it says. Pure.

There is one slash command, `/roost`, whose subcommands are the service's commands, and two that stand in the menu of
a message. The rules are those of Discord's "Application Commands" and "Receiving and Responding".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.offers import CommandInfo, CommandSpec, OptionInfo, Suggestion
from adapters.text import shortened, utf16_units

ROOT: Final = "roost"
ASK: Final = "Ask Roost about this"
STOP: Final = "Stop"
SLASH_COMMAND: Final = 1
MESSAGE_COMMAND: Final = 3
SUBCOMMAND: Final = 1
GROUP: Final = 2
OPTION_TYPES: Final = {"text": 3, "number": 4, "flag": 5}
PLACES: Final = (0, 1)
"""Servers and direct messages with the bot; not those between people, where the bot is not."""
INSTALLED: Final = (0,)
"""For servers, and not for people who would take it along to where it is not wired."""
MOST: Final = 25
"""Of groups, subcommands, options and choices, each where they stand."""
MAX_NAME_CHARS: Final = 32
MAX_DESCRIPTION_CHARS: Final = 100
MAX_CHOICE_UNITS: Final = 100
"""Of a choice's name and value, in UTF-16: the safe way to count them."""
MAX_TYPED_CHARS: Final = 6000
"""The longest text that an option may ask for."""
MAX_COMMAND_CHARS: Final = 8000
"""Of the names, descriptions and values of one command, all together."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Pointed:
    """A command from the menu of a message: its name, ASK or STOP, and the message as Discord sent it along."""

    name: str
    message: Mapping[str, Any]


def payload(infos: Sequence[CommandInfo]) -> list[Json]:
    """The body of a bulk overwrite of the application's global commands. A command of one word is a subcommand,
    the others are subcommands of the group of their first word; a word that is both is a subcommand of the group by
    its own name, `/roost schedule schedule`. Raises ValueError for what Discord would not take."""
    root = _common(ROOT, SLASH_COMMAND)
    root["description"] = "Talk to the service itself"
    root["options"] = _few([_entry(info) for info in infos], f"/{ROOT}")
    length = sum(map(len, _counted(root)))
    if length > MAX_COMMAND_CHARS:
        raise ValueError(f"/{ROOT} has {length} characters in all; Discord takes {MAX_COMMAND_CHARS}")
    return [root, _common(ASK, MESSAGE_COMMAND), _common(STOP, MESSAGE_COMMAND)]


def same(commands: Sequence[Mapping[str, Any]], registered: Sequence[Mapping[str, Any]]) -> bool:
    """Whether Discord has these commands and no others; `registered` is what a GET of them returned."""
    return _normal(commands) == _normal(registered)


def invoked(data: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The command that an interaction's data names, and what was given to it, all as text: what an Event has as
    `command` and `arguments`. Of a command that is being typed, what is there so far. Raises ValueError."""
    if data.get("type", SLASH_COMMAND) == MESSAGE_COMMAND:
        if data.get("name") == STOP:
            return STOP.lower(), {}
        raise ValueError(f"{data.get('name')!r} is no command of the service")
    if data.get("name") != ROOT or data.get("type", SLASH_COMMAND) != SLASH_COMMAND:
        raise ValueError(f"there is no command {data.get('name')!r}")
    words, options = _descend(data)
    return " ".join(words), {name: _text(option) for name, option in _named(options)}


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


# ---------------------------------------------------------------- what is registered


def _common(name: str, kind: int) -> Json:
    return {
        "name": name,
        "type": kind,
        "contexts": list(PLACES),
        "integration_types": list(INSTALLED),
    }


def _entry(info: CommandInfo) -> Json:
    specs = info.specs or (CommandSpec(info.name, info.summary),)
    if [spec.name for spec in specs] == [info.name]:
        return _subcommand(specs[0], info.name)
    own = [_subcommand(spec, _last_word(spec, info.name)) for spec in specs]
    names = [each["name"] for each in own]
    if len(set(names)) < len(names):
        raise ValueError(f"the commands of /{ROOT} {info.name} have names in common: {', '.join(names)}")
    return {
        "type": GROUP,
        "name": _name(info.name),
        "description": shortened(", ".join(names), MAX_DESCRIPTION_CHARS),
        "options": _few(own, f"/{ROOT} {info.name}"),
    }


def _last_word(spec: CommandSpec, group: str) -> str:
    first, *rest = spec.name.split()
    if first != group or len(rest) > 1:
        raise ValueError(f"{spec.name!r} is no command of the group {group!r}")
    return rest[0] if rest else group


def _subcommand(spec: CommandSpec, name: str) -> Json:
    made: Json = {
        "type": SUBCOMMAND,
        "name": _name(name),
        "description": _description(spec.summary, spec.name),
    }
    if spec.options:
        # Discord wants those first that are required.
        ordered = sorted(spec.options, key=lambda option: not option.required)
        made["options"] = _few([_option(each, spec.name) for each in ordered], f"/{ROOT} {spec.name}")
    return made


def _option(option: OptionInfo, command: str) -> Json:
    where = f"{option.name} of {command}"
    made: Json = {
        "type": OPTION_TYPES[option.kind],
        "name": _name(option.name),
        "description": _description(option.summary, where),
    }
    if option.required:
        made["required"] = True
    if option.choices:
        made["choices"] = _few([{"name": each, "value": each} for each in option.choices], where)
    elif option.completes:
        made["autocomplete"] = True
    if option.kind == "text" and option.max_chars is not None:
        made["max_length"] = min(option.max_chars, MAX_TYPED_CHARS)
    return made


def _name(name: str) -> str:
    if not (0 < len(name) <= MAX_NAME_CHARS and name == name.lower() and name.replace("_", "").isalnum()):
        raise ValueError(f"{name!r} is no name that Discord takes: small letters, at most {MAX_NAME_CHARS}")
    return name


def _description(text: str, where: str) -> str:
    if not 0 < len(text) <= MAX_DESCRIPTION_CHARS:
        raise ValueError(
            f"the summary of {where} has {len(text)} characters, not 1 to {MAX_DESCRIPTION_CHARS}"
        )
    return text[0].upper() + text[1:]


def _few(entries: list[Json], where: str) -> list[Json]:
    if len(entries) > MOST:
        raise ValueError(f"{where} has {len(entries)} entries; Discord takes {MOST}")
    return entries


def _counted(entry: Mapping[str, Any]) -> Iterator[str]:
    """The texts that MAX_COMMAND_CHARS is about."""
    yield from (str(entry[key]) for key in ("name", "description", "value") if key in entry)
    for key in ("options", "choices"):
        for each in entry.get(key, ()):
            yield from _counted(each)


# ---------------------------------------------------------------- the same in other words


def _normal(commands: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Without what Discord adds and with what it fills in; the order of commands means nothing."""
    normal = [
        {
            **_normal_entry({"type": SLASH_COMMAND, **command}),
            "contexts": sorted(command.get("contexts") or ()),
            "integration_types": sorted(command.get("integration_types") or ()),
            "permissions": command.get("default_member_permissions"),
            "nsfw": bool(command.get("nsfw")),
        }
        for command in commands
    ]
    return sorted(normal, key=lambda command: (command["type"], str(command["name"])))


def _normal_entry(entry: Mapping[str, Any]) -> Json:
    return {
        "type": entry.get("type"),
        "name": entry.get("name"),
        "description": entry.get("description") or "",
        "required": bool(entry.get("required")),
        "autocomplete": bool(entry.get("autocomplete")),
        "choices": [[each.get("name"), each.get("value")] for each in entry.get("choices") or ()],
        "limits": [entry.get(key) for key in ("min_length", "max_length", "min_value", "max_value")],
        "options": [_normal_entry(each) for each in entry.get("options") or ()],
    }


# ---------------------------------------------------------------- what an interaction says


def _descend(data: Mapping[str, Any]) -> tuple[list[str], Sequence[Any]]:
    """The words of the command and its options. Raises ValueError."""
    words: list[str] = []
    options = _options(data)
    while len(options) == 1 and (kind := options[0].get("type")) in (SUBCOMMAND, GROUP):
        (inner,) = options
        word = inner.get("name")
        if not isinstance(word, str) or not word:
            raise ValueError("a subcommand has no name")
        words.append(word)
        options = _options(inner)
        if kind == SUBCOMMAND:
            own = len(words) == 2 and words[0] == words[1]
            return words[:1] if own else words, options
    raise ValueError(f"no subcommand of /{ROOT} was given")


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


def _text(option: Mapping[str, Any]) -> str:
    value = option.get("value")
    if isinstance(value, bool):
        return str(value).lower()
    # What is being typed comes as text, whatever it is to become.
    if isinstance(value, str | int):
        return str(value)
    raise ValueError(f"the option {option.get('name')} holds {type(value).__name__}")
