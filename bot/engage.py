"""Does the agent answer this message, and in which conversation? Pure decisions over what was said and how the place is
wired. Where several agents serve a place each is asked on its own, and none knows what another one decides."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, assert_never

from adapters.base import Event, Manners
from agent.protocol.messages import Route
from bot import searching

Mode = Literal["mention", "mention-sticky", "all", "pattern"]
"""What of a place that several people share is for its agent: what names the bot; that, and everything in a thread in
which the agent has a session; everything; what names the bot or matches the pattern."""
SessionMode = Literal["thread", "channel", "agent"]
"""What one conversation is: each thread, with its own memory; a place with all its threads; all places of the agent
that are wired so."""
Strangers = Literal["ignore", "refuse", "ask", "answer"]
"""What people without a role meet with: silence, one sentence, an admin who is asked about them, or what a member
has."""
Senders = Literal["anyone", "admins"]
"""Whose words are heard of those who may talk at all."""
Others = Literal["drop", "accumulate"]
"""What becomes of what people say that is not for the agent: nothing, or it is told to the agent with the next message
that is."""


SHARED: Final = "(shared)"
"""The channel of the conversation that all places of an agent share. No adapter can have this name."""
_BEFORE_NAME: Final = " \t\r\n,:"
"""What is left of "@roost, helper: ..." without the mention."""
_GOES_ON: Final = re.compile(r"[\w-]")
"""The name of another one, which begins like this one."""


@dataclass(frozen=True)
class Wiring:
    """Which agent serves a place, what it takes to be answered there, and how the agent behaves. `bots` are heard up
    to `bot_messages` in a row in one session. Of several agents in a place the one of the highest `priority` comes
    first. `wired` says that somebody has decided so, and it is not what holds where nobody has."""

    agent: str
    mode: Mode = "mention-sticky"
    strangers: Strangers = "ignore"
    bots: bool = False
    bot_messages: int = 5
    manners: Manners = field(default_factory=Manners)
    pattern: str | None = None
    sessions: SessionMode = "thread"
    senders: Senders = "anyone"
    others: Others = "drop"
    priority: int = 0
    wired: bool = True


@dataclass(frozen=True)
class Facts:
    """What is known of the message besides itself: whether the agent was asked in this very thread before
    (`has_session`); whether a mention without a name means this agent (`meant`), and which agent of the place the
    message names; whether it fits the wiring's pattern, None: nobody can tell."""

    has_session: bool = False
    meant: bool = True
    named: str | None = None
    fits: bool | None = False


@dataclass(frozen=True)
class Answer:
    """The agent answers."""


Reason = Literal["not_addressed", "names_another_agent", "means_another_agent", "pattern_failed"]


@dataclass(frozen=True)
class Ignore:
    """The message was not for the agent."""

    reason: Reason


def asks_for_session(event: Event, wiring: Wiring) -> bool:
    """Whether it matters to `decide` if the agent has a session here, which costs a look into bot.db."""
    named = event.direct or event.mentions_bot or event.mentions_others
    return wiring.mode == "mention-sticky" and event.route.thread_id is not None and not named


def decide(event: Event, wiring: Wiring, facts: Facts) -> Answer | Ignore:
    """In a direct conversation everything is for the agent, elsewhere what the wiring says. Who names somebody else
    in a thread talks to them, and goes on talking to the agent in the next message. Who names one of several agents
    talks to that one alone; a mention without a name is for one of them, and for those who hear everything."""
    called = event.direct or event.mentions_bot
    if called and facts.named is not None:
        return Answer() if facts.named == wiring.agent else Ignore("names_another_agent")
    if called and facts.meant:
        return Answer()
    match wiring.mode:
        case "all":
            return Answer()
        case "pattern" if facts.fits:
            return Answer()
        case "pattern" if facts.fits is None:
            return Ignore("pattern_failed")
        case "mention-sticky" if asks_for_session(event, wiring) and facts.has_session:
            return Answer()
        case "mention" | "mention-sticky" | "pattern":
            return Ignore("means_another_agent" if called else "not_addressed")
        case unknown:
            assert_never(unknown)


def meant(wirings: Sequence[Wiring], asked_here: Container[str] = ()) -> str | None:
    """Whom a mention without a name means, of the agents of a place in their order: the first of those who were asked
    in this thread before, or else the first. Who hears everything anyway needs no mention."""
    called = [each.agent for each in wirings if each.mode != "all"]
    called = called or [each.agent for each in wirings]
    return next((each for each in called if each in asked_here), next(iter(called), None))


def named(text: str, agents: Iterable[str]) -> str | None:
    """Which of the agents a message to the bot begins with, as in "helper: ..." or "@helper ..."; the mention of the
    bot was left out of the text. A name says for whom a message is, and gives nobody any right."""
    said = text.lstrip(_BEFORE_NAME).casefold()
    for agent in sorted(agents, key=len, reverse=True):
        at, name = f"@{agent}".casefold(), agent.casefold()
        if said.startswith(at) and not _GOES_ON.match(said, len(at)):
            return agent
        if said.startswith(name) and said[len(name) :].lstrip(" ")[:1] in (":", ","):
            return agent
    return None


def conversation(wiring: Wiring, route: Route) -> Route:
    """By what the conversation of an agent is known in which something at this place belongs: the one way to a session
    of bot.db. It is no place to write to: an answer goes to where it was asked."""
    match wiring.sessions:
        case "thread":
            return route
        case "channel":
            return Route(channel=route.channel, platform_id=route.platform_id)
        case "agent":
            return Route(channel=SHARED, platform_id=wiring.agent)
        case unknown:
            assert_never(unknown)


def together(wirings: Sequence[Wiring]) -> Manners:
    """How all agents of a place behave where a platform does not ask for one of them: the first decides about threads,
    and only what all of them may is done."""
    if not wirings:
        return Manners()
    every = [each.manners for each in wirings]
    return Manners(
        # A thread of its own is a conversation of its own: where there is but one, answers stay where it was asked.
        threads=every[0].threads and wirings[0].sessions == "thread",
        streaming=all(each.streaming for each in every),
        mentions=all(each.mentions for each in every),
        previews=all(each.previews for each in every),
    )


def pattern_fault(text: str) -> str | None:
    """Why a pattern cannot be used, in one sentence; None when it can."""
    return searching.fault(text)
