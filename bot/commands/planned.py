"""Which schedule, and which conversation, a command about schedules means; and what can be pressed beneath one."""

from __future__ import annotations

import sqlite3
from typing import Final

from agent.protocol.messages import Route
from bot.access import may
from bot.commands import refs
from bot.commands.completion import ALL
from bot.commands.context import Context
from bot.commands.registry import Invocation, Scope
from bot.db import series
from bot.db import sessions as rows
from bot.db.cards import Option
from bot.db.series import SeriesRecord
from bot.db.sessions import SessionRecord
from bot.errors import CommandFailed

GONE: Final = "There is no schedule {id}; `{listing}` shows them."


async def find(context: Context, invocation: Invocation, prefix: str) -> SeriesRecord:
    """The schedule whose id begins so: an admin's of its agent, or one of this conversation. One that is neither is as
    unknown as one that never was. Raises CommandFailed."""
    here = await _here(context, invocation.route)

    def look(db: sqlite3.Connection) -> list[SeriesRecord]:
        found = series.by_prefix(db, prefix)
        return [
            each
            for each in found
            if (record := rows.get(db, each.session)) is not None
            and (may(invocation.standing.of(record.agent), "admin") or (here and each.session == here.id))
        ]

    found = await context.db.read(look)
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandFailed(f"More than one schedule begins with {prefix}; give more of its id.")
    raise CommandFailed(GONE.format(id=prefix, listing=invocation.spelled("schedule list")))


async def about(context: Context, invocation: Invocation, prefix: str) -> Scope:
    """The agent of a schedule. Raises CommandFailed."""
    found = await find(context, invocation, prefix)
    record = await context.db.read(lambda db: rows.get(db, found.session))
    return Scope(None if record is None else record.agent)


async def about_session(context: Context, invocation: Invocation, prefix: str) -> Scope:
    """The agent of a session; without one that of the place. Raises CommandFailed."""
    if prefix:
        return Scope((await context.session(prefix, invocation)).agent)
    return Scope(None if invocation.route is None else context.agent_of(invocation.route))


async def about_list(context: Context, invocation: Invocation, prefix: str) -> Scope:
    """Those of other conversations are for admins. Raises CommandFailed."""
    if prefix == ALL or (not prefix and invocation.route is None):
        return Scope(Scope.of_any(invocation.standing).agent, "admin")
    scope = await about_session(context, invocation, prefix)
    return Scope(scope.agent, "admin") if prefix else scope


def place(context: Context, invocation: Invocation, given: str) -> Route:
    """Where a new schedule runs. Raises CommandFailed."""
    if not given:
        if invocation.route is None:
            listing = invocation.spelled("session list")
            raise CommandFailed(f"Say for which session, or in which place; `{listing}` shows the sessions.")
        return invocation.route
    ref = refs.parse(given, "place", channel=invocation.channel, known=set(context.channels))
    here = invocation.route
    if here is not None and (here.channel, here.platform_id) == (ref.channel, ref.id):
        return here
    return Route(channel=ref.channel, platform_id=ref.id)


async def home(context: Context, invocation: Invocation, session: str, route: str) -> SessionRecord | Route:
    """The session that a new schedule is for, or the place that has none yet. Raises CommandFailed."""
    if session:
        if route:
            raise CommandFailed("Say either the session or the place.")
        return await context.session(session, invocation)
    return place(context, invocation, route)


def agent_of(context: Context, where: SessionRecord | Route) -> str:
    """Whose it would be."""
    return where.agent if isinstance(where, SessionRecord) else context.agent_of(where)


def buttons(found: SeriesRecord, *, named: bool = False) -> list[Option]:
    """What can be done with a schedule that has not ended; `named`: several stand there."""
    if found.status not in ("active", "paused"):
        return []
    label = f" {found.id}" if named else ""
    rest = ("Pause", "pause") if found.status == "active" else ("Resume", "resume")
    given: dict[str, str] = {"id": found.id}
    shown = [
        Option(f"{rest[0]}{label}", f"schedule {rest[1]}", given),
        Option(f"Run now{label}", "schedule run", given),
    ]
    return shown if named else [*shown, Option("Cancel", "schedule cancel", given)]


async def _here(context: Context, route: Route | None) -> SessionRecord | None:
    return None if route is None else await context.found_at(route)
