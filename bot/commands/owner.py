"""Commands about who owns the bot: owner code, list, add, remove."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Annotated, Any, Final

from pydantic import Field

from bot import surfaces
from bot.commands import completion, granting, shown
from bot.commands.context import Context
from bot.commands.conversation import Code, claim
from bot.commands.options import Completes
from bot.commands.registry import Command, Invocation, NoParameters, Parameters, Reply
from bot.commands.role import Whom, entry, put
from bot.db import audit, people
from bot.errors import CommandFailed

NOBODY: Final = "Nobody owns the bot yet."
NOT_AN_OWNER: Final = "{who} is no owner; nothing was changed."


class Where(Parameters):
    """A channel adapter by its name."""

    channel: Annotated[str, Completes(completion.channels)] = Field(
        description="the platform, by the name of its adapter"
    )


class Removed(Whom):
    """An owner who is to be none any more."""

    yes: bool = Field(False, description="do it; else what would be lost is only said")


async def code(context: Context, invocation: Invocation, given: Where) -> Reply:
    """Makes a code with which the first owner claims the bot on a channel; the one before is void."""
    if invocation.channel != "control":
        # In a channel everybody could read it.
        raise CommandFailed(
            "A code is only printed on the service's own machine: `roost owner code CHANNEL`."
        )
    if given.channel not in context.channels:
        known = ", ".join(sorted(context.channels))
        raise CommandFailed(f"There is no channel {given.channel}; there are: {known}.")
    if await context.db.read(lambda db: people.has_owner(db, given.channel)):
        raise CommandFailed(f"The bot has an owner on {given.channel} already.")
    now = context.clock()

    def make(db: sqlite3.Connection) -> str:
        audit.record(db, invocation.by, "owner code", f"channel:{given.channel}", now=now)
        return people.new_code(db, given.channel, now=now)

    made = await context.db.write(make)
    claim = surfaces.spelled(given.channel, f"claim {made}")
    text = f"Send the bot on {given.channel} the command `{claim}`. Older codes are void."
    return Reply(text, {"channel": given.channel, "code": made})


async def list_owners(context: Context, _: Invocation, __: NoParameters) -> Reply:
    """Who owns the bot, on each channel."""
    grants = await context.db.read(people.grants)
    names = await context.db.read(people.names)
    data = [entry(each, names) for each in grants if each.role == "owner"]
    rows = [[one["who"], one["name"], one["since"]] for one in data]
    return Reply(shown.table([["WHO", "NAME", "SINCE"], *rows]) if data else NOBODY, data)


async def add(context: Context, invocation: Invocation, given: Whom) -> Reply:
    """Makes somebody an owner."""
    whom = granting.who(context, invocation, given.who)
    return await put(context, invocation, whom, "owner", None, yes=True, action="owner add")


async def remove(context: Context, invocation: Invocation, given: Removed) -> Reply:
    """They own the bot no more. The last owner of a channel stays one."""
    whom = granting.who(context, invocation, given.who)
    ref = whom.ref
    found = await context.db.read(partial(people.granted, channel=ref.channel, of=ref.id, agent=""))
    if whom.is_group or found is None or found.role != "owner":
        raise CommandFailed(NOT_AN_OWNER.format(who=whom))
    return await put(context, invocation, whom, None, None, yes=given.yes, action="owner remove")


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "owner code",
        "a new code with which the first owner claims the bot",
        Where,
        code,
        level="owner",
        changes=True,
    ),
    Command(
        "owner claim",
        "become the owner, with the code printed at the start",
        Code,
        partial(claim, action="owner claim"),
        level="anyone",
        changes=True,
    ),
    Command("owner list", "who owns the bot", NoParameters, list_owners, level="admin"),
    Command("owner add", "make somebody an owner", Whom, add, level="owner", changes=True),
    Command("owner remove", "take that away again", Removed, remove, level="owner", changes=True),
)
