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
from bot.access import Allow
from bot.actions import MAX_UNREAD, tell
from bot.db import backlog, inbox, overheard
from bot.db import sessions as rows
from bot.db.inbox import Accepted, Entry
from bot.screening import screened
from bot.wirings import Wirings

TOLD_MS: Final = 24 * 3_600_000
"""Nobody is told any more what has become of a message that ended so long after it was accepted, and longer ago."""
UNREAD: Final = "I have too much to read in this conversation; this change was not taken."
TOO_LONG: Final = (
    "This message has {count:,} characters now; the limit is {limit:,}. Its change was not taken:"
    " send it as a file."
)
DROPPED: Final = Receipt("dropped")


def accept(
    db: sqlite3.Connection, event: Event, wirings: Wirings, *, max_chars: int, now: int
) -> list[Accepted] | Receipt:
    """The rows that tell agents of an edit or a deletion, in each session that has the message that it is about; or the
    receipt of one that changes nothing for them. Only within `Database.write`."""
    entries = inbox.said_in(db, event.route.channel, event.about)
    found: list[Accepted] = []
    receipt = _overheard(db, event, wirings)
    for entry in entries:
        outcome = _tell(db, event, wirings, entry, max_chars=max_chars, now=now)
        if isinstance(outcome, Accepted):
            found.append(outcome)
        elif receipt == DROPPED:
            receipt = outcome
    return found or receipt


def _overheard(db: sqlite3.Connection, event: Event, wirings: Wirings) -> Receipt:
    """What was said in passing is kept as it reads now, or not at all."""
    if not overheard.known(db, event.route.channel, event.about):
        return DROPPED
    for wiring in wirings.at(event.route):
        facts = replace(hearing.facts(db, event, wiring), accepted=True, senders="anyone")
        if not isinstance(access.decide(event, facts), Allow):
            continue
        if event.kind == "delete":
            overheard.withdraw(db, event.route.channel, event.about)
        else:
            overheard.edit(db, event.route.channel, event.about, event.sender.id, screened(event.text))
    return DROPPED


def _tell(
    db: sqlite3.Connection, event: Event, wirings: Wirings, entry: Entry, *, max_chars: int, now: int
) -> Accepted | Receipt:
    record = rows.get(db, entry.session)
    if record is None:
        return DROPPED
    facts = hearing.facts(db, event, wirings.serving(event.route, record.agent))
    # What was overheard is told as it reads now, whoever else is heard.
    senders = facts.senders if entry.message.trigger else "anyone"
    decided = access.decide(event, replace(facts, accepted=True, senders=senders))
    if not isinstance(decided, Allow):
        return DROPPED
    if inbox.known_in(db, entry.session, event.id):
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
    return DROPPED if row is None else Accepted(record, row)


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
