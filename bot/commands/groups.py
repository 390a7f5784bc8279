"""What each group of commands is for, in one sentence: for help, the command line and docs/commands.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GROUPS: Final[Mapping[str, str]] = {
    "agent": "The agents: who they are, what they run on, and what they may use.",
    "approval": "What waits for an admin to allow it.",
    "audit": "Who has changed what, from where, and what it was before.",
    "backup": "Make backups, look at them, and put one back.",
    "budget": "What people, places, agents and the whole bot may spend.",
    "channel": "The places that agents serve, and what holds in them.",
    "deadletter": "Replies and notices that could not be delivered: look at them, send them again, or drop them.",
    "destination": "The places that an agent may write to besides where it was asked.",
    "member": "The people who may talk to an agent.",
    "owner": "Who owns the bot.",
    "privacy": "What is kept of a person: hand it over, or forget it.",
    "question": "What agents have asked people.",
    "role": "Who may command what: owners, admins and members, for all agents or for one.",
    "schedule": "Have something done at a time, once or again and again.",
    "session": "Look at conversations and act on them.",
    "wiring": "How an agent serves a place: what it answers, whom, and how.",
}
"""By the first word of their names. A command of one word speaks for itself."""
