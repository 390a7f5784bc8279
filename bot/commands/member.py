"""Commands about members, the people whom an agent answers: member list, add, remove, show, undeny."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from pydantic import Field

from bot.access import may
from bot.commands import granting, shown
from bot.commands.context import Context
from bot.commands.granting import AgentName, Change, Who
from bot.commands.registry import Command, Invocation, Parameters, Reply, Scope
from bot.commands.role import Whom, entry, known_agent, put
from bot.db import audit, inbox, people, sessions
from bot.db.people import EVERYWHERE, Grant, Seen, Standing
from bot.db.sessions import SessionRecord
from bot.errors import CommandFailed

NOBODY: Final = "There are no members that you may see."
MORE_ALREADY: Final = "{who} is {role} already, which is more than a member; nothing was changed."
NOT_A_MEMBER: Final = "{who} is {role}, and no mere member: `{revoke}` takes that away."
NOT_DENIED: Final = "Nobody has denied {who}{where}; nothing was changed."
STRANGER: Final = "a stranger"
LISTED: Final = 10


class Member(Whom):
    """A person or a group, and an agent."""

    agent: AgentName = Field(
        None, min_length=1, max_length=100, description="for this agent only; else for all of them"
    )


class OfAgent(Parameters):
    """Whose members are listed."""

    agent: AgentName = Field(
        None, min_length=1, max_length=100, description="of this agent only; else of all of them"
    )


@dataclass(frozen=True)
class Known:
    """Everything that is known of somebody."""

    grants: list[Grant]
    standing: Standing
    seen: Seen | None
    spoken_at: int | None
    conversations: list[SessionRecord]


async def about_listed(_: Context, invocation: Invocation, given: OfAgent) -> Scope:
    """The agent whose members they are, else any of which one is an admin."""
    return Scope.of_any(invocation.standing) if given.agent is None else Scope(given.agent)


async def about_any(_: Context, invocation: Invocation, __: Parameters) -> Scope:
    """Whoever is an admin of any agent may look; each sees what is theirs."""
    return Scope.of_any(invocation.standing)


async def about_add(context: Context, invocation: Invocation, given: Member) -> Scope:
    """An admin of the agent makes its members."""
    granting.who(context, invocation, given.who)
    return Scope(given.agent)


async def list_members(context: Context, invocation: Invocation, given: OfAgent) -> Reply:
    """Whom the agents answer, by people and by groups."""
    known_agent(context, given.agent)

    def read(db: sqlite3.Connection) -> tuple[list[Grant], dict[tuple[str, str], str]]:
        return people.grants(db), people.names(db)

    grants, names = await context.db.read(read)
    mine = [
        each
        for each in grants
        if may(invocation.standing.of(each.agent or given.agent), "admin")
        and (given.agent is None or each.agent in ("", given.agent))
    ]
    if not mine:
        return Reply(NOBODY, [])
    data = [entry(each, names) for each in mine]
    rows = [[one["who"], one["name"], one["role"], one["agent"] or "all"] for one in data]
    return Reply(shown.table([["WHO", "NAME", "ROLE", "AGENT"], *rows]), data)


async def add(context: Context, invocation: Invocation, given: Member) -> Reply:
    """Lets somebody talk to an agent, or to all of them. Whoever has a higher role keeps it."""
    known_agent(context, given.agent)
    whom = granting.who(context, invocation, given.who)
    agent, now, ref = given.agent or EVERYWHERE, context.clock(), whom.ref

    def work(db: sqlite3.Connection) -> Change:
        found = people.granted(db, ref.channel, ref.id, agent, is_group=whom.is_group)
        if found is not None and found.role != "member":
            raise CommandFailed(MORE_ALREADY.format(who=ref, role=found.role))
        return granting.change(db, whom, "member", agent, invocation=invocation, action="member add", now=now)

    return granting.told(await context.db.write(work), invocation)


async def remove(context: Context, invocation: Invocation, given: Member) -> Reply:
    """They are a member no more. Whoever has a higher role keeps it."""
    whom = granting.who(context, invocation, given.who)
    ref, agent = whom.ref, given.agent or EVERYWHERE
    found = await context.db.read(
        partial(people.granted, channel=ref.channel, of=ref.id, agent=agent, is_group=whom.is_group)
    )
    if found is not None and found.role != "member":
        revoke = invocation.spelled(f"role revoke {whom} {agent}".rstrip())
        raise CommandFailed(NOT_A_MEMBER.format(who=ref, role=found.role, revoke=revoke))
    reply = await put(context, invocation, whom, None, given.agent, yes=True, action="member remove")
    left = (
        []
        if whom.is_group
        else await context.db.read(partial(people.grants_to, channel=ref.channel, user_id=ref.id))
    )
    if not left:
        return reply
    still = "; ".join(each.told for each in left)
    return Reply(f"{reply.text} They are still: {still}.", reply.data, reply.buttons)


async def undeny(context: Context, invocation: Invocation, given: Member) -> Reply:
    """An admin is asked about somebody again who was denied."""
    whom = granting.who(context, invocation, given.who)
    ref, agent, now = whom.ref, given.agent or EVERYWHERE, context.clock()

    def work(db: sqlite3.Connection) -> bool:
        if agent not in people.standing(db, ref.channel, ref.id).denied:
            return False
        people.undeny(db, ref.channel, ref.id, agent)
        audit.record(
            db, invocation.by, "member undeny", whom.subject, now=now, agent=given.agent,
            before={"denied": True}, after={"denied": False},
        )  # fmt: skip
        return True

    where = f" for the agent {given.agent}" if given.agent else ""
    data = {"who": str(whom), "agent": given.agent}
    if not await context.db.write(work):
        return Reply(NOT_DENIED.format(who=whom, where=where), data)
    return Reply(f"{whom} is not denied{where} any more: an admin is asked when they write.", data)


async def show(context: Context, invocation: Invocation, given: Whom) -> Reply:
    """Everything that is known of somebody: roles and where they come from, denials, and where they have spoken."""
    whom = granting.who(context, invocation, given.who)
    known = await context.db.read(partial(_known, whom=whom))
    mine = [each for each in known.grants if may(invocation.standing.of(each.agent or None), "admin")]
    denied = sorted(
        each for each in known.standing.denied if may(invocation.standing.of(each or None), "admin")
    )
    spoken = [each for each in known.conversations if may(invocation.standing.of(each.agent), "admin")]
    data = {
        "who": str(whom),
        "name": None if known.seen is None else known.seen.name,
        "roles": [entry(each, {}) for each in mine],
        "groups": [] if known.seen is None else list(known.seen.groups),
        "denied": [each or None for each in denied],
        "last_spoken": None if known.spoken_at is None else shown.iso(known.spoken_at),
        "sessions": [
            {"id": each.id, "agent": each.agent, "place": shown.place(each.route)} for each in spoken
        ],
    }
    return Reply(_text(whom, known, mine, denied, spoken), data)


def _known(db: sqlite3.Connection, whom: Who) -> Known:
    ref = whom.ref
    if whom.is_group:
        own = [
            each
            for each in people.grants(db)
            if each.is_group and (each.channel, each.of) == (ref.channel, ref.id)
        ]
        return Known(own, Standing(), None, None, [])
    seen = people.sees(db, ref.channel, ref.id)
    groups = () if seen is None else seen.groups
    return Known(
        people.grants_to(db, ref.channel, ref.id, groups),
        people.standing(db, ref.channel, ref.id, groups),
        seen,
        inbox.last_said(db, ref.channel, ref.id),
        sessions.spoken_in(db, ref.channel, ref.id, LISTED),
    )


def _text(
    whom: Who, known: Known, grants: list[Grant], denied: list[str], spoken: list[SessionRecord]
) -> str:
    named = "" if known.seen is None else f" ({shown.beginning(known.seen.name, 80)})"
    lines = [f"{whom}{named}: {'; '.join(each.told for each in grants) or STRANGER}"]
    if known.seen is not None and known.seen.groups:
        lines.append(f"Groups, as the platform told last: {', '.join(known.seen.groups)}")
    if denied:
        lines.append(f"Denied: {', '.join(each or 'for all agents' for each in denied)}")
    if not whom.is_group:
        at = "never" if known.spoken_at is None else shown.iso(known.spoken_at)
        lines.append(f"Last spoken: {at}")
    lines += [f"Session {each.id}: {each.agent}, {shown.place(each.route)}" for each in spoken]
    return "\n".join(lines)


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "member list", "whom the agents answer", OfAgent, list_members, level="admin", about=about_listed
    ),
    Command(
        "member add",
        "let somebody talk to an agent, or to all",
        Member,
        add,
        level="admin",
        about=about_add,
        changes=True,
    ),
    Command(
        "member remove",
        "let them talk no more",
        Member,
        remove,
        level="admin",
        about=about_add,
        changes=True,
    ),
    Command("member show", "all that is known of somebody", Whom, show, level="admin", about=about_any),
    Command(
        "member undeny",
        "be asked about somebody again who was denied",
        Member,
        undeny,
        level="admin",
        about=about_add,
        changes=True,
    ),
)
