"""The command usage: what was spent on models, in tokens and in money."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any, Final

from pydantic import Field

from bot import money
from bot.access import may
from bot.commands import refs, shown
from bot.commands.context import Context
from bot.commands.refs import Person, PlaceName
from bot.commands.registry import Command, Invocation, Parameters, Reply, Scope
from bot.db import usage
from bot.db.usage import By, Used, Wanted
from bot.errors import CommandFailed
from bot.money import MICROS

SHOWN: Final = 30
HERE: Final = "here"
ME: Final = "me"
NO_DAY: Final = '"{text}" is no day: give one such as 2026-01-31, today, yesterday, month, or 7d.'
YOUR_OWN: Final = "You can see your own usage only; an admin sees that of others."
_DAYS: Final = re.compile(r"(\d{1,4})\s*d(?:ays?)?")


class Question(Parameters):
    """What is asked for."""

    by: By | None = Field(None, description="what it is broken down by")
    since: str = Field(
        "month", max_length=40, description="from this day on: 2026-01-31, today, 7d, or month"
    )
    until: str = Field("today", max_length=40, description="up to this day, and it as well")
    agent: str | None = Field(None, max_length=100, description="of this agent alone")
    person: Person | None = Field(None, description="of this person alone; me is yourself")
    place: PlaceName | None = Field(None, description="in this place alone; here is this one")


async def about(context: Context, invocation: Invocation, _: Question) -> Scope:
    """Everybody sees their own part: it is about the place, or else about the agent of which somebody is most."""
    here = None if invocation.route is None else context.agent_of(invocation.route)
    if invocation.guest or may(invocation.standing.of(here), "member"):
        return Scope(here)
    return Scope.of_any(invocation.standing)


async def show(context: Context, invocation: Invocation, given: Question) -> Reply:
    """A table and its total: of everything for an admin, of their agents for theirs, of their own for anybody."""
    wanted = _wanted(context, invocation, given)
    by = given.by or ("agent" if _sees_others(invocation) else "day")
    found = await context.db.read(lambda db: (usage.by(db, by, wanted, SHOWN + 1), usage.total(db, wanted)))
    lines, total = found
    data = {
        "by": by,
        "since": wanted.since,
        "until": wanted.until,
        "person": wanted.person,
        "lines": [_data(each) for each in lines[:SHOWN]],
        "total": _data(total),
    }
    whose = " of yours" if wanted.person == _me(invocation) else ""
    if not total.turns:
        return Reply(f"Nothing{whose} was used from {wanted.since} to {wanted.until}.", data)
    rows = [_row(each) for each in lines[:SHOWN]]
    more = [f"(and more; the {SHOWN} largest are shown)"] if len(lines) > SHOWN else []
    header = [by.upper(), "TURNS", "IN", "OUT", "CACHE", "USD", "TIME"]
    heading = f"Usage{whose} from {wanted.since} to {wanted.until} (days of UTC):"
    return Reply("\n".join([heading, shown.table([header, *rows, _row(total)]), *more]), data)


def _wanted(context: Context, invocation: Invocation, given: Question) -> Wanted:
    """Raises CommandFailed."""
    today = date.fromisoformat(money.day_of(context.clock()))
    since, until = _day(given.since, today), _day(given.until, today)
    if until < since:
        raise CommandFailed(f"{until} is before {since}.")
    person, agents = _whose(context, invocation, given)
    if given.agent is not None and given.agent not in context.roster and agents is None:
        known = ", ".join(context.roster)
        raise CommandFailed(f"There is no agent {given.agent}; known: {known}.")
    place = _place(context, invocation, given.place)
    return Wanted(since.isoformat(), until.isoformat(), given.agent, person, place, agents)


def _whose(context: Context, invocation: Invocation, given: Question) -> tuple[str | None, list[str] | None]:
    """The person and the agents that it is bounded to. Raises CommandFailed for what somebody may not see."""
    named = _person(context, invocation, given.person)
    if may(invocation.standing.everywhere, "admin"):
        return named, None
    mine = [name for name, role in invocation.standing.agents.items() if may(role, "admin")]
    if mine and named != _me(invocation):
        if given.agent is not None and given.agent not in mine:
            raise CommandFailed(YOUR_OWN)
        return named, mine
    if named not in (None, _me(invocation)):
        raise CommandFailed(YOUR_OWN)
    return _me(invocation), None


def _sees_others(invocation: Invocation) -> bool:
    return may(invocation.standing.anywhere, "admin")


def _me(invocation: Invocation) -> str:
    return f"{invocation.channel}:{invocation.actor.id}"


def _person(context: Context, invocation: Invocation, text: str | None) -> str | None:
    if text is None:
        return None
    if text == ME:
        return _me(invocation)
    return str(refs.parse(text, "person", channel=invocation.channel, known=set(context.channels)))


def _place(context: Context, invocation: Invocation, text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    if text == HERE:
        if invocation.route is None:
            raise CommandFailed("There is no place here; name one.")
        return invocation.route.channel, invocation.route.platform_id
    ref = refs.parse(text, "place", channel=invocation.channel, known=set(context.channels))
    return ref.channel, ref.id


def _day(text: str, today: date) -> date:
    """Raises CommandFailed."""
    said = text.strip().lower()
    named = {"today": today, "yesterday": today - timedelta(1), "month": today.replace(day=1)}
    if said in named:
        return named[said]
    if (days := _DAYS.fullmatch(said)) is not None:
        return today - timedelta(int(days[1]))
    try:
        return date.fromisoformat(said)
    except ValueError as exc:
        raise CommandFailed(NO_DAY.format(text=text[:40])) from exc


def _row(used: Used) -> list[str]:
    tokens = used.tokens
    return [
        used.name or "(nobody)",
        f"{used.turns:,}",
        money.tokens(tokens.input_tokens),
        money.tokens(tokens.output_tokens),
        money.tokens(tokens.cache_write_tokens + tokens.cache_read_tokens),
        money.usd(used.usd_micros),
        _time(used.seconds),
    ]


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
    )


def _data(used: Used) -> dict[str, Any]:
    return {
        "name": used.name,
        "turns": used.turns,
        **asdict(used.tokens),
        "usd": used.usd_micros / MICROS,
        "seconds": round(used.seconds, 3),
    }


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command("usage", "what was spent on models, and by whom", Question, show, about=about),
)
