"""Which routes a session may address: the container is not trusted to stay in its own channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from agent.protocol.messages import Destination, MessageIn, MessageOut, Route, overheard
from bot.session import Session

MAX_SEQ_JUMP: Final = 10_000
AGENT_CHANNEL: Final = "agent"
"""The channel by which agents write to each other (colleagues.py); a place on it is an agent."""


def allowed(
    home: Route, destinations: Sequence[Destination], asked_from: Iterable[Route], route: Route
) -> bool:
    """Whether a session whose own place is `home` may write to `route`: its own place, a named
    destination, or where one of its messages came from."""
    return (
        route == home
        or any(route == destination.route for destination in destinations)
        or route in asked_from
    )


def refusal(
    session: Session, message: MessageOut, asked: Mapping[str, MessageIn], begun_at: Route | None = None
) -> str | None:
    """Why a message may not be sent at all; None when it may. `asked` are the messages that it can answer; `begun_at`
    is where its turn was asked for, of a turn that has ended with it."""
    if not in_line(session, message):
        return "its number is out of line"
    # Whoever was only overheard has asked for nothing.
    asked_from = [each.route for each in asked.values() if not overheard(each)]
    if begun_at is not None:
        asked_from.append(begun_at)
    if not allowed(session.home, session.destinations, asked_from, message.route):
        return "this conversation may not write there"
    return None


def in_line(session: Session, message: MessageOut) -> bool:
    """Whether the message's number is one that an agent can have come to by counting."""
    return message.seq <= max(session.newest_in_seq, session.newest_out_seq) + MAX_SEQ_JUMP
