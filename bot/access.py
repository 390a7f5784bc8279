"""Who may talk, command and answer: one pure decision for every kind of inbound event.

Ids only: what a person is called decides nothing, and the adapter sets who they are, never a payload.

A deletion is the one event that may have no sender: Discord's "Message Delete" names nobody, and it may have been a
moderator (https://discord.com/developers/docs/events/gateway-events#message-delete). It is the platform's own word
that a message is gone, so it counts where that message was accepted, and all that it can do is to withdraw it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, assert_never

from adapters.base import Event
from bot.db.people import Role

Level = Literal["anyone", "member", "admin", "owner"]
"""What a command asks of whoever runs it."""

_RANK: Final[dict[Role | None, int]] = {None: 0, "member": 1, "admin": 2, "owner": 3}
_NEEDED: Final[dict[Level, int]] = {"anyone": 0, "member": 1, "admin": 2, "owner": 3}


@dataclass(frozen=True)
class Facts:
    """What bot.db knows of the sender, what the command that they want asks for, and whether what was deleted is a
    message that was accepted."""

    role: Role | None
    command_level: Level | None = None
    accepted: bool = False


@dataclass(frozen=True)
class Allow:
    """Go on."""


@dataclass(frozen=True)
class Drop:
    """It has no effect. `text`, where there is one, is said to the sender; a stranger is told nothing."""

    reason: str
    text: str | None = None


def may(role: Role | None, level: Level) -> bool:
    """Whether a person with this role may use what asks for this level."""
    return _RANK[role] >= _NEEDED[level]


def decide(event: Event, facts: Facts) -> Allow | Drop:
    """Whether the event may have any effect."""
    if event.sender.is_bot:
        return Drop("bot")
    match event.kind:
        case "message" | "answer" | "edit" | "reaction":
            return Allow() if may(facts.role, "member") else Drop("stranger")
        case "delete":
            return _delete(event, facts)
        case "command" | "complete":
            return _command(facts)
        case unknown:
            assert_never(unknown)


def _delete(event: Event, facts: Facts) -> Allow | Drop:
    if not event.sender.id:
        return Allow() if facts.accepted else Drop("unknown_message")
    return Allow() if may(facts.role, "member") else Drop("stranger")


def _command(facts: Facts) -> Allow | Drop:
    if facts.command_level is not None and may(facts.role, facts.command_level):
        return Allow()
    if facts.role is None:
        return Drop("stranger")
    if facts.command_level is None:
        return Drop("unknown_command", "There is no such command; /help lists them.")
    return Drop("not_allowed", f"This command is for people with the role {facts.command_level}.")
