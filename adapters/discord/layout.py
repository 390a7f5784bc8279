"""How the commands of the service are laid out on Discord, and registered there. Pure.

A command of one word is a subcommand of `/roost`; a group of commands is a slash command of its own, `/roost-schedule`,
with its commands as subcommands. So a name alone says how a command is given, and there is room: one slash command
takes 25 subcommands and 8,000 characters, and an application has 100 of them. What a slash command has no room for
stands in one more, `/roost-schedule-2`. Two commands stand in the menu of a message. The rules are those of Discord's
"Application Commands".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapters.offers import CommandInfo, CommandSpec, OptionInfo
from adapters.text import shortened

ROOT: Final = "roost"
GROUP_PREFIX: Final = f"{ROOT}-"
ASK: Final = "Ask Roost about this"
STOP: Final = "Stop"
SLASH_COMMAND: Final = 1
MESSAGE_COMMAND: Final = 3
SUBCOMMAND: Final = 1
MENTIONABLE: Final = 9
OPTION_TYPES: Final = {"text": 3, "number": 4, "flag": 5, "person": 6, "place": 7, "group": 8, "who": 9}
PLACE_TYPES: Final = (0, 2, 5, 13, 15)
"""Channels in which there are conversations, and neither threads, whose place is their channel, nor categories.
Discord's documentation, Channel Types."""
PLACES: Final = (0, 1)
"""Servers and direct messages with the bot; not those between people, where the bot is not."""
INSTALLED: Final = (0,)
"""For servers, and not for people who would take it along to where it is not wired."""
MANAGE_SERVER: Final = 1 << 5
"""The permission Manage Server, MANAGE_GUILD in Discord's documentation, Permissions."""
MOST: Final = 25
"""Of subcommands, options and choices, each where they stand."""
MAX_COMMANDS: Final = 100
"""Slash commands of an application that are registered everywhere."""
MAX_NAME_CHARS: Final = 32
MAX_DESCRIPTION_CHARS: Final = 100
MAX_TYPED_CHARS: Final = 6000
"""The longest text that an option may ask for."""
MAX_COMMAND_CHARS: Final = 8000
"""Of the names, descriptions and values of one command, all together."""

Json = dict[str, Any]


def payload(infos: Sequence[CommandInfo], *, hide_admins: bool = False) -> list[Json]:
    """The body of a bulk overwrite of the application's global commands. With `hide_admins` those that are for admins
    alone are offered only to members who may manage the server, until the server's own settings say otherwise. Raises
    ValueError for what Discord would not take."""
    singles: list[CommandSpec] = []
    groups: dict[str, list[CommandSpec]] = {}
    for spec in (spec for info in infos for spec in info.specs or (CommandSpec(info.name, info.summary),)):
        first, *rest = spec.name.split()
        if len(rest) > 1:
            raise ValueError(f"{spec.name!r} has more than two words")
        if rest:
            groups.setdefault(first, []).append(spec)
        else:
            singles.append(spec)
    made = _root(singles)
    for first, specs in groups.items():
        made += _group(first, specs)
    if len(made) > MAX_COMMANDS:
        raise ValueError(f"there are {len(made)} slash commands; Discord takes {MAX_COMMANDS}")
    for each in made:
        admins = each.pop("admins")
        if hide_admins and admins:
            each["default_member_permissions"] = MANAGE_SERVER
    return [*made, _common(ASK, MESSAGE_COMMAND), _common(STOP, MESSAGE_COMMAND)]


def same(commands: Sequence[Mapping[str, Any]], registered: Sequence[Mapping[str, Any]]) -> bool:
    """Whether Discord has these commands and no others; `registered` is what a GET of them returned."""
    return _normal(commands) == _normal(registered)


def named(command: str, subcommand: str | None) -> str:
    """The name of the service's command that stands in this slash command. Raises ValueError."""
    if command == ROOT and subcommand:
        return subcommand
    first = command.removeprefix(GROUP_PREFIX)
    head, dash, number = first.rpartition("-")
    if dash and number.isdecimal():
        first = head
    if not command.startswith(GROUP_PREFIX) or not first:
        raise ValueError(f"there is no command {command!r}")
    return f"{first} {subcommand}" if subcommand else first


# ---------------------------------------------------------------- slash commands


def _root(singles: Sequence[CommandSpec]) -> list[Json]:
    """The commands of one word. Those for which `/roost` has no room are slash commands of their own."""
    made = _slash(ROOT, "Talk to the service itself")
    beside: list[Json] = []
    for spec in singles:
        subcommand = _subcommand(spec, spec.name)
        if len(made["options"]) < MOST and _length(made) + _length(subcommand) <= MAX_COMMAND_CHARS:
            made["options"].append(subcommand)
        else:
            alone = _slash(_name(f"{GROUP_PREFIX}{_name(spec.name)}"), subcommand["description"])
            beside.append(_fitting({**alone, "options": subcommand.get("options", [])}))
    names = [each["name"] for each in (*made["options"], *beside)]
    if len(set(names)) < len(names):
        raise ValueError(f"commands have names in common: {', '.join(names)}")
    return [each for each in (made, *beside) if each is not made or made["options"]]


def _group(first: str, specs: Sequence[CommandSpec]) -> list[Json]:
    """The commands of a group, in as many slash commands as they take."""
    cut: list[list[Json]] = [[]]
    names = [spec.name.split()[1] for spec in specs]
    if len(set(names)) < len(names):
        raise ValueError(f"the commands of /{GROUP_PREFIX}{first} have names in common: {', '.join(names)}")
    # Room for the name and the description of the slash command itself.
    room = MAX_COMMAND_CHARS - MAX_NAME_CHARS - MAX_DESCRIPTION_CHARS
    for subcommand in (_subcommand(spec, name) for spec, name in zip(specs, names, strict=True)):
        if len(cut[-1]) == MOST or sum(map(_length, cut[-1])) + _length(subcommand) > room:
            cut.append([])
        cut[-1].append(subcommand)
    made = []
    for number, options in enumerate((each for each in cut if each), 1):
        name = f"{GROUP_PREFIX}{_name(first)}" + (f"-{number}" if number > 1 else "")
        listed = shortened(", ".join(each["name"] for each in options), MAX_DESCRIPTION_CHARS)
        admins = all(spec.admins for spec in specs)
        made.append(_fitting({**_slash(_name(name), listed), "options": options, "admins": admins}))
    return made


def _slash(name: str, description: str) -> Json:
    """One whose `admins` says whether it is for them alone, which is not Discord's to know."""
    return {**_common(name, SLASH_COMMAND), "description": description, "options": [], "admins": False}


def _common(name: str, kind: int) -> Json:
    return {
        "name": name,
        "type": kind,
        "contexts": list(PLACES),
        "integration_types": list(INSTALLED),
    }


def _fitting(command: Json) -> Json:
    if (length := _length(command)) > MAX_COMMAND_CHARS:
        raise ValueError(
            f"/{command['name']} has {length} characters in all; Discord takes {MAX_COMMAND_CHARS}"
        )
    return command


def _subcommand(spec: CommandSpec, name: str) -> Json:
    made: Json = {
        "type": SUBCOMMAND,
        "name": _name(name),
        "description": _description(spec.summary, spec.name),
    }
    if spec.options:
        # Discord wants those first that are required.
        ordered = sorted(spec.options, key=lambda option: not _is_required(option))
        made["options"] = _few([_option(each, spec.name) for each in ordered], spec.name)
    return made


def _is_required(option: OptionInfo) -> bool:
    # What is left out of a long text is entered into a form.
    return option.required and not option.long


def _option(option: OptionInfo, command: str) -> Json:
    where = f"{option.name} of {command}"
    made: Json = {
        "type": OPTION_TYPES[option.kind],
        "name": _name(option.name),
        "description": _description(option.summary, where),
    }
    if _is_required(option):
        made["required"] = True
    if option.choices:
        made["choices"] = _few([{"name": each, "value": each} for each in option.choices], where)
    elif option.completes and option.kind in ("text", "number"):
        made["autocomplete"] = True
    if option.kind == "place":
        made["channel_types"] = list(PLACE_TYPES)
    if option.kind == "text" and option.max_chars is not None:
        made["max_length"] = min(option.max_chars, MAX_TYPED_CHARS)
    return made


def _name(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    if not (0 < len(name) <= MAX_NAME_CHARS and name == name.lower() and plain.isalnum()):
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


def _length(entry: Mapping[str, Any]) -> int:
    """What MAX_COMMAND_CHARS is about."""
    return sum(map(len, _counted(entry)))


def _counted(entry: Mapping[str, Any]) -> Iterator[str]:
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
            "permissions": _bits(command.get("default_member_permissions")),
            "nsfw": bool(command.get("nsfw")),
        }
        for command in commands
    ]
    return sorted(normal, key=lambda command: (command["type"], str(command["name"])))


def _bits(permissions: object) -> str | None:
    """A number in what is sent, and a text in what comes back."""
    return None if permissions is None else str(permissions)


def _normal_entry(entry: Mapping[str, Any]) -> Json:
    return {
        "type": entry.get("type"),
        "name": entry.get("name"),
        "description": entry.get("description") or "",
        "required": bool(entry.get("required")),
        "autocomplete": bool(entry.get("autocomplete")),
        "choices": [[each.get("name"), each.get("value")] for each in entry.get("choices") or ()],
        "limits": [entry.get(key) for key in ("min_length", "max_length", "min_value", "max_value")],
        "channels": sorted(entry.get("channel_types") or ()),
        "options": [_normal_entry(each) for each in entry.get("options") or ()],
    }
