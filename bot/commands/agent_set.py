"""Commands that change one setting of an agent: set, unset."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from bot import agent_edits, agent_settings
from bot.agent_editing import Edit, Outcome
from bot.agent_settings import KEYS, NONE, Key
from bot.commands import agent_names
from bot.commands.agent_names import KeyChoice, Named, existing
from bot.commands.context import Context
from bot.commands.options import Completes, Long
from bot.commands.registry import Command, Invocation, Reply, Scope
from bot.db import agents as rows
from bot.db.cards import Option

FROM_NEXT: Final = "It counts from the next turn on."
MAX_TYPED_CHARS: Final = 200_000
"""More than any setting may have, so that it is the configuration that says what is wrong."""


class Set(Named):
    """A setting and what it is to be."""

    rest: ClassVar[str | None] = "value"

    key: KeyChoice = Field(min_length=1, max_length=60, description="the setting")
    value: Annotated[str, Completes(agent_names.values), Long()] = Field(
        min_length=1,
        max_length=MAX_TYPED_CHARS,
        description=f"what it is to be; {NONE} clears it; a list with commas",
    )


class Unset(Named):
    """A setting."""

    key: Annotated[str, Completes(agent_names.changed_keys)] = Field(
        min_length=1, max_length=60, description="the setting that is to be as config.toml has it"
    )


async def set_(context: Context, invocation: Invocation, given: Set) -> Reply:
    """Changes one setting."""
    key = agent_settings.find(given.key)
    return await change(
        context, invocation, given.name, key, agent_edits.set_to(key, given.value), "agent set"
    )


async def unset(context: Context, invocation: Invocation, given: Unset) -> Reply:
    """Has a setting be what config.toml says, or its default."""
    key = agent_settings.find(given.key)
    return await change(context, invocation, given.name, key, agent_edits.unset(key), "agent unset")


async def change(
    context: Context, invocation: Invocation, name: str, key: Key, edit: Edit, action: str
) -> Reply:
    """Has one setting changed, and answers what it was and is. Raises CommandFailed, DatabaseError."""
    existing(context, invocation, name)
    was = await context.db.read(lambda db: rows.get(db, name))
    outcome = await context.agents.change(name, edit, by=invocation.by, action=action)
    data = {"agent": name, "before": dict(outcome.before), "after": dict(outcome.after)}
    if not outcome.after:
        now = agent_settings.said(key, agent_settings.value(outcome.agent, key))
        return Reply(f"{name}: {key.name} is {now} already.", data)
    settings = {} if was is None else was.settings
    undo = _undo(name, key, given=agent_settings.given(settings, key), outcome=outcome)
    return Reply(f"{name}: {_told(key, outcome)} {FROM_NEXT}", data, undo)


def _told(key: Key, outcome: Outcome) -> str:
    before, after = (agent_settings.said(key, each.get(key.name)) for each in (outcome.before, outcome.after))
    if before == after:
        return f"{key.name} stays {after}."
    return f"{key.name} is {after} now; it was {before}."


def _undo(name: str, key: Key, *, given: bool, outcome: Outcome) -> list[Option]:
    """A value that was set in the chat can be set again; another one was config.toml's. What was struck out of it for
    being shown cannot."""
    before = outcome.before.get(key.name)
    if not given:
        return [Option("Undo", "agent unset", {"name": name, "key": key.name})]
    if key.command != "agent set" or key.name == "mcp_servers":
        return []
    if before is None or before == []:
        text = NONE
    else:
        text = ", ".join(map(str, before)) if isinstance(before, list) else str(before)
    if "[redacted " in text:
        return []
    return [Option("Undo", "agent set", {"name": name, "key": key.name, "value": text})]


async def about_set(_: Context, __: Invocation, given: Set | Unset) -> Scope:
    """The agent; some settings are an owner's."""
    key = KEYS.get(given.key.strip().lower().replace("-", "_"))
    return Scope(given.name, key.level if key is not None and key.level == "owner" else None)


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "agent set", "change a setting of an agent", Set, set_, level="admin", about=about_set, changes=True
    ),
    Command(
        "agent unset",
        "have a setting be as config.toml has it",
        Unset,
        unset,
        level="admin",
        about=about_set,
        changes=True,
    ),
)
