"""Revisions: people change and delete what they have said, and the agent is told where that matters.

Only the agent's side knows what it has begun with, so each becomes a row of its own across the wall: what is not begun
with reads as it was changed, or is left out, and else the agent hears of it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Final

from adapters.base import Event, Receipt
from agent.protocol.messages import ChatIn, Edited, Withdrawn
from bot import access, hearing
from bot.access import Drop
from bot.actions import MAX_UNREAD, tell
from bot.db import backlog, inbox
from bot.db import sessions as rows
from bot.db.inbox import Accepted, Entry
from bot.engage import Wiring

TOLD_MS: Final = 24 * 3_600_000
"""Nobody is told any more what has become of a message that ended so long after it was accepted, and longer ago."""
UNREAD: Final = "I have too much to read in this conversation; this change was not taken."
TOO_LONG: Final = (
    "This message has {count:,} characters now; the limit is {limit:,}. Its change was not taken:"
    " send it as a file."
)
DROPPED: Final = Receipt("dropped")


def accept(
    db: sqlite3.Connection, event: Event, wiring: Wiring, *, max_chars: int, now: int
) -> Accepted | Receipt:
    """The row that tells the agent of an edit or a deletion, in the session of the message that it is about; or the
    receipt of one that changes nothing for it. Only within `Database.write`."""
    entry = inbox.said_in(db, event.route.channel, event.about)
    facts = replace(hearing.facts(db, event, wiring), accepted=entry is not None)
    decided = access.decide(event, facts)
    if isinstance(decided, Drop) or entry is None:
        return DROPPED
    if inbox.known(db, event.id):
        return Receipt("duplicate")
    revised = inbox.revised(db, entry.session, entry.message.seq)
    if not matters(event, entry, revised, now=now):
        return DROPPED
    if event.kind == "edit" and len(event.text) > max_chars:
        return Receipt("refused", TOO_LONG.format(count=len(event.text), limit=max_chars))
    if backlog.afterwards(db, entry.session) >= MAX_UNREAD:
        return Receipt("refused", UNREAD)
    route = entry.message.route
    row = tell(db, entry.session, _told(event, entry), event_id=event.id, route=route, now=now)
    record = rows.get(db, entry.session)
    return DROPPED if row is None or record is None else Accepted(record, row)


def matters(event: Event, entry: Entry, revised: Edited | Withdrawn | None, *, now: int) -> bool:
    """Whether the agent is to know of it. `revised` is what it was told of the message before. Pure."""
    content = entry.message.content
    if not isinstance(content, ChatIn) or content.native or isinstance(revised, Withdrawn):
        return False
    ended = entry.state in ("done", "failed")
    if ended and now - entry.accepted_at > TOLD_MS:
        return False
    if event.kind == "delete":
        return True
    said = content.text if revised is None else revised.text
    return event.sender.id == entry.sender_id and event.text != said


def _told(event: Event, entry: Entry) -> Edited | Withdrawn:
    seq = entry.message.seq
    if event.kind == "edit":
        return Edited(seq=seq, text=event.text, by=event.sender.name)
    return Withdrawn(seq=seq, by=event.sender.name if event.sender.id else None)
