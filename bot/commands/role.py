"""Commands about roles: role list, role grant, role revoke. They are given to people and groups by their ids, for all
agents or for one."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any, Final, Literal

from pydantic import Field

from bot.access import may
from bot.commands import granting, shown
from bot.commands.context import Context
from bot.commands.granting import AgentName, Anybody, Change, Who, WhoName
from bot.commands.registry import Command, Invocation, Parameters, Reply, Scope
from bot.db import people
from bot.db.cards import Option
from bot.db.people import EVERYWHERE, Grant, Role
from bot.errors import CommandFailed

NO_AGENT: Final = "There is no agent {agent}; there are: {known}."
NOBODY: Final = "Nobody has a role that you may see."
RISKY: Final = "{who} would not be {role} any more{self_too}. Nothing was done yet."
_ME_TOO: Final = ": that is you, and only somebody else could give it back"


class Whom(Parameters):
    """A person or a group, and an agent."""

    who: WhoName = Field(
        min_length=1,
        max_length=200,
        description="a person or a group: a mention, or an id (group:ID for a group)",
    )


class Listed(Parameters):
    """Whose roles are listed."""

    who: Anybody = Field(
        None, min_length=1, max_length=200, description="a person or a group; else everybody"
    )


class Granted(Whom):
    """A role for somebody."""

    role: Literal["owner", "admin", "member"] = Field(description="what they become")
    agent: AgentName = Field(
        None, min_length=1, max_length=100, description="for this agent only; else for all of them"
    )
    yes: bool = Field(False, description="do it; else what would be lost is only said")


class Revoked(Whom):
    """A role that is taken away."""

    agent: AgentName = Field(
        None, min_length=1, max_length=100, description="what they are for this agent; else for all of them"
    )
    yes: bool = Field(False, description="do it; else what would be lost is only said")


async def about_any(_: Context, invocation: Invocation, __: Parameters) -> Scope:
    """Whoever is an admin of any agent may look; each sees what is theirs."""
    return Scope.of_any(invocation.standing)


async def about_grant(context: Context, invocation: Invocation, given: Granted) -> Scope:
    """What it takes to give this role in place of what they have."""
    whom = granting.who(context, invocation, given.who)
    return await granting.scope(context, whom, given.role, given.agent or EVERYWHERE)


async def about_revoke(context: Context, invocation: Invocation, given: Revoked) -> Scope:
    """What it takes to take away what they have."""
    whom = granting.who(context, invocation, given.who)
    return await granting.scope(context, whom, None, given.agent or EVERYWHERE)


async def list_roles(context: Context, invocation: Invocation, given: Listed) -> Reply:
    """Who has which role, for which agent, since when and by whom."""
    wanted = None if given.who is None else granting.who(context, invocation, given.who)

    def read(db: sqlite3.Connection) -> tuple[list[Grant], dict[tuple[str, str], str]]:
        return people.grants(db), people.names(db)

    grants, names = await context.db.read(read)
    mine = [
        each
        for each in grants
        if may(invocation.standing.of(each.agent or None), "admin")
        and (wanted is None or (each.channel, each.of, each.is_group) == _key(wanted))
    ]
    if not mine:
        return Reply(NOBODY, [])
    data = [entry(each, names) for each in mine]
    rows = [[one["who"], one["name"], one["role"], one["agent"] or "all", one["since"]] for one in data]
    return Reply(shown.table([["WHO", "NAME", "ROLE", "AGENT", "SINCE"], *rows]), data)


def _key(whom: Who) -> tuple[str, str, bool]:
    return whom.ref.channel, whom.ref.id, whom.is_group


def entry(grant: Grant, names: dict[tuple[str, str], str]) -> dict[str, Any]:
    """A role as data."""
    prefix = granting.GROUP if grant.is_group else ""
    return {
        "who": f"{prefix}{grant.channel}:{grant.of}",
        "name": "" if grant.is_group else names.get((grant.channel, grant.of), ""),
        "role": grant.role,
        "agent": grant.agent or None,
        "since": shown.iso(grant.at),
        "by": grant.by,
    }


async def grant(context: Context, invocation: Invocation, given: Granted) -> Reply:
    """Gives somebody a role in place of the one they have there."""
    known_agent(context, given.agent)
    whom = granting.who(context, invocation, given.who)
    return await put(context, invocation, whom, given.role, given.agent, yes=given.yes, action="role grant")


async def revoke(context: Context, invocation: Invocation, given: Revoked) -> Reply:
    """Takes somebody's role away."""
    whom = granting.who(context, invocation, given.who)
    return await put(context, invocation, whom, None, given.agent, yes=given.yes, action="role revoke")


def known_agent(context: Context, agent: str | None) -> None:
    """Raises CommandFailed where there is no agent of this name."""
    if agent is not None and agent not in context.roster:
        raise CommandFailed(NO_AGENT.format(agent=agent, known=", ".join(sorted(context.roster))))


async def put(
    context: Context,
    invocation: Invocation,
    whom: Who,
    role: Role | None,
    agent: str | None,
    *,
    yes: bool,
    action: str,
) -> Reply:
    """Changes a role, or says first what that would take from an owner, or from whoever does it."""
    where = agent or EVERYWHERE
    if not yes:
        ref = whom.ref
        found = await context.db.read(
            partial(people.granted, channel=ref.channel, of=ref.id, agent=where, is_group=whom.is_group)
        )
        before = None if found is None else found.role
        myself = (ref.channel, ref.id) == (invocation.channel, invocation.actor.id) and not whom.is_group
        if before is not None and before != role and (before == "owner" or myself):
            return _warning(whom, before, role, agent, action, myself=myself)
    now = context.clock()

    def work(db: sqlite3.Connection) -> Change:
        return granting.change(db, whom, role, where, invocation=invocation, action=action, now=now)

    return granting.told(await context.db.write(work), invocation)


def _warning(
    whom: Who, before: Role, role: Role | None, agent: str | None, action: str, *, myself: bool
) -> Reply:
    arguments = {"who": str(whom), "yes": "true"}
    if role is not None and action == "role grant":
        arguments["role"] = role
    if agent is not None:
        arguments["agent"] = agent
    is_now = f"{before} for {agent}" if agent else before
    text = RISKY.format(who=whom, role=is_now, self_too=_ME_TOO if myself else "")
    data = {"who": str(whom), "agent": agent, "before": before, "after": role, "done": False}
    return Reply(text, data, buttons=[Option("Yes, change it", action, arguments)])


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "role list",
        "who has which role, and for which agent",
        Listed,
        list_roles,
        level="admin",
        about=about_any,
    ),
    Command(
        "role grant",
        "make somebody an owner, an admin or a member",
        Granted,
        grant,
        level="admin",
        about=about_grant,
        changes=True,
    ),
    Command(
        "role revoke",
        "take somebody's role away",
        Revoked,
        revoke,
        level="admin",
        about=about_revoke,
        changes=True,
    ),
)
