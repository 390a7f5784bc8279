"""What Discord's client makes of a command, a click or a form, before it is sent to the bot.

It offers a person no more than the bot has registered and shown: everything else raises CannotDo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.fakes import discord_wire as wire
from tests.fakes.discord_commands import Commands, Leaf, OptionKind
from tests.fakes.discord_interactions import Interaction
from tests.fakes.discord_things import Message, Place, Role, User
from tests.fakes.discord_values import Permission

SELECTS: Final = (3, 5, 6, 7, 8)
TEXT_INPUT: Final = 4
LABEL: Final = 18


class CannotDo(Exception):
    """Discord's client does not offer this to this person here."""


@dataclass
class _Resolved:
    """The things that options name by their id, in full ("Resolved Data Structure")."""

    place: Place
    data: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, thing: Any) -> str:
        """Adds a user, a role or a channel and returns its id."""
        guild = self.place.guild
        if isinstance(thing, User):
            self.data.setdefault("users", {})[thing.id] = wire.user(thing)
            member = guild.members.get(thing.id) if guild is not None else None
            if member is not None:
                told = {**wire.member(member, with_user=False), "permissions": str(member.permissions)}
                self.data.setdefault("members", {})[thing.id] = told
        elif isinstance(thing, Role):
            self.data.setdefault("roles", {})[thing.id] = wire.role(thing)
        elif isinstance(thing, Place):
            self.data.setdefault("channels", {})[thing.id] = {**wire.place(thing), "permissions": "0"}
        else:
            raise CannotDo(f"{thing!r} is no user, role or channel")
        return str(thing.id)


def find(commands: Commands, name: str, user: User, place: Place) -> Leaf:
    """The slash command of that name, or the only one whose name ends with it. Raises CannotDo."""
    _may_command(user, place)
    words = tuple(name.removeprefix("/").split())
    leaves = list(commands.leaves(place.guild.id if place.guild is not None else None))
    exact = [each for each in leaves if each.words == words]
    # Discord's client finds what has the words that were typed, whatever stands between them.
    words = tuple(" ".join(words).replace("-", " ").split())
    flat = {id(each): tuple(" ".join(each.words).replace("-", " ").split()) for each in leaves}
    found = exact or [each for each in leaves if flat[id(each)][-len(words) :] == words]
    found = [each for each in found if _granted(each.command, user, place)]
    if len({each.words for each in found}) != 1:
        several = ", ".join(sorted(" ".join(each.words) for each in found))
        raise CannotDo(
            f"Which one is meant? {several}."
            if several
            else f"There is no command {name} for {user.name} here."
        )
    return found[0]


def given(leaf: Leaf, place: Place, values: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a command that is given. Raises CannotDo where the options are not what it takes."""
    known = {each["name"]: each for each in leaf.options}
    unknown = set(values) - set(known)
    missing = {name for name, each in known.items() if each.get("required")} - set(values)
    if unknown or missing:
        raise CannotDo(f"unknown options {sorted(unknown)}, missing ones {sorted(missing)}")
    resolved = _Resolved(place)
    options = [_option(known[name], value, resolved) for name, value in values.items()]
    return _command(leaf, options) | ({"resolved": resolved.data} if resolved.data else {})


def completed(leaf: Leaf, values: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a command that is being typed: the last option is the one that suggestions are wanted for.
    Raises CannotDo where it has none."""
    known = {each["name"]: each for each in leaf.options}
    *before, last = values
    if not known.get(last, {}).get("autocomplete"):
        raise CannotDo(f"there are no suggestions for {last!r}")
    options = [{"type": known[n]["type"], "name": n, "value": values[n]} for n in before]
    # What is typed for a number is sent as text, too: it may be no number yet.
    options.append({"type": known[last]["type"], "name": last, "value": str(values[last]), "focused": True})
    return _command(leaf, options)


def menu(commands: Commands, name: str, user: User, target: Message | User, place: Place) -> dict[str, Any]:
    """The data of an entry in the menu of a message or a user. Raises CannotDo."""
    _may_command(user, place)
    kind = 3 if isinstance(target, Message) else 2
    offered = commands.seen_in(place.guild.id if place.guild is not None else None)
    for command in offered:
        if command["type"] == kind and command["name"] == name and _granted(command, user, place):
            break
    else:
        raise CannotDo(f"no entry {name!r} in that menu")
    data: dict[str, Any] = {"id": command["id"], "name": name, "type": kind, "target_id": target.id}
    if isinstance(target, Message):
        me = place.world.bot
        return data | {"resolved": {"messages": {target.id: wire.message(target, me)}}}
    resolved = _Resolved(place)
    resolved.add(target)
    return data | {"resolved": resolved.data}


def clicked(message: Message, which: str) -> dict[str, Any]:
    """The data of a click on the button with that label, emoji or custom id. Raises CannotDo."""
    for part in _parts(message.components):
        names = (part.get("label"), part.get("custom_id"), (part.get("emoji") or {}).get("name"))
        if part["type"] == 2 and which in names:
            _enabled(part)
            return {"custom_id": part["custom_id"], "component_type": 2, "id": part["id"]}
    raise CannotDo(f"no button {which!r}: {[each.get('label') for each in _parts(message.components)]}")


def chosen(message: Message, values: Sequence[str], custom_id: str | None) -> dict[str, Any]:
    """The data of a choice in a select, by value or label. Raises CannotDo."""
    for part in _parts(message.components):
        if part["type"] not in SELECTS or custom_id not in (None, part["custom_id"]):
            continue
        options = part.get("options") or ()
        found = [each["value"] for each in options if {each["value"], each["label"]} & set(values)]
        if part["type"] == 3 and len(found) != len(values):
            continue
        _enabled(part)
        if not part.get("min_values", 1) <= len(values) <= part.get("max_values", 1):
            raise CannotDo(f"{len(values)} is not a number of choices that this takes")
        picked = found if part["type"] == 3 else list(values)
        return {
            "custom_id": part["custom_id"],
            "component_type": part["type"],
            "id": part["id"],
            "values": picked,
        }
    raise CannotDo(f"no select has {list(values)}")


def submitted(interaction: Interaction, values: Mapping[str, str]) -> dict[str, Any]:
    """The data of a form that is sent: what is written in each field, by custom id or label. Raises CannotDo."""
    modal = interaction.modal
    if modal is None:
        raise CannotDo("the answer is no form")
    left = dict(values)
    rows = [_row(row, left, number) for number, row in enumerate(modal["components"], start=1)]
    if left:
        raise CannotDo(f"the form has no fields {sorted(left)}")
    return {"custom_id": modal["custom_id"], "components": rows}


def _row(row: Mapping[str, Any], left: dict[str, str], number: int) -> dict[str, Any]:
    if row["type"] == LABEL:
        part = _field(row["component"], row.get("label"), left, number)
        return {"type": LABEL, "id": number * 10, "component": part}
    fields = [_field(each, each.get("label"), left, number) for each in row.get("components") or ()]
    return {"type": row["type"], "id": number * 10, "components": fields}


def _field(part: Mapping[str, Any], label: str | None, left: dict[str, str], number: int) -> dict[str, Any]:
    key = next((each for each in (part["custom_id"], label) if each in left), None)
    text = left.pop(key) if key is not None else part.get("value") or ""
    if part["type"] != TEXT_INPUT:
        return {
            "type": part["type"],
            "id": number * 10 + 1,
            "custom_id": part["custom_id"],
            "values": [text] if text else [],
        }
    if not text and part.get("required", True):
        raise CannotDo(f"the field {label!r} must be filled in")
    if not (part.get("min_length") or 0) <= len(text) <= (part.get("max_length") or 4000) and text:
        raise CannotDo(f"{len(text)} characters are not what the field {label!r} takes")
    return {"type": TEXT_INPUT, "id": number * 10 + 1, "custom_id": part["custom_id"], "value": text}


def _parts(rows: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        if "components" in row:
            yield from _parts(row["components"])
        else:
            yield row


def _enabled(part: Mapping[str, Any]) -> None:
    if part.get("disabled") or not part.get("custom_id"):
        raise CannotDo(f"{part.get('label')!r} is switched off, or a link")


def _command(leaf: Leaf, options: list[dict[str, Any]]) -> dict[str, Any]:
    *groups, last = leaf.words[1:] or (None,)
    if last is not None:
        options = [{"type": int(OptionKind.SUBCOMMAND), "name": last, "options": options}]
    for group in reversed(groups):
        options = [{"type": int(OptionKind.GROUP), "name": group, "options": options}]
    command = leaf.command
    data: dict[str, Any] = {"id": command["id"], "name": command["name"], "type": 1, "options": options}
    return data | ({"guild_id": command["guild_id"]} if "guild_id" in command else {})


def _option(option: Mapping[str, Any], value: Any, resolved: _Resolved) -> dict[str, Any]:
    kind, name = option["type"], option["name"]
    wanted: dict[int, type | tuple[type, ...]] = {3: str, 4: int, 5: bool, 10: (int, float)}
    if kind in wanted:
        right = isinstance(value, wanted[kind]) and (kind == 5) == isinstance(value, bool)
        choices = [each["value"] for each in option.get("choices") or ()]
        if not right or (choices and value not in choices) or not _within(option, value):
            raise CannotDo(f"{value!r} is not what the option {name!r} takes")
        return {"type": kind, "name": name, "value": value}
    return {"type": kind, "name": name, "value": resolved.add(value)}


def _within(option: Mapping[str, Any], value: Any) -> bool:
    if isinstance(value, str):
        return (option.get("min_length") or 0) <= len(value) <= (option.get("max_length") or 6000)
    low, high = option.get("min_value"), option.get("max_value")
    return (low is None or value >= low) and (high is None or value <= high)


def _may_command(user: User, place: Place) -> None:
    if not place.seen_by(user) or not place.allows(user, Permission.USE_APPLICATION_COMMANDS):
        raise CannotDo(f"{user.name} may use no commands in {place.name or 'this conversation'}")


def _granted(command: Mapping[str, Any], user: User, place: Place) -> bool:
    needed = command.get("default_member_permissions")
    if needed is None or place.guild is None:
        return True
    return int(needed) != 0 and place.permissions(user) & int(needed) == int(needed)
