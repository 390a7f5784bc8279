"""The command explain: which rule decides about somebody, in a place, and why."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Final

from pydantic import Field

from adapters.base import Event
from agent.protocol.messages import Route
from bot import explaining, hearing, searching
from bot.access import may
from bot.commands import granting
from bot.commands.context import Context
from bot.commands.granting import WhoName
from bot.commands.place_names import HERE, PRIVATE, looked_up, named, scope
from bot.commands.refs import PlaceName
from bot.commands.registry import Command, Invocation, Parameters, Reply, Scope
from bot.engage import Wiring
from bot.errors import CommandFailed
from bot.explaining import Explained, Remark
from bot.money import Whose

NOBODY: Final = "Nobody answers there: an admin has unwired the place."
NO_GROUP: Final = "A group says nothing: name a person."
NO_COMMAND: Final = "There is no command {name}; `{listing}` lists them."
EXAMPLE: Final = "hello"


class What(Parameters):
    """Somebody, a place, and what they would say there."""

    rest: ClassVar[str | None] = "message"

    who: WhoName = Field(min_length=1, max_length=200, description="the person: a mention, or an id")
    place: PlaceName = Field(HERE, description="the channel; here or left out: this one")
    message: str = Field(EXAMPLE, max_length=10_000, description="what they would say")
    mention: bool = Field(False, description="whether it names the bot")
    direct: bool = Field(False, description="whether the place is a direct conversation")
    thread: str | None = Field(
        None, min_length=1, max_length=200, description="the id of a thread of the place"
    )
    command: str | None = Field(
        None, min_length=1, max_length=100, description="a command in place of a message: may they give it?"
    )


async def about_place(context: Context, invocation: Invocation, given: What) -> Scope:
    """Whoever is an admin of one of the agents of the place."""
    served = context.wirings.at(named(context, invocation, given.place).route)
    return scope(served, invocation, all_=False)


def about(commands: Sequence[Command[Context, Any]]) -> Command[Context, What]:
    """The command that explains, with all `commands` that it can be asked about."""
    levels = {each.name: each for each in commands}

    async def answer(context: Context, invocation: Invocation, given: What) -> Reply:
        """Says what would become of it, and which rule decides."""
        whom = granting.who(context, invocation, given.who)
        if whom.is_group:
            raise CommandFailed(NO_GROUP)
        target = await looked_up(context, invocation, given.place)
        channel, platform_id = target.route.channel, target.route.platform_id
        if whom.ref.channel != channel:
            raise CommandFailed(f"{whom} is not on {channel}; people are known on one platform each.")
        route = Route(channel=channel, platform_id=platform_id, thread_id=given.thread)
        direct = given.direct or target.remark == PRIVATE
        if given.command is not None:
            found = levels.get(" ".join(given.command.split()))
            if found is None:
                listing = invocation.spelled("help")
                raise CommandFailed(NO_COMMAND.format(name=given.command, listing=listing))
            return await _command(context, route, whom.ref.id, found)
        reply = await _message(context, invocation, route, whom.ref.id, given, direct=direct)
        return reply if target.remark is None else Reply(f"{reply.text}\n\n{target.remark}", reply.data)

    return Command(
        "explain", "who is answered where, and why", What, answer, level="admin", about=about_place
    )


async def _message(
    context: Context, invocation: Invocation, route: Route, user_id: str, given: What, *, direct: bool
) -> Reply:
    served = context.wirings.at(route)
    # Looked for as the service does, but without its memory of those that fail.
    fits = {each.pattern: await _fits(each.pattern, given.message) for each in served if each.pattern}
    now = context.clock()

    def read(db: sqlite3.Connection) -> list[Explained]:
        event = Event(
            id="",
            kind="message",
            route=route,
            sender=explaining.person(db, route.channel, user_id),
            created_at=now,
            text=given.message,
            direct=direct,
            mentions_bot=given.mention,
        )
        return explaining.message(db, event, context.wirings, fits, now=now, remarks=[_money(context)])

    found = await context.db.read(read)
    mine = [each for each in found if may(invocation.standing.of(each.agent), "admin")]
    data: list[Mapping[str, Any]] = [asdict(each) for each in mine]
    if not found:
        return Reply(NOBODY, data)
    text = "\n\n".join("\n".join([each.outcome, *(f"- {step}" for step in each.steps)]) for each in mine)
    return Reply(text, data)


def _money(context: Context) -> Remark:
    """What a budget has to say, as the acceptance asks it."""

    def remark(db: sqlite3.Connection, event: Event, wiring: Wiring, _: int) -> str | None:
        place = (event.route.channel, event.route.platform_id)
        whose = Whose(wiring.agent, place, f"{event.route.channel}:{event.sender.id}")
        return context.budgets.remark(db, whose)

    return remark


async def _fits(pattern: str, text: str) -> bool | None:
    try:
        return await asyncio.to_thread(searching.search, pattern, text)
    except searching.BadPattern:
        return None


async def _command(context: Context, route: Route, user_id: str, found: Command[Context, Any]) -> Reply:
    """Whether somebody may give a command, and about what."""
    now = context.clock()

    def read(db: sqlite3.Connection) -> tuple[bool, list[tuple[str | None, bool]]]:
        sender = explaining.person(db, route.channel, user_id)
        event = Event("", "command", route, sender, now, command=found.name)
        facts = hearing.facts(db, event, context.wirings.of(route), found.level)
        return explaining.command(facts, event, found.level, sorted(context.roster))

    anywhere, each = await context.db.read(read)
    agents = [agent for agent, allowed in each if allowed and agent is not None]
    service = (None, True) in each
    data = {
        "command": found.name,
        "level": found.level,
        "allowed": anywhere,
        "agents": agents,
        "service": service,
    }
    needs = f"`{found.name}` is for {'anyone' if found.level == 'anyone' else f'people with the role {found.level}'}"
    if not anywhere:
        return Reply(f"They may not give it. {needs}.", data)
    about_service = "about the service as a whole" if service else ""
    about_agents = f"about {', '.join(agents)}" if agents else ""
    what = " and ".join(part for part in (about_service, about_agents) if part)
    return Reply(f"They may give it {what}. {needs}.", data)
