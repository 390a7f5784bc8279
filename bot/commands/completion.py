"""What an option is completed with while somebody types it.

Each source takes the context and what is typed, reads bot.db at most once, and lists only what whoever types may see.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from adapters.offers import Suggestion
from adapters.terminal.text import plain
from agent.protocol.messages import Route, Schedule
from bot.commands import shown
from bot.commands.context import Context
from bot.commands.registry import MAX_SUGGESTIONS, Asked
from bot.commands.scopes import administered
from bot.db import dead_letters, series
from bot.db import sessions as rows
from bot.db.sessions import SessionRecord

LOOKED_AT: Final = 200
"""How many schedules or dead letters are looked at for one completion."""
ALL: Final = "all"
CONFIGURED: Final = "default"
"""The name for the model that is configured, whatever it is."""
MINUTE_MS: Final = 60_000


async def sessions(context: Context, asked: Asked) -> list[Suggestion]:
    """The sessions, those of the place where it is typed first."""
    mine = administered(asked.invocation.standing)
    if mine == set():
        return []
    typed, route, now = asked.typed, asked.invocation.route, context.now()
    limit = MAX_SUGGESTIONS if mine is None else LOOKED_AT
    found = await context.db.read(lambda db: rows.like(db, typed, near=route, limit=limit))
    seen = [each for each in found if mine is None or each.agent in mine]
    return [Suggestion(each.id, _session(each, route, now)) for each in seen]


async def sessions_or_all(context: Context, asked: Asked) -> list[Suggestion]:
    """The same, or all of them."""
    everything = Suggestion(ALL, "all: every conversation")
    found = await sessions(context, asked)
    return [everything, *found] if found and _fits(asked, ALL) else found


async def schedules(context: Context, asked: Asked) -> list[Suggestion]:
    """The schedules that may still run: of one's own conversation and, for admins, of their agents."""
    route, mine = asked.invocation.route, administered(asked.invocation.standing)
    if route is None:
        return []
    here = await context.found_at(route)
    found = await context.db.read(lambda db: _schedules(db, here, mine))
    suggested = [Suggestion(each.series_id, _schedule(each)) for each in found]
    return [each for each in suggested if _fits(asked, each.label)]


async def letters(context: Context, asked: Asked) -> list[Suggestion]:
    """The dead letters that are kept or being sent again, the newest first; for whoever is an admin of all agents."""
    if administered(asked.invocation.standing) is not None:
        return []
    found = await context.db.read(lambda db: dead_letters.listed(db, None, everything=False, limit=LOOKED_AT))
    suggested = [
        Suggestion(each.id, _one_line(f"{each.id}  {shown.place(each.route)}  {each.preview or each.reason}"))
        for each in found
    ]
    return [each for each in suggested if _fits(asked, each.label)]


async def letters_or_all(context: Context, asked: Asked) -> list[Suggestion]:
    """The same, or all of them."""
    everything = Suggestion(ALL, "all: every dead letter that is kept")
    found = await letters(context, asked)
    return [everything, *found] if found and _fits(asked, ALL) else found


async def models(context: Context, asked: Asked) -> list[Suggestion]:
    """The models that agents are configured with; any other may be named as well."""
    known = sorted({agent.model for agent in context.roster.values() if agent.model is not None})
    suggested = [
        Suggestion(CONFIGURED, f"{CONFIGURED}: the configured one"),
        *(Suggestion(each, each) for each in known),
    ]
    return [each for each in suggested if _fits(asked, each.value)]


async def channels(context: Context, asked: Asked) -> list[Suggestion]:
    """The adapters."""
    return [Suggestion(each, each) for each in sorted(context.channels) if _fits(asked, each)]


def _schedules(db: sqlite3.Connection, here: SessionRecord | None, agents: set[str] | None) -> list[Schedule]:
    """Those of the conversation first, then those of these agents, or of all."""
    own = [] if here is None else series.told(db, here.id, LOOKED_AT)
    known = {each.series_id for each in own}
    others = series.told(db, None, LOOKED_AT, agents=agents)
    return [*own, *(each for each in others if each.series_id not in known)]


def _fits(asked: Asked, text: str) -> bool:
    return asked.typed.lower() in text.lower()


def _session(record: SessionRecord, here: Route | None, now: int) -> str:
    place = "here" if record.route == here else shown.place(record.route)
    return _one_line(f"{record.id}  {place}  {_ago(now - record.last_active)}")


def _schedule(found: Schedule) -> str:
    state = "paused" if found.next_at is None else found.recurrence or "active"
    return _one_line(f"{found.series_id}  {state}  {found.prompt}")


def _ago(elapsed_ms: int) -> str:
    minutes = max(elapsed_ms, 0) // MINUTE_MS
    if minutes < 1:
        return "active just now"
    for count, unit in ((minutes // 1440, "d"), (minutes // 60, "h")):
        if count:
            return f"active {count} {unit} ago"
    return f"active {minutes} min ago"


def _one_line(text: str) -> str:
    return "  ".join(" ".join(part.split()) for part in plain(text).split("  ") if part.strip())
