"""Does the agent answer this message? A pure decision over what was said and how the place is wired."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, assert_never

from adapters.base import Event, Manners

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
    """What bot.db knows of the place: whether the agent has a session in this very thread."""

    has_session: bool = False


@dataclass(frozen=True)
class Answer:
    """The agent answers."""


@dataclass(frozen=True)
class Ignore:
    """The message was not for the agent."""

    reason: str


def asks_for_session(event: Event, wiring: Wiring) -> bool:
    """Whether it matters to `decide` if the agent has a session here, which costs a look into bot.db."""
    named = event.direct or event.mentions_bot or event.mentions_others
    return wiring.mode == "mention-sticky" and event.route.thread_id is not None and not named


def decide(event: Event, wiring: Wiring, facts: Facts) -> Answer | Ignore:
    """In a direct conversation everything is for the agent, elsewhere what the wiring says. Who names somebody else
    in a thread talks to them, and goes on talking to the agent in the next message."""
    if event.direct or event.mentions_bot:
        return Answer()
    match wiring.mode:
        case "all":
            return Answer()
        case "mention-sticky":
            stuck = asks_for_session(event, wiring) and facts.has_session
            return Answer() if stuck else Ignore("not_addressed")
        case "mention" | "pattern":
            return Ignore("not_addressed")
        case unknown:
            assert_never(unknown)
