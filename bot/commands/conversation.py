"""Commands of the conversation in which they are given: clear, stop, whoami, claim."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Final

from pydantic import Field

from bot.commands.context import Context
from bot.commands.registry import Command, Invocation, NoParameters, Parameters, Reply
from bot.db import audit, people
from bot.errors import CommandFailed
from bot.surfaces import CONTROL

ELSEWHERE: Final = (
    "Whoever reads this owns the service already. Give the code where you want to be its owner: say there"
    " `/roost claim CODE`; `roost owner code CHANNEL` prints a new one."
)


class Code(Parameters):
    """A one-time code."""

    code: str = Field(description="the one-time code from the service's log")


async def clear(context: Context, invocation: Invocation, _: NoParameters) -> Reply:
    """Forgets this conversation; the next message starts a new one."""
    record = await context.here(invocation.route)
    await context.operations.clear(record.id, by=invocation.by)
    return Reply("Cleared: the next message starts with a fresh memory.", {"session": record.id})


async def stop(context: Context, invocation: Invocation, _: NoParameters) -> Reply:
    """Stops what runs here, of each agent of the place to whom you may talk."""
    running = await context.all_at(invocation)
    stopped = any([await context.operations.interrupt(each.id) for each in running])
    return Reply("Stopping." if stopped else "Nothing is running.", {"stopped": stopped})


async def whoami(context: Context, invocation: Invocation, _: NoParameters) -> Reply:
    """Says who you are to the bot: your roles here and for each agent, and the groups that you have them through."""
    actor = invocation.actor
    role = "stranger" if invocation.guest else invocation.role or "stranger"
    grants = await context.db.read(
        partial(people.grants_to, channel=invocation.channel, user_id=actor.id, groups=actor.groups)
    )
    lines = [f"You are {actor.name} ({invocation.channel}:{actor.id}), {role}."]
    if invocation.guest:
        lines.append("Strangers are answered in this place.")
    if len(grants) > 1 or any(each.agent or each.is_group for each in grants):
        lines += [f"- {each.told}" for each in grants]
    roles = [
        {
            "role": each.role,
            "agent": each.agent or None,
            "group": each.of if each.is_group else None,
        }
        for each in grants
    ]
    return Reply("\n".join(lines), {"id": actor.id, "role": role, "roles": roles})


async def claim(context: Context, invocation: Invocation, given: Code, *, action: str = "claim") -> Reply:
    """Makes you the owner, with the code that the service printed at its start. `action` is the command's name."""
    now, actor, channel = context.clock(), invocation.actor.id, invocation.channel
    if channel == CONTROL:
        raise CommandFailed(ELSEWHERE)
    if wait_ms := context.guesses.wait_ms(channel, actor):
        raise CommandFailed(f"Too many wrong codes; please wait {-(-wait_ms // 1000)} s before the next one.")

    def work(db: sqlite3.Connection) -> bool:
        if not people.claim(db, channel, actor, given.code, now=now):
            return False
        subject = f"person:{channel}:{actor}"
        audit.record(db, invocation.by, action, subject, now=now, after={"role": "owner"})
        return True

    if not await context.db.write(work):
        context.guesses.was_wrong(channel, actor)
        raise CommandFailed(
            f"This code is not valid; on the service's machine `roost owner code {channel}` prints a new one."
        )
    return Reply("You are the owner now.", {"role": "owner"})


COMMANDS: Final = (
    Command(
        "clear",
        "forget this conversation and start anew",
        NoParameters,
        clear,
        changes=True,
        in_place=True,
    ),
    Command("stop", "stop what runs", NoParameters, stop, in_place=True),
    Command("whoami", "who you are to the bot", NoParameters, whoami, level="anyone"),
    Command(
        "claim",
        "become the owner, with the code printed at the start",
        Code,
        claim,
        level="anyone",
        changes=True,
        in_place=True,
    ),
)
