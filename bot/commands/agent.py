"""Commands about agents: list, show, create, delete, restore."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from agent.protocol.messages import Route
from bot import agent_settings
from bot.access import may
from bot.agent_editing import MAX_NAME_CHARS
from bot.agent_settings import KEYS
from bot.commands import agent_names, shown
from bot.commands.agent_names import Named, about, existing
from bot.commands.context import Context
from bot.commands.options import Completes, Long
from bot.commands.registry import Command, Invocation, NoParameters, Parameters, Reply, Scope
from bot.db import agents as rows
from bot.db import places
from bot.db import sessions as session_rows
from bot.db.cards import Option

COLUMNS: Final = ("name", "provider", "model", "from", "serves")
SHOWN_PLACES: Final = 5
MAX_TYPED_CHARS: Final = 100_000
"""Of instructions: more than they may be, so that it is the configuration that says what is wrong."""


class Create(Parameters):
    """A new agent."""

    rest: ClassVar[str | None] = "instructions"

    name: str = Field(
        min_length=1, max_length=MAX_NAME_CHARS, description='small letters, digits, "-" and "_"'
    )
    like: Annotated[str, Completes(agent_names.agents)] = Field(
        "",
        max_length=MAX_NAME_CHARS,
        description="whose settings it has as well; else only the first agent's model",
    )
    provider: str = Field("", max_length=200, description="what answers; only an owner may say so")
    model: str = Field("", max_length=200, description="the model")
    instructions: Annotated[str, Long()] = Field(
        "", max_length=MAX_TYPED_CHARS, description="what it is told about its work"
    )


class Deleted(Named):
    """An agent that was deleted."""

    name: Annotated[str, Completes(agent_names.deleted)] = Field(
        min_length=1, max_length=MAX_NAME_CHARS, description="the agent that was deleted"
    )


class Delete(Named):
    """An agent, and whether it is meant."""

    yes: bool = Field(False, description="do it; else only say what would be done")


async def list_agents(context: Context, invocation: Invocation, _: NoParameters) -> Reply:
    """The agents that whoever asks is an admin of, and those of them that were deleted."""
    changed = {each.name: each for each in await context.db.read(rows.changed)}
    served = _served(context)
    data: list[dict[str, Any]] = []
    for name, agent in context.roster.items():
        if not may(invocation.standing.of(name), "admin"):
            continue
        where = "chat" if context.roster.is_own(name) else "config.toml"
        also = " and chat" if where != "chat" and name in changed and changed[name].settings else ""
        data.append(
            {
                "name": name,
                "provider": agent.provider,
                "model": agent.model,
                "from": where + also,
                "serves": served.get(name, []),
                "deleted": False,
            }
        )
    gone = [
        each for each in changed.values() if each.deleted and may(invocation.standing.of(each.name), "admin")
    ]
    data += [{"name": each.name, "deleted": True} for each in gone]
    return Reply(_table([each for each in data if not each["deleted"]], [each.name for each in gone]), data)


async def show(context: Context, invocation: Invocation, given: Named) -> Reply:
    """One agent: each setting, and where it comes from."""
    agent = existing(context, invocation, given.name)
    row = await context.db.read(lambda db: rows.get(db, given.name))
    settings = {} if row is None else row.settings
    own = context.roster.is_own(given.name)
    configured = context.roster.configured(given.name, own=own, base=None if row is None else row.base)
    found = {
        key.name: {
            "value": agent_settings.public(key, agent_settings.value(agent, key)),
            "source": agent_settings.source(settings, configured, key),
        }
        for key in KEYS.values()
    }
    destinations = [
        {"name": each.name, "place": shown.place(each.route)}
        for each in context.roster.destinations(given.name)
    ]
    serves = _served(context).get(given.name, [])
    image = context.rebuilding.state(given.name)
    lines = [["SETTING", "VALUE", "FROM"]]
    lines += [
        [key.name, agent_settings.said(key, agent_settings.value(agent, key)), str(found[key.name]["source"])]
        for key in KEYS.values()
    ]
    text = [
        f"{given.name} ({'made in the chat' if own else 'of config.toml'})",
        f"serves: {', '.join(serves) or 'no place that is wired to it'}",
        f"destinations: {', '.join(each['name'] for each in destinations) or 'none'}",
        f"image: {image.text}",
        "",
        shown.table(lines),
    ]
    data = {
        "name": given.name,
        "own": own,
        "like": None if row is None else row.base,
        "serves": serves,
        "destinations": destinations,
        "image": {"state": image.state, "text": image.text},
        "settings": found,
    }
    return Reply("\n".join(text), data)


async def create(context: Context, invocation: Invocation, given: Create) -> Reply:
    """Makes an agent."""
    settings: agent_settings.Settings = {}
    for name in ("provider", "model", "instructions"):
        if text := getattr(given, name):
            settings = agent_settings.put(settings, KEYS[name], agent_settings.parse(KEYS[name], text))
    if given.like:
        existing(context, invocation, given.like)
    owner = may(invocation.standing.everywhere, "owner")
    made = await context.agents.create(
        given.name, settings, like=given.like or None, with_folders=owner, by=invocation.by
    )
    source = context.roster.get(given.like)
    left = not owner and source is not None and (source.mounts or source.directories)
    where = "channel wire " + (f"here {given.name}" if invocation.route else f"PLACE {given.name}")
    text = [
        f"The agent {given.name} is made; it answers by {made.agent.provider}"
        + (f", {made.agent.model}." if made.agent.model else "."),
        *(["It has none of the folders of this machine: only an owner may give it some."] if left else []),
        f"It serves nowhere yet: `{invocation.spelled(where)}` has it answer in a place.",
    ]
    here = Option("Have it answer here", "channel wire", {"place": "here", "agent": given.name})
    data = {"name": given.name, "settings": dict(made.after)}
    return Reply("\n".join(text), data, [here] if invocation.route else [])


async def delete(context: Context, invocation: Invocation, given: Delete) -> Reply:
    """Deletes an agent, so that it can be brought back; first says what that would do."""
    existing(context, invocation, given.name)
    context.agents.check_deletion(given.name)
    kept, served = await context.db.read(lambda db: _belongings(db, given.name))
    working = sum(
        1 for runner in context.containers if runner.session.agent == given.name and not runner.session.pooled
    )
    served_at = [f"{channel}/{platform_id}" for channel, platform_id in served]
    does = [
        f"its {kept} conversations are kept and stopped" + (f", {working} of them now" if working else ""),
        f"nobody answers for it in {_some(served_at)}" if served_at else "it serves no place",
        "its schedules rest",
    ]
    back = invocation.spelled(f"agent restore {given.name}")
    data = {"name": given.name, "deleted": given.yes, "conversations": kept, "places": served_at}
    if not given.yes:
        yes = Option("Yes, delete it", "agent delete", {"name": given.name, "yes": "true"})
        text = f"Deleting {given.name} means: {'; '.join(does)}. `{back}` would bring all of it back."
        again = f"Nothing is deleted yet; to do it, say the same with {invocation.option('yes')}."
        return Reply(f"{text}\n{again}", data, [yes])
    await context.agents.delete(given.name, by=invocation.by)
    await context.wirings.refresh(context.db)
    undo = Option("Bring it back", "agent restore", {"name": given.name})
    return Reply(f"The agent {given.name} is deleted; `{back}` brings it back.", data, [undo])


async def restore(context: Context, invocation: Invocation, given: Deleted) -> Reply:
    """Brings a deleted agent back with all that it had."""
    await context.agents.restore(given.name, by=invocation.by)
    await context.wirings.refresh(context.db)
    served = _served(context).get(given.name, [])
    text = f"The agent {given.name} is back" + (f" and serves {_some(served)}." if served else ".")
    return Reply(text, {"name": given.name, "deleted": False, "serves": served})


def _belongings(db: sqlite3.Connection, name: str) -> tuple[int, list[tuple[str, str]]]:
    return session_rows.count_of(db, name), places.served_by(db, name)


def _served(context: Context) -> dict[str, list[str]]:
    """Where each agent serves, in words."""
    found: dict[str, list[str]] = {}
    for channel, platform_id in context.wirings.known_places():
        for each in context.wirings.at(Route(channel=channel, platform_id=platform_id)):
            found.setdefault(each.agent, []).append(f"{channel}/{platform_id}")
    for channel, wirings in context.wirings.elsewhere().items():
        for each in wirings:
            found.setdefault(each.agent, []).append(f"{channel or 'everywhere'} else")
    return found


def _table(agents: list[dict[str, Any]], gone: list[str]) -> str:
    lines = [
        [each["name"], each["provider"], each["model"] or "", each["from"], _some(each["serves"])]
        for each in agents
    ]
    header = [name.upper() for name in COLUMNS]
    text = shown.table([header, *lines]) if lines else "There is no agent of yours."
    return f"{text}\nDeleted: {', '.join(gone)}" if gone else text


def _some(places_: list[str]) -> str:
    more = len(places_) - SHOWN_PLACES
    return ", ".join(places_[:SHOWN_PLACES]) + (f" and {more} more" if more > 0 else "")


async def about_mine(_: Context, invocation: Invocation, __: NoParameters) -> Scope:
    """Whoever is an admin of any agent may list; each sees their own."""
    return Scope.of_any(invocation.standing)


async def about_new(_: Context, __: Invocation, given: Create) -> Scope:
    """What is not there yet is the service's; and what answers decides what may happen on its machine."""
    return Scope(None, "owner" if given.provider else None)


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command("agent list", "the agents", NoParameters, list_agents, level="admin", about=about_mine),
    Command("agent show", "one agent, with all its settings", Named, show, level="admin", about=about),
    Command("agent create", "make an agent", Create, create, level="admin", about=about_new, changes=True),
    Command(
        "agent delete",
        "delete an agent, so that it can be brought back",
        Delete,
        delete,
        level="admin",
        about=about,
        changes=True,
    ),
    Command(
        "agent restore",
        "bring a deleted agent back",
        Deleted,
        restore,
        level="admin",
        about=about,
        changes=True,
    ),
)
