"""Whose budget a command means, in the words of whoever gives it."""

from __future__ import annotations

from typing import Final

from adapters.offers import Suggestion
from agent.protocol.messages import Route
from bot import money
from bot.access import may
from bot.commands import refs
from bot.commands.context import Context
from bot.commands.registry import Asked, Invocation, Scope
from bot.errors import CommandFailed
from bot.money import BOT, EACH

HERE: Final = "here"
ME: Final = "me"
UNKNOWN: Final = (
    '"{text}" is no budget: say bot, an agent\'s name, here or a channel, me or a person, or {kinds} for each'
    " by itself."
)
EVERY: Final = tuple(f"{kind}:{EACH}" for kind in ("person", "channel", "agent"))


def parse(context: Context, invocation: Invocation, text: str) -> str:
    """The subject: bot, here, me, an agent, a mention of a person or a place, or the subject as it is written. Raises
    CommandFailed."""
    text = text.strip()
    if text in (BOT, *EVERY):
        return text
    if text == HERE:
        if invocation.route is None:
            raise CommandFailed("There is no place here; name one.")
        return f"channel:{invocation.route.channel}:{invocation.route.platform_id}"
    if text == ME:
        return own(invocation)
    name = text.removeprefix("agent:")
    if name in context.roster:
        return f"agent:{name}"
    if text.startswith("<"):
        return _mentioned(context, invocation, text)
    kind, _, named = text.partition(":")
    if kind in ("channel", "person"):
        ref_kind: refs.Kind = "place" if kind == "channel" else "person"
        ref = refs.parse(named, ref_kind, channel=invocation.channel, known=set(context.channels))
        return f"{kind}:{ref.channel}:{ref.id}"
    kinds = ", ".join(EVERY)
    raise CommandFailed(UNKNOWN.format(text=text[:60], kinds=kinds))


def own(invocation: Invocation) -> str:
    """The subject of whoever gives the command."""
    return f"person:{invocation.channel}:{invocation.actor.id}"


def _mentioned(context: Context, invocation: Invocation, text: str) -> str:
    known = set(context.channels)
    kind: refs.Kind = "place" if text.startswith("<#") else "person"
    ref = refs.parse(text, kind, channel=invocation.channel, known=known)
    return f"{'channel' if kind == 'place' else 'person'}:{ref.channel}:{ref.id}"


def scope(context: Context, subject: str) -> Scope:
    """Who may decide about it: an agent's admins about its own budget, and about a place that nobody else serves."""
    kind, _, name = subject.partition(":")
    if kind == "agent" and name != EACH:
        return Scope(name)
    if kind == "channel" and name != EACH:
        channel, _, platform_id = name.partition(":")
        place = Route(channel=channel, platform_id=platform_id)
        agents = {each.agent for each in context.wirings.at(place)}
        if len(agents) == 1:
            return Scope(agents.pop())
    return Scope(None)


def may_see(context: Context, invocation: Invocation, subject: str) -> bool:
    """Whether somebody may know of a budget: its admins, and whoever has it."""
    role = invocation.standing.of(scope(context, subject).agent)
    return subject == own(invocation) or may(role, "admin")


async def suggested(context: Context, asked: Asked) -> list[Suggestion]:
    """The usual ones, those that have a budget, and the agents."""
    named = [BOT, HERE, *EVERY, *(f"agent:{each}" for each in context.roster)]
    known = sorted({subject for subject, _ in context.budgets.all})
    every = dict.fromkeys([*known, *named])
    seen = [each for each in every if each == HERE or may_see(context, asked.invocation, each)]
    return [
        Suggestion(each, "here: this place" if each == HERE else f"{each}: {money.named(each)}")
        for each in seen
        if asked.typed.lower() in each.lower()
    ]
