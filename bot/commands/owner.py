"""Commands about who owns the bot: owner code."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from bot import surfaces
from bot.commands import completion
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.registry import Command, Invocation, Parameters, Reply
from bot.db import people
from bot.errors import CommandFailed


class Where(Parameters):
    """A channel adapter by its name."""

    channel: Annotated[str, Completes(completion.channels)] = Field(
        description="the platform, by the name of its adapter"
    )


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
    made = await context.db.write(lambda db: people.new_code(db, given.channel, now=now))
    claim = surfaces.spelled(given.channel, f"claim {made}")
    text = f"Send the bot on {given.channel} the command `{claim}`. Older codes are void."
    return Reply(text, {"channel": given.channel, "code": made})


COMMANDS: Final = (
    Command("owner code", "a new code with which the first owner claims the bot", Where, code, level="owner"),
)
