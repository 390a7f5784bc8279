"""Explaining: what would become of a message, and which rule decides. It asks the same pure functions as the intake
does, of the facts as they are now, and has no effect at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from adapters.base import Event, Sender
from adapters.text import shown_name
from agent.protocol.messages import Route
from bot import access, engage, hearing, strangers
from bot.access import Allow, Ask, Drop, Level
from bot.db import held, people
from bot.db.people import Grant
from bot.engage import Answer, Ignore, Reason, Wiring
from bot.hearing import Fits, Heard
from bot.wirings import Wirings

Remark = Callable[[sqlite3.Connection, Event, Wiring, int], str | None]
"""What else would keep an agent from answering, in a sentence, at that time in epoch milliseconds. It only reads."""

_MODES: Final[Mapping[engage.Mode, str]] = {
    "mention": "it takes what names the bot",
    "mention-sticky": "it takes what names the bot, and all of a thread in which it was asked",
    "all": "it takes everything that is said there",
    "pattern": "it takes what names the bot, and what fits {pattern}",
}
_IGNORED: Final[Mapping[Reason, str]] = {
    "not_addressed": "it is not for the agent: nothing of that holds for it",
    "names_another_agent": "it is not for the agent: it names another agent of the place",
    "means_another_agent": "it is not for the agent: a mention that names no agent means another one here",
    "pattern_failed": "it is not for the agent: its pattern takes too long or is broken, so nobody can tell",
}
_STRANGERS: Final[Mapping[engage.Strangers, str]] = {
    "ignore": "people without a role meet with silence there",
    "refuse": "people without a role are told once in a while that they are not let in",
    "ask": "an admin is asked about people without a role",
    "answer": "people without a role are answered there as members are",
}
_DROPPED: Final[Mapping[str, str]] = {
    "itself": "the bot does not hear itself",
    "bot": "bots are not heard there",
    "denied": "an admin has denied them",
    "stranger": "they have no role for the agent",
    "not_admin": "only admins are heard there",
}


@dataclass(frozen=True)
class Explained:
    """What one agent would make of it: the outcome in one sentence, and how it comes to that, step by step."""

    agent: str
    answers: bool
    outcome: str
    steps: Sequence[str]


def person(db: sqlite3.Connection, channel: str, user_id: str) -> Sender:
    """Somebody as they were seen last: their groups are those that the platform told of then."""
    seen = people.sees(db, channel, user_id)
    return Sender(user_id, user_id) if seen is None else Sender(user_id, seen.name, groups=seen.groups)


def message(
    db: sqlite3.Connection,
    event: Event,
    wirings: Wirings,
    fits: Fits,
    *,
    now: int,
    remarks: Sequence[Remark] = (),
) -> list[Explained]:
    """For each agent of the place, in their order; none where nobody serves it."""
    served = wirings.at(event.route)
    heard = hearing.judge(db, event, served, fits)
    called = hearing.judge(db, replace(event, mentions_bot=True), served, fits)
    taken = any(each.taken for each in heard)
    found = []
    for each, otherwise in zip(heard, called, strict=True):
        more = [remark(db, event, each.wiring, now) for remark in remarks] if each.taken else []
        outcome = _outcome(db, event, each, taken=taken, now=now)
        steps = [
            *_standing(db, event, each),
            f"Wiring: {origin(wirings, event.route)}; {_STRANGERS[each.wiring.strangers]}.",
            f"For whom: {_engaged(event, each)}.",
            f"Access: {_decided(each)}.",
            *(text for text in more if text is not None),
        ]
        if not isinstance(each.engaged, Answer) and isinstance(otherwise.engaged, Answer):
            would = _outcome(db, event, otherwise, taken=False, now=now)
            steps.append(f"If it named the bot: {would}")
        found.append(Explained(each.wiring.agent, each.taken, outcome, steps))
    return found


def origin(wirings: Wirings, route: Route) -> str:
    """Where it comes from who serves a place."""
    place = wirings.place(route)
    if place is not None and place.wired:
        return "set in the chat"
    served = wirings.configured_at(route)
    if not any(each.wired for each in served):
        return "nobody has wired the place, so the defaults hold"
    everywhere = wirings.elsewhere().get(route.channel)
    whole = everywhere is not None and list(everywhere) == list(served)
    return f"config.toml, for all of {route.channel}" if whole else "config.toml, for this place"


def command(
    facts: access.Facts, event: Event, level: Level, agents: Sequence[str]
) -> tuple[bool, list[tuple[str | None, bool]]]:
    """Whether somebody may give a command of this level at all, and then about what: the service as a whole (None), and
    each of the agents. Pure."""
    given = replace(facts, command_level=level)
    anywhere = isinstance(access.decide(event, given.somewhere()), Allow)
    each = [(agent, isinstance(access.decide(event, given.about(agent)), Allow)) for agent in (None, *agents)]
    return anywhere, each


# ---------------------------------------------------------------- in words


def _standing(db: sqlite3.Connection, event: Event, each: Heard) -> list[str]:
    channel, sender = event.route.channel, event.sender
    grants = people.grants_to(db, channel, sender.id, sender.groups)
    counts = [_granted(grant) for grant in grants if grant.agent in ("", each.wiring.agent)]
    role = each.facts.standing.of(each.wiring.agent)
    if role is not None:
        lines = [f"Standing: {role} for {each.wiring.agent}: {'; '.join(counts)}."]
    elif each.facts.guest:
        lines = [f"Standing: no role for {each.wiring.agent}, but what a member may in this place."]
    else:
        lines = [f"Standing: no role for {each.wiring.agent}, a stranger."]
    if each.facts.standing.denied & {"", each.wiring.agent}:
        lines.append("Denied: an admin does not want to be asked about them again.")
    return lines


def _granted(grant: Grant) -> str:
    day = datetime.fromtimestamp(grant.at / 1000, UTC).date().isoformat()
    by = f" by {grant.by}" if grant.by else ""
    return f"{grant.told}, given on {day}{by}"


def _engaged(event: Event, each: Heard) -> str:
    wiring = each.wiring
    mode = _MODES[wiring.mode].format(pattern=f"the pattern {shown_name(wiring.pattern or '')}")
    match each.engaged:
        case Ignore(reason):
            return f"{mode}; {_IGNORED[reason]}"
        case Answer():
            return f"{mode}; {_why(event, wiring)}"


def _why(event: Event, wiring: Wiring) -> str:
    if event.direct:
        return "in a direct conversation everything is for it"
    if event.mentions_bot:
        return "it names the bot"
    if wiring.mode == "pattern":
        return "it fits the pattern"
    return "everything is" if wiring.mode == "all" else "the agent was asked in this thread before"


def _decided(each: Heard) -> str:
    match each.decided:
        case Allow():
            return "they may"
        case Ask(kind="contact"):
            return "nobody has wired the place, so an owner is asked what is to become of it"
        case Ask():
            return "an admin is asked first"
        case Drop(reason, text):
            told = f', and they are told: "{text}"' if text else ", and they are told nothing"
            return f"{_DROPPED.get(reason, reason)}{told}"


def _outcome(db: sqlite3.Connection, event: Event, each: Heard, *, taken: bool, now: int) -> str:
    agent = each.wiring.agent
    if isinstance(each.engaged, Ignore):
        return f"{agent} does not answer: {_IGNORED[each.engaged.reason]}."
    match each.decided:
        case Allow():
            return f"{agent} answers."
        case Ask() if taken:
            return f"{agent} does not answer: another agent of the place does, and nobody is asked about this one."
        case Ask(kind=strangers.CONTACT) if held.is_quiet(
            db, event.route.channel, event.route.platform_id, now=now
        ):
            return f"{agent} does not answer: an owner wants this place to stay silent."
        case Ask(kind=strangers.CONTACT):
            return f"{agent} does not answer until an owner has decided about this place."
        case Ask():
            return f"{agent} does not answer until an admin has let them in; one is asked."
        case Drop(reason):
            return f"{agent} does not answer: {_DROPPED.get(reason, reason)}."
