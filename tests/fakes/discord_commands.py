"""The commands that an application has registered, global ones and those of a guild ("Application Commands")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from tests.fakes.discord_forms import REQUIRED, Errors, length, need, too_long
from tests.fakes.discord_values import TOO_MANY_COMMANDS, UNKNOWN_COMMAND, Refused, invalid, wrong
from tests.fakes.discord_world import World

MAX_COMMANDS: Final = {1: 100, 2: 15, 3: 15}
MAX_OPTIONS: Final = 25
MAX_CHARS: Final = 8000
"""Of names, descriptions and values of one command together."""
NAME: Final = re.compile(r"[-_'\w]{1,32}")
ANSWERED: Final = ("name_localizations", "description_localizations")


class OptionKind(IntEnum):
    """What a command takes ("Application Command Option Type")."""

    SUBCOMMAND = 1
    GROUP = 2
    TEXT = 3
    INTEGER = 4
    FLAG = 5
    USER = 6
    CHANNEL = 7
    ROLE = 8
    MENTIONABLE = 9
    NUMBER = 10
    FILE = 11


NESTED: Final = (OptionKind.SUBCOMMAND, OptionKind.GROUP)


@dataclass(frozen=True)
class Leaf:
    """A command that can be given: the words of its name, the registered command, what it takes."""

    words: tuple[str, ...]
    command: Mapping[str, Any]
    options: Sequence[Mapping[str, Any]]


class Commands:
    """The commands by scope: "" for everywhere, or a guild's id."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._scopes: dict[str, list[dict[str, Any]]] = {}

    def listed(self, scope: str = "") -> list[dict[str, Any]]:
        """The commands of a scope, as they were registered."""
        return list(self._scopes.get(scope, []))

    def overwrite(self, scope: str, forms: Any) -> list[dict[str, Any]]:
        """These and no others from now on; one that was there keeps its id. Raises Refused."""
        if not isinstance(forms, list):
            raise invalid(wrong("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType"))
        errors = {str(index): found for index, form in enumerate(forms) if (found := _command(form))}
        names = [_key(form) for form in forms if isinstance(form, Mapping) and "name" in form]
        for index, name in enumerate(names):
            if name in names[:index]:
                message = "Application command names must be unique"
                errors[str(index)] = {"name": wrong("APPLICATION_COMMANDS_DUPLICATE_NAME", message)}
        if errors:
            raise invalid(errors)
        self._count(names)
        old = {_key(each): each for each in self.listed(scope)}
        self._scopes[scope] = [self._made(scope, form, old.get(_key(form))) for form in forms]
        return self.listed(scope)

    def put(self, scope: str, form: Any) -> tuple[dict[str, Any], bool]:
        """One more, or another one of the same name in its place; says whether it is new. Raises Refused."""
        found = _command(form)
        if found:
            raise invalid(found)
        commands = self._scopes.setdefault(scope, [])
        old = next((each for each in commands if _key(each) == _key(form)), None)
        made = self._made(scope, form, old)
        if old is not None:
            commands[commands.index(old)] = made
        else:
            self._count([*map(_key, commands), _key(form)])
            commands.append(made)
        return made, old is None

    def edit(self, scope: str, command_id: str, form: Any) -> dict[str, Any]:
        """Changes one. Raises Refused."""
        old = self.find(scope, command_id)
        changed = {**old, **(form or {})}
        found = _command(changed)
        if found:
            raise invalid(found)
        made = self._made(scope, changed, old)
        commands = self._scopes[scope]
        commands[commands.index(old)] = made
        return made

    def delete(self, scope: str, command_id: str) -> None:
        """Takes one away. Raises Refused."""
        self._scopes[scope].remove(self.find(scope, command_id))

    def find(self, scope: str, command_id: str) -> dict[str, Any]:
        """One by its id. Raises Refused."""
        for each in self._scopes.get(scope, []):
            if each["id"] == command_id:
                return each
        raise Refused(*UNKNOWN_COMMAND)

    def seen_in(self, guild_id: str | None) -> list[dict[str, Any]]:
        """What people have in a guild, or in direct messages (None): the guild's own before the global ones."""
        own = self.listed(guild_id) if guild_id else []
        return own + [each for each in self.listed() if _fits(each, guild_id)]

    def leaves(self, guild_id: str | None) -> Iterator[Leaf]:
        """Every slash command that can be given there."""
        for command in self.seen_in(guild_id):
            if command["type"] == 1:
                yield from _leaves((command["name"],), command, command.get("options") or [])

    def _made(self, scope: str, form: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
        fields = (*ANSWERED, "default_member_permissions", "contexts", "nsfw", "options", "dm_permission")
        made: dict[str, Any] = {
            "id": old["id"] if old is not None else self._world.ids.new(),
            "application_id": self._world.application_id,
            "version": self._world.ids.new(),
            "type": form.get("type") or 1,
            "name": form["name"],
            "description": form.get("description") or "",
            "integration_types": form.get("integration_types") or [0],
        }
        made |= {name: form.get(name) for name in fields}
        made["nsfw"] = bool(made["nsfw"])
        made["dm_permission"] = made["dm_permission"] is not False
        if made["default_member_permissions"] is not None:
            made["default_member_permissions"] = str(made["default_member_permissions"])
        if not made["options"]:
            del made["options"]
        return made | ({"guild_id": scope} if scope else {})

    @staticmethod
    def _count(names: Sequence[tuple[int, str]]) -> None:
        for kind, most in MAX_COMMANDS.items():
            if sum(name[0] == kind for name in names) > most:
                raise Refused(*TOO_MANY_COMMANDS)


def _leaves(
    words: tuple[str, ...], command: Mapping[str, Any], options: Sequence[Mapping[str, Any]]
) -> Iterator[Leaf]:
    nested = [each for each in options if each["type"] in NESTED]
    if not nested:
        yield Leaf(words, command, options)
    for each in nested:
        yield from _leaves((*words, each["name"]), command, each.get("options") or [])


def _key(form: Mapping[str, Any]) -> tuple[int, str]:
    return form.get("type") or 1, form["name"]


def _fits(command: Mapping[str, Any], guild_id: str | None) -> bool:
    """Whether a global command is offered there ("Interaction Contexts")."""
    contexts = command.get("contexts")
    if contexts is not None:
        return (0 if guild_id else 1) in contexts
    return guild_id is not None or bool(command["dm_permission"])


def _command(form: Any) -> Errors:
    """What is wrong with a command."""
    need(form, "name")
    kind = form.get("type") or 1
    name, summary = str(form["name"]), form.get("description") or ""
    errors: Errors = {}
    if kind == 1:
        errors |= _named(name, summary)
        errors |= _options(form.get("options") or [], depth=0)
        if not errors and _chars(form) > MAX_CHARS:
            message = f"Command exceeds maximum size ({MAX_CHARS})"
            errors = wrong("APPLICATION_COMMAND_TOO_LARGE", message)
    else:
        if not 1 <= len(name) <= 32:
            errors["name"] = length(1, 32)
        if summary:
            errors["description"] = too_long(0)
        if form.get("options"):
            errors["options"] = too_long(0)
    return errors


def _named(name: str, summary: str) -> Errors:
    errors: Errors = {}
    if NAME.fullmatch(name) is None or name != name.lower():
        errors["name"] = wrong("APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    if not 1 <= len(summary) <= 100:
        errors["description"] = length(1, 100) if summary else REQUIRED
    return errors


def _options(options: Sequence[Mapping[str, Any]], *, depth: int) -> Errors:
    if len(options) > MAX_OPTIONS:
        return {"options": too_long(MAX_OPTIONS)}
    errors: Errors = {}
    for index, option in enumerate(options):
        found = _named(str(option.get("name", "")), option.get("description") or "") | _option(option, depth)
        if option.get("required") and any(not each.get("required") for each in options[:index]):
            message = "Required options must be placed before non-required options"
            found |= wrong("APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message)
        if option.get("name") in [each.get("name") for each in options[:index]]:
            message = "Option names must be unique"
            found["name"] = wrong("APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", message)
        errors |= {str(index): found} if found else {}
    kinds = {each.get("type") in NESTED for each in options}
    if len(kinds) > 1:
        message = "Sub-command and sub-command group option types are mutually exclusive to all other types"
        errors |= wrong("APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", message)
    return {"options": errors} if errors else {}


def _option(option: Mapping[str, Any], depth: int) -> Errors:
    kind = option.get("type")
    if kind not in list(OptionKind):
        return {"type": wrong("BASE_TYPE_CHOICES", "Value must be one of {1, 2, ... 11}.")}
    if kind in NESTED:
        if depth > (1 if kind == OptionKind.SUBCOMMAND else 0):
            return {"type": wrong("APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Too deep")}
        return _options(option.get("options") or [], depth=depth + 1 if kind == OptionKind.GROUP else 2)
    choices = option.get("choices") or ()
    if len(choices) > MAX_OPTIONS:
        return {"choices": too_long(MAX_OPTIONS)}
    if choices and option.get("autocomplete"):
        message = "Choices and autocomplete are mutually exclusive"
        return {"autocomplete": wrong("APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID", message)}
    return {}


def _chars(form: Mapping[str, Any]) -> int:
    own = len(form["name"]) + len(form.get("description") or "")
    own += sum(len(each["name"]) + len(str(each["value"])) for each in form.get("choices") or ())
    return own + sum(map(_chars, form.get("options") or ()))
