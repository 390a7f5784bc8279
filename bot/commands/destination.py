"""Commands about the places that an agent may write to besides where it was asked: list, add, remove."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, Final

from pydantic import Field

from adapters.offers import Suggestion
from agent.protocol.messages import Destination, Route
from bot.access import may
from bot.commands import shown
from bot.commands.agent_names import AgentChoice, existing
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.place_names import HERE, looked_up
from bot.commands.refs import PlaceName
from bot.commands.registry import Asked, Command, Invocation, Parameters, Reply, Scope
from bot.db import agents as rows
from bot.db import audit
from bot.db.cards import Option
from bot.destinations import AGENT_CHANNEL
from bot.errors import CommandFailed

MAX_DESTINATIONS: Final = 100
"""Of one agent: it is told all of them with every turn."""
NOT_YOURS: Final = "To let an agent write to the agent {agent} you have to be an admin of both."
IN_FILE: Final = "{name} stands in config.toml; take it out of [[agents.{agent}.destinations]] there."


async def names(context: Context, asked: Asked) -> list[Suggestion]:
    """The destinations of the named agent."""
    agent = asked.given.get("agent", "")
    if not may(asked.invocation.standing.of(agent), "admin"):
        return []
    return [
        Suggestion(each.name, f"{each.name}: {shown.place(each.route)}")
        for each in context.roster.destinations(agent)
        if asked.typed.lower() in each.name.lower()
    ]


class Of(Parameters):
    """An agent."""

    agent: AgentChoice = Field(min_length=1, max_length=60, description="the agent")


class Add(Of):
    """A place, and what the agent calls it."""

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[\w.-]+$", description="what the agent calls it: one word"
    )
    place: PlaceName = Field(
        HERE, description=f"the channel; {HERE} or left out: this one; agent:NAME: an agent"
    )
    thread: str = Field("", max_length=200, pattern=r"^[\w.-]*$", description="a thread in it, by its id")


class Remove(Of):
    """One of its destinations."""

    name: Annotated[str, Completes(names)] = Field(
        min_length=1, max_length=100, description="what the agent calls it"
    )


async def list_destinations(context: Context, invocation: Invocation, given: Of) -> Reply:
    """The places that an agent may write to besides where it was asked."""
    existing(context, invocation, given.agent)
    chat = {each.name for each in (await context.db.read(rows.destinations)).get(given.agent, ())}
    data = [
        {**_data(each), "from": "chat" if each.name in chat else "config.toml"}
        for each in context.roster.destinations(given.agent)
    ]
    lines = [["NAME", "PLACE", "FROM"], *([each["name"], each["place"], each["from"]] for each in data)]
    none = f"{given.agent} writes only to where it was asked."
    return Reply(shown.table(lines) if data else none, data)


async def add(context: Context, invocation: Invocation, given: Add) -> Reply:
    """Lets an agent write to a place, from now on, in all its conversations."""
    existing(context, invocation, given.agent)
    route, remark = await _route(context, invocation, given)
    destination = Destination(name=given.name, display_name=given.name, route=route)
    now = context.clock()

    def work(db: sqlite3.Connection) -> Destination | None:
        there = rows.destinations(db).get(given.agent, ())
        before = next((each for each in there if each.name == given.name), None)
        if before is None and len(there) >= MAX_DESTINATIONS:
            raise CommandFailed(
                f"{given.agent} has {MAX_DESTINATIONS} destinations, as many as there may be."
            )
        rows.add_destination(db, given.agent, destination)
        audit.record(
            db, invocation.by, "destination add", f"agent:{given.agent}", now=now, agent=given.agent,
            before=None if before is None else _data(before), after=_data(destination),
        )  # fmt: skip
        return before

    before = await context.db.write(work)
    await context.roster.refresh(context.db)
    text = [f"{given.agent} may write to {shown.place(route)} now, as {given.name}."]
    text += [f"Before, {given.name} was {shown.place(before.route)}."] if before is not None else []
    text += [remark] if remark else []
    undo = (
        Option("Undo", "destination remove", {"agent": given.agent, "name": given.name})
        if before is None
        else _again("Undo", given.agent, before)
    )
    return Reply("\n".join(text), {"agent": given.agent, **_data(destination)}, [undo])


async def _route(context: Context, invocation: Invocation, given: Add) -> tuple[Route, str | None]:
    """Where it is, and what there is to be said of that: a place, or as `agent:NAME` another agent."""
    kind, colon, agent = given.place.partition(":")
    if colon and kind == AGENT_CHANNEL:
        if not may(invocation.standing.of(agent), "admin"):
            raise CommandFailed(NOT_YOURS.format(agent=agent))
        existing(context, invocation, agent)
        if agent == given.agent:
            raise CommandFailed("An agent does not write to itself.")
        return Route(channel=AGENT_CHANNEL, platform_id=agent), None
    target = await looked_up(context, invocation, given.place)
    found = target.route
    thread = given.thread or None
    return Route(channel=found.channel, platform_id=found.platform_id, thread_id=thread), target.remark


async def remove(context: Context, invocation: Invocation, given: Remove) -> Reply:
    """Lets an agent write to a place no more, unless it is asked there."""
    existing(context, invocation, given.agent)
    now = context.clock()

    def work(db: sqlite3.Connection) -> Destination | None:
        there = rows.destinations(db).get(given.agent, ())
        before = next((each for each in there if each.name == given.name), None)
        if before is not None:
            rows.remove_destination(db, given.agent, given.name)
            audit.record(
                db, invocation.by, "destination remove", f"agent:{given.agent}", now=now, agent=given.agent,
                before=_data(before),
            )  # fmt: skip
        return before

    before = await context.db.write(work)
    if before is None:
        raise CommandFailed(_not_there(context, given))
    await context.roster.refresh(context.db)
    again = next((each for each in context.roster.destinations(given.agent) if each.name == given.name), None)
    text = f"{given.agent} may not write to {shown.place(before.route)} as {given.name} any more."
    if again is not None:
        text = f"{given.name} is what config.toml has again: {shown.place(again.route)}."
    data = {"agent": given.agent, "removed": _data(before)}
    return Reply(text, data, [_again("Undo", given.agent, before)])


def _not_there(context: Context, given: Remove) -> str:
    found = [each.name for each in context.roster.destinations(given.agent)]
    if given.name in found:
        return IN_FILE.format(name=given.name, agent=given.agent)
    there = f"there are: {', '.join(found)}" if found else "it has none"
    return f"{given.agent} has no destination {given.name}; {there}."


def _again(label: str, agent: str, destination: Destination) -> Option:
    route = destination.route
    fields = {"agent": agent, "name": destination.name, "place": f"{route.channel}:{route.platform_id}"}
    if route.thread_id:
        fields["thread"] = route.thread_id
    return Option(label, "destination add", fields)


def _data(destination: Destination) -> dict[str, Any]:
    route = destination.route
    return {
        "name": destination.name,
        "place": shown.place(route),
        "channel": route.channel,
        "platform_id": route.platform_id,
        "thread_id": route.thread_id,
    }


async def about(_: Context, __: Invocation, given: Of) -> Scope:
    """The agent that is named."""
    return Scope(given.agent)


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "destination list", "where an agent may write", Of, list_destinations, level="admin", about=about
    ),
    Command(
        "destination add", "let an agent write to a place", Add, add, level="admin", about=about, changes=True
    ),
    Command(
        "destination remove",
        "let an agent write to a place no more",
        Remove,
        remove,
        level="admin",
        about=about,
        changes=True,
    ),
)
