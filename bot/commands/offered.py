"""The commands without a service: what the command line has of them, and what docs/commands.md says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from adapters.offers import CommandInfo, OptionInfo
from bot.commands import ALL
from bot.commands.groups import GROUPS
from bot.commands.options import options
from bot.commands.registry import Command, Registry

HEAD: Final = """# Commands

Every command can be given by whoever has the role that it asks for, in a channel of every platform: on Slack with
`/roost`, on Discord with `/roost status` and, where a command has two words, `/roost-session list`, at the terminal
with `/`, and on the service's own machine as `roost` with the same words, as the owner. A command that is about one
agent can be given by the admins of that agent as well. Options stand in their order, or by name; those in brackets may
be left out. Where a person, a group or a place is asked for, a mention or the platform's id is taken, never a name.

This page is made from the commands themselves, by `make docs`.
"""
_ROLES: Final = {
    "anyone": "anybody, strangers included",
    "member": "members",
    "admin": "admins",
    "owner": "owners",
}


def first_words() -> Sequence[str]:
    """Of the commands that need no conversation to be given in."""
    return list(dict.fromkeys(each.name.split()[0] for each in ALL if not each.in_place))


def on_the_command_line(first: str | None = None) -> Sequence[CommandInfo]:
    """Those that need no conversation to be given in, by their first words; those of one first word are there at once,
    and what all of them take is only looked at where all are wanted."""
    registry: Registry[Any] = Registry(
        None, [each for each in ALL if not each.in_place and first in (None, each.name.split()[0])]
    )
    return registry.infos


def document() -> str:
    """The text of docs/commands.md."""
    groups: dict[str, list[Command[Any, Any]]] = {}
    for command in sorted(ALL, key=lambda each: each.name.split()[0]):
        groups.setdefault(command.name.split()[0] if " " in command.name else "", []).append(command)
    single = groups.pop("", [])
    parts = [HEAD, "## Of one word\n", *(_told(each) for each in sorted(single, key=lambda each: each.name))]
    for name, commands in groups.items():
        parts += [f"## {name}\n\n{GROUPS[name]}\n", *(_told(each) for each in commands)]
    return "\n".join(parts)


def _told(command: Command[Any, Any]) -> str:
    who = _ROLES[command.level]
    if command.about is not None and command.level in ("admin", "owner"):
        who += " of the agent that it is about"
    facts = [f"For {who}"]
    facts += ["in a conversation only"] if command.in_place else []
    facts += ["kept in the audit"] if command.changes else []
    facts += ["an agent can ask an admin for it"] if command.agents_may else []
    rows = "\n".join(_option(each) for each in options(command.parameters))
    table = f"\n| option | | |\n| --- | --- | --- |\n{rows}\n" if rows else ""
    return f"### `{command.usage}`\n\n{_sentence(command.summary)} {'; '.join(facts)}.\n{table}"


def _option(option: OptionInfo) -> str:
    kind = " \\| ".join(f"`{each}`" for each in option.choices) or option.kind
    needed = "needed" if option.required else ""
    return f"| `{option.name}` | {', '.join(each for each in (kind, needed) if each)} | {_cell(option.summary)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
