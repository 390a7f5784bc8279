"""How commands name places, what these are completed with, and whom a command about a place is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from pydantic import Field, model_validator

from agent.protocol.messages import Route
from bot.access import may
from bot.commands import refs
from bot.commands.context import NO_PLACE, Context
from bot.commands.refs import PlaceName, Ref
from bot.commands.registry import Invocation, Parameters, Scope
from bot.db import notes
from bot.db import sessions as rows
from bot.engage import Wiring
from bot.errors import CommandFailed

HERE: Final = "here"
"""The word for the place in which a command is given."""
UNHEARD: Final = (
    "Nobody has talked with me there yet. If that place is of another server, or I am not in it, nobody will be"
    " answered there; check the id."
)
PRIVATE: Final = "That is a direct conversation of one person with me."
_SLACK_DIRECT: Final = "D"
_DISCORD_DIRECT: Final = "discord:dm:"
"""Under such a key its adapter remembers each direct conversation."""


class AtPlace(Parameters):
    """A place, which may be left out where the others are given as words: it is the one of the command then."""

    place: PlaceName = Field(HERE, description=f"the channel; {HERE} or left out: this one")

    @model_validator(mode="before")
    @classmethod
    def _place_may_be_left_out(cls, given: Any) -> Any:
        """Of words that are one too few the first is no place, where another one is missing."""
        needed = [name for name, field in cls.model_fields.items() if field.is_required()]
        if not isinstance(given, dict) or not needed or "place" not in given:
            return given
        names = list(cls.positional())[: len(needed) + 1]
        if [name for name in names if name in given] != names[:-1] or set(given) - set(names):
            return given
        return dict(zip(names[1:], (given[name] for name in names[:-1]), strict=True))


@dataclass(frozen=True)
class Target:
    """The place that is meant. `remark` is for whoever has named it: that nobody knows it, or that it is private."""

    route: Route
    remark: str | None = None

    @property
    def subject(self) -> str:
        """For the audit."""
        return f"place:{self}"

    def __str__(self) -> str:
        return f"{self.route.channel}/{self.route.platform_id}"

    @classmethod
    def at(cls, route: Route) -> Self:
        """A place with all its threads."""
        return cls(Route(channel=route.channel, platform_id=route.platform_id))


def named(context: Context, invocation: Invocation, text: str) -> Target:
    """What somebody has named. Raises CommandFailed."""
    if text.lower() == HERE:
        if invocation.route is None:
            raise CommandFailed(f"{NO_PLACE.removesuffix('.')}, or names a place: discord:123 or slack:C123.")
        return Target.at(invocation.route)
    found: Ref = refs.parse(text, "place", channel=invocation.channel, known=set(context.channels))
    return Target(Route(channel=found.channel, platform_id=found.id))


async def looked_up(context: Context, invocation: Invocation, text: str) -> Target:
    """The same, with what is to be said about it. Raises CommandFailed, DatabaseError."""
    target = named(context, invocation, text)
    channel, platform_id = target.route.channel, target.route.platform_id
    if text.lower() == HERE:
        return target
    seen, direct = await context.db.read(
        lambda db: (
            bool(rows.at_place(db, channel, platform_id)),
            notes.get(db, f"{_DISCORD_DIRECT}{platform_id}") is not None,
        )
    )
    if (channel == "discord" and direct) or (channel == "slack" and platform_id.startswith(_SLACK_DIRECT)):
        return Target(target.route, PRIVATE)
    named_there = context.place_names.of(channel, platform_id) is not None
    known = (
        seen
        or named_there
        or (channel, platform_id) in context.wirings.known_places()
        or text.startswith("<#")
    )
    return target if known else Target(target.route, UNHEARD)


def scope(served: Sequence[Wiring], invocation: Invocation, *, all_: bool) -> Scope:
    """Whom something about a place is about. With `all_` it takes a role for every agent that serves there, else for
    one of them; who has neither needs one everywhere."""
    agents = [each.agent for each in served]
    mine = [name for name in agents if may(invocation.standing.of(name), "admin")]
    if mine and (len(mine) == len(agents) or not all_):
        return Scope(mine[0])
    return Scope(None)


async def about_any(context: Context, invocation: Invocation, given: AtPlace) -> Scope:
    """Whoever is an admin of one of its agents."""
    return scope(context.wirings.at(named(context, invocation, given.place).route), invocation, all_=False)


async def about_all(context: Context, invocation: Invocation, given: AtPlace) -> Scope:
    """Whoever is an admin of all of its agents."""
    return scope(context.wirings.at(named(context, invocation, given.place).route), invocation, all_=True)
