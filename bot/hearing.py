"""What is known of an event before anybody decides upon it: who sent it, and whether it is for the agent."""

from __future__ import annotations

import sqlite3
from typing import Final

from adapters.base import Event
from bot import engage, surfaces
from bot.access import Facts, Level
from bot.db import people, sessions
from bot.engage import Wiring

CONTROL: Final = surfaces.CONTROL
"""The surface that has no place."""


def facts(db: sqlite3.Connection, event: Event, wiring: Wiring, level: Level | None = None) -> Facts:
    """For `access.decide`; `level` is that of the command, where the event names one that there is."""
    return Facts(
        people.standing(db, event.route.channel, event.sender.id, event.sender.groups),
        wiring.agent,
        level,
        strangers=wiring.strangers,
        bots=wiring.bots,
        addressed=event.kind != "message" or _is_addressed(db, event, wiring),
    )


def _is_addressed(db: sqlite3.Connection, event: Event, wiring: Wiring) -> bool:
    here = engage.Facts(
        has_session=engage.asks_for_session(event, wiring)
        and sessions.find(db, wiring.agent, event.route) is not None
    )
    return isinstance(engage.decide(event, wiring, here), engage.Answer)
