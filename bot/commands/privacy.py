"""Commands about what is kept of a person: privacy export, forget."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from pydantic import Field

from bot.commands import granting, shown
from bot.commands.context import Context
from bot.commands.refs import Person, Ref, parse
from bot.commands.registry import Command, Invocation, Parameters, Reply, Scope
from bot.db import audit, erasure, people
from bot.db.cards import Option
from bot.errors import CommandFailed
from bot.surfaces import CONTROL

SURE: Final = (
    "This removes what is kept of {who}: {messages} messages with their files, {alone} conversations of theirs alone,"
    " what agents remember of {shared} conversations with others, their schedules, requests and roles. What they have"
    " done as an admin stays in the audit, and what agents have written into files of their own in shared conversations"
    " is not looked through (`{delete}` removes one whole). Backups keep it until they are replaced."
    " It cannot be undone; to do it, {again}"
)
DONE: Final = (
    "What was kept of {who} is removed: {messages} messages, {alone} conversations, {held} requests to be let in,"
    " {schedules} schedules, {roles} roles; the agents of {shared} shared conversations remember nothing of before."
)


class Whose(Parameters):
    """A person."""

    person: Person | None = Field(None, description="who; left out: you")


class Forget(Whose):
    """A person, and whether it is meant."""

    yes: bool = Field(False, description="do it; else only say what would be removed")


async def about(context: Context, invocation: Invocation, given: Whose) -> Scope:
    """Everybody may ask for what is kept of themselves; of others it takes an admin of everything."""
    return Scope(None, "anyone" if _whom(context, invocation, given) == _self(invocation) else "admin")


async def about_forgotten(context: Context, invocation: Invocation, given: Whose) -> Scope:
    """The same; who has a role is forgotten by those who could take it away."""
    found = await about(context, invocation, given)
    if found.level == "anyone":
        return found
    whom = _whom(context, invocation, given)
    roles = await context.db.read(partial(people.grants_to, channel=whom.channel, user_id=whom.id))
    return granting.strictest(found, *(granting.needed(each.role, each.agent) for each in roles))


async def export(context: Context, invocation: Invocation, given: Whose) -> Reply:
    """Everything that is kept of a person, as JSON."""
    whom = _whom(context, invocation, given)
    found = await context.db.read(partial(erasure.everything_of, channel=whom.channel, user_id=whom.id))
    data = {"person": str(whom), "at": shown.iso(context.clock()), **found}
    now = context.clock()
    await context.db.write(
        lambda db: audit.record(db, invocation.by, "privacy export", f"person:{whom}", now=now)
    )
    return Reply(json.dumps(data, indent=2, ensure_ascii=False), data)


async def forget(context: Context, invocation: Invocation, given: Forget) -> Reply:
    """Removes what is kept of a person."""
    whom = _whom(context, invocation, given)
    alone, shared = await context.db.read(partial(erasure.sessions_of, channel=whom.channel, person=whom.id))
    said = await context.db.read(partial(erasure.said_by, channel=whom.channel, person=whom.id))
    counts = {"messages": len(said), "alone": len(alone), "shared": len(shared)}
    if not given.yes:
        again = f"say the same with {invocation.option('yes')}."
        text = SURE.format(who=whom, delete=invocation.spelled("session delete"), again=again, **counts)
        sure = Option("Remove it", "privacy forget", {"person": str(whom), "yes": "true"})
        return Reply(text, {"person": str(whom), "forgotten": False, **counts}, [sure])
    # The rows that say where they have spoken go last: whoever is interrupted here can say the same again.
    for session_id in alone:
        await context.erasing.delete(session_id)
    for session_id in shared:
        await context.erasing.forget(session_id)
    now = context.clock()
    struck = await context.db.write(
        lambda db: erasure.strike(db, erasure.said_by(db, whom.channel, whom.id), now=now)
    )
    # By these rows the files are found, and the next step takes the person's name off them.
    await context.erasing.discard_files(struck)

    def work(db: Any) -> tuple[erasure.Erased, list[erasure.Message]]:
        audit.record(db, invocation.by, "privacy forget", f"person:{whom}", now=now, after=counts)
        # Nobody gets out of a denial, or to another budget, by having themselves forgotten.
        bounds_too = whom != _self(invocation)
        return erasure.person(db, whom.channel, whom.id, bounds_too=bounds_too, now=now)

    erased, messages = await context.db.write(work)
    await context.erasing.discard_files(messages)
    await context.erasing.refresh(shared)
    told = {"held": erased.held, "schedules": erased.schedules, "roles": erased.roles, **counts}
    return Reply(DONE.format(who=whom, **told), {"person": str(whom), "forgotten": True, **told})


def _self(invocation: Invocation) -> Ref | None:
    return None if invocation.channel == CONTROL else Ref(invocation.channel, invocation.actor.id)


def _whom(context: Context, invocation: Invocation, given: Whose) -> Ref:
    """Raises CommandFailed."""
    if given.person is not None:
        return parse(given.person, "person", channel=invocation.channel, known=set(context.channels))
    own = _self(invocation)
    if own is None:
        raise CommandFailed("Say of whom: give their channel and their id (discord:123 or slack:U123).")
    return own


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "privacy export", "everything that is kept of a person", Whose, export, level="anyone", about=about
    ),
    Command(
        "privacy forget",
        "remove what is kept of a person",
        Forget,
        forget,
        level="anyone",
        about=about_forgotten,
        changes=True,
    ),
)
