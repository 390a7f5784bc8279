"""The command about one's own conversations: conversations."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from agent.protocol.messages import ChatIn, Edited, Withdrawn
from bot.commands import shown
from bot.commands.context import Context
from bot.commands.registry import Command, Invocation, NoParameters, Reply
from bot.db import inbox, sessions
from bot.db.sessions import SessionRecord

LISTED: Final = 10
TITLE_CHARS: Final = 60
LOOKED_AT: Final = 5
"""One's first messages of a conversation, until one is found that still stands."""
NOTHING: Final = "You have no conversations yet."
UNTITLED: Final = "(without words)"


async def conversations(context: Context, invocation: Invocation, _: NoParameters) -> Reply:
    """The conversations in which you have spoken, the ones that were active last on top."""
    channel, person = invocation.channel, invocation.actor.id
    data = await context.db.read(lambda db: _listed(db, channel, person))
    if not data:
        return Reply(NOTHING, data)
    rows = [[each["title"], each["at"], _place(each)] for each in data]
    return Reply(shown.table([["TITLE", "LAST ACTIVE", "PLACE"], *rows]), data)


def _listed(db: sqlite3.Connection, channel: str, person: str) -> list[dict[str, Any]]:
    return [
        {
            "channel": record.route.channel,
            "place": record.route.platform_id,
            "thread": record.route.thread_id,
            "title": _title(db, record, channel, person),
            "at": shown.iso(record.last_active),
        }
        for record in sessions.spoken_in(db, channel, person, LISTED)
    ]


def _title(db: sqlite3.Connection, record: SessionRecord, channel: str, person: str) -> str:
    """One's own first words there, as they read now: what others have said is for the place to show."""
    for entry in inbox.first_of(db, record.id, channel, person, LOOKED_AT):
        content = entry.message.content
        changed = inbox.revised(db, record.id, entry.message.seq)
        text = content.text if isinstance(content, ChatIn) else ""
        if isinstance(changed, Edited):
            text = changed.text
        title = "" if isinstance(changed, Withdrawn) else shown.beginning(text, TITLE_CHARS)
        if title:
            return title
    return UNTITLED


def _place(each: dict[str, Any]) -> str:
    return "/".join(part for part in (each["channel"], each["place"], each["thread"]) if part)


COMMANDS: Final = (
    Command("conversations", "your own conversations", NoParameters, conversations, in_place=True),
)
