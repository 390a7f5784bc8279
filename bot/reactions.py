"""Reactions: people put emoji on what the agent has said, which it hears of when it is asked the next time."""

from __future__ import annotations

import sqlite3
from typing import Final

from adapters.base import Event, Receipt
from agent.protocol.messages import Reacted, Route
from bot import access, hearing
from bot.access import Allow
from bot.actions import MAX_UNREAD, tell
from bot.db import backlog, deliveries, inbox, targets
from bot.db import sessions as rows
from bot.db.inbox import Accepted
from bot.db.sessions import SessionRecord
from bot.wirings import Wirings

MAX_EMOJI_CHARS: Final = 100
"""A platform's own emoji have names."""
DROPPED: Final = Receipt("dropped")


def accept(db: sqlite3.Connection, event: Event, wirings: Wirings, *, now: int) -> list[Accepted] | Receipt:
    """The row that tells the agent whose message it was; or the receipt of a reaction that is on none, or that it
    may not hear of. Only within `Database.write`."""
    emoji = " ".join(event.text.split())[:MAX_EMOJI_CHARS]
    for session_id, number in deliveries.shown_as(db, event.about, event.route):
        record = rows.get(db, session_id)
        if record is None or not emoji or not _may_hear(db, record, event.route):
            continue
        facts = hearing.facts(db, event, wirings.serving(event.route, record.agent))
        if not isinstance(access.decide(event, facts), Allow):
            return DROPPED
        if inbox.known(db, event.id):
            return Receipt("duplicate")
        if backlog.afterwards(db, session_id) >= MAX_UNREAD:
            break
        told = Reacted(seq=number, emoji=emoji, by=event.sender.name, taken_back=event.taken_back)
        row = tell(db, session_id, told, event_id=event.id, route=event.route, now=now)
        return DROPPED if row is None else [Accepted(record, row)]
    return DROPPED


def _may_hear(db: sqlite3.Connection, record: SessionRecord, route: Route) -> bool:
    """What is said in a place that the session only writes to is not for its agent."""
    return record.route == route or targets.came_from(db, record.id, route)
