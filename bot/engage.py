"""Does the agent answer this message? A pure decision over what was said and how the place is wired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from adapters.base import Event

Mode = Literal["mention", "all"]


@dataclass(frozen=True)
class Wiring:
    """Which agent serves a place, and what it takes to be answered there."""

    agent: str
    mode: Mode = "mention"


@dataclass(frozen=True)
class Answer:
    """The agent answers."""


@dataclass(frozen=True)
class Ignore:
    """The message was not for the agent."""

    reason: str


def decide(event: Event, wiring: Wiring) -> Answer | Ignore:
    """In a direct conversation everything is for the agent, elsewhere what the wiring says."""
    if event.direct or event.mentions_bot:
        return Answer()
    match wiring.mode:
        case "all":
            return Answer()
        case "mention":
            return Ignore("not_addressed")
        case unknown:
            assert_never(unknown)
