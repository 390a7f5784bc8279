"""How commands name agents and their settings, what these are completed with, and whom such a command is about."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from adapters.offers import Suggestion
from bot import agent_settings
from bot.access import may
from bot.agent_editing import MAX_NAME_CHARS, NO_AGENT
from bot.agent_settings import KEYS
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.registry import Asked, Invocation, Parameters, Scope
from bot.config_tables import AgentConfig
from bot.db import agents as rows
from bot.errors import CommandFailed

LISTING: Final = "; `{listing}` shows them."


async def agents(context: Context, asked: Asked) -> list[Suggestion]:
    """The agents that whoever types is an admin of."""
    return [
        Suggestion(name, f"{name} ({agent.provider})")
        for name, agent in sorted(context.roster.items())
        if asked.typed.lower() in name and may(asked.invocation.standing.of(name), "admin")
    ]


async def deleted(context: Context, asked: Asked) -> list[Suggestion]:
    """Those that were deleted."""
    found = await context.db.read(rows.changed)
    return [
        Suggestion(each.name, each.name)
        for each in found
        if each.deleted and asked.typed in each.name and may(asked.invocation.standing.of(each.name), "admin")
    ]


async def keys(_: Context, asked: Asked) -> list[Suggestion]:
    """The settings that `agent set` changes."""
    return [
        Suggestion(key.name, f"{key.name}: {key.summary}")
        for key in KEYS.values()
        if key.command == "agent set" and asked.typed.lower() in key.name
    ]


async def changed_keys(context: Context, asked: Asked) -> list[Suggestion]:
    """The settings of the named agent that were changed in the chat."""
    name = asked.given.get("name", "")
    found = await context.db.read(lambda db: rows.get(db, name))
    if found is None or not may(asked.invocation.standing.of(name), "admin"):
        return []
    return [
        Suggestion(key.name, f"{key.name}: {agent_settings.said(key, table)}")
        for key in KEYS.values()
        if agent_settings.given(found.settings, key) and asked.typed.lower() in key.name
        for table in [_of_chat(found.settings, key.path)]
    ]


async def values(context: Context, asked: Asked) -> list[Suggestion]:
    """What the named setting of the named agent is, and what else it may be."""
    name, key = asked.given.get("name", ""), KEYS.get(asked.given.get("key", ""))
    agent = context.roster.get(name)
    if key is None or agent is None or not may(asked.invocation.standing.of(name), "admin"):
        return []
    now = agent_settings.said(key, agent_settings.value(agent, key))
    others = [each.model for each in context.roster.values() if key.name.endswith("model") and each.model]
    found = dict.fromkeys([now, *key.suggests, *others, *([agent_settings.NONE] if key.may_be_none else [])])
    return [
        Suggestion(each, f"{each} (now)" if each == now else each)
        for each in found
        if asked.typed.lower() in each.lower()
    ]


AgentChoice = Annotated[str, Completes(agents)]
KeyChoice = Annotated[str, Completes(keys)]


class Named(Parameters):
    """An agent."""

    name: AgentChoice = Field(min_length=1, max_length=MAX_NAME_CHARS, description="the agent")


async def about(_: Context, __: Invocation, given: Named) -> Scope:
    """The named agent, whether or not there is one: whoever has no role for it learns nothing about it."""
    return Scope(given.name)


async def about_owned(_: Context, __: Invocation, given: Named) -> Scope:
    """The same, for what only an owner may do."""
    return Scope(given.name, "owner")


def existing(context: Context, invocation: Invocation, name: str) -> AgentConfig:
    """The agent of this name. Raises CommandFailed."""
    found = context.roster.get(name)
    if found is None:
        listing = LISTING.format(listing=invocation.spelled("agent list"))
        raise CommandFailed(NO_AGENT.format(name=name).removesuffix(".") + listing)
    return found


def _of_chat(settings: agent_settings.Settings, path: tuple[str, ...]) -> object:
    found: object = settings
    for step in path:
        assert isinstance(found, dict)  # noqa: S101 - agent_settings.given has looked
        found = found[step]
    return found
