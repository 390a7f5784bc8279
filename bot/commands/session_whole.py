"""Commands for a whole conversation: session transcript, export, restart, delete."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from pydantic import Field

from agent.protocol.snapshot import SnapshotError
from bot import transcript
from bot.commands import shown
from bot.commands.context import Context
from bot.commands.registry import Command, Invocation, Reply
from bot.commands.scopes import of_session
from bot.commands.session import SessionId
from bot.db import audit, deliveries, inbox, series
from bot.db.cards import Option
from bot.db.sessions import SessionRecord
from bot.transcript import Line

SAID: Final = 5_000
"""So many of the newest messages of people a transcript has."""
NOTHING: Final = "Nothing was said in this conversation yet."
SURE: Final = (
    "This removes session {id} ({place}) for good: {count} messages, its files, its schedules, and all that its agent"
    " remembers. It cannot be undone; to do it, {again}"
)


class Delete(SessionId):
    """A session, and whether it is meant."""

    yes: bool = Field(False, description="do it; else only say what would be removed")


async def show_transcript(context: Context, invocation: Invocation, given: SessionId) -> Reply:
    """What was said and answered in a conversation. Older answers are let go of by the agent itself."""
    record = await context.session(given.id, invocation)
    found = await _lines(context, record)
    return Reply(transcript.text(found) or NOTHING, [each.data for each in found])


async def export(context: Context, invocation: Invocation, given: SessionId) -> Reply:
    """Everything that is kept of a conversation, as JSON."""
    record = await context.session(given.id, invocation)
    found = await _lines(context, record)
    schedules = await context.db.read(lambda db: series.listed(db, record.id, SAID))
    data = {
        "id": record.id,
        "agent": record.agent,
        "place": shown.place(record.route),
        "created_at": shown.iso(record.created_at),
        "last_active": shown.iso(record.last_active),
        "messages": await context.db.read(lambda db: inbox.counts(db, record.id)),
        "replies": await context.db.read(lambda db: deliveries.counts(db, record.id)),
        "schedules": [{"id": each.id, "prompt": each.prompt, "status": each.status} for each in schedules],
        "said": [each.data for each in found],
    }
    return Reply(json.dumps(data, indent=2, ensure_ascii=False), data)


async def restart(context: Context, invocation: Invocation, given: SessionId) -> Reply:
    """Ends the container of a conversation; what waits for an answer is answered by a fresh one, with its memory."""
    record = await context.session(given.id, invocation)
    await context.operations.restart(record.id)
    now = context.clock()
    await context.db.write(
        lambda db: audit.record(
            db, invocation.by, "session restart", f"session:{record.id}", now=now, agent=record.agent
        )
    )
    return Reply(f"Session {record.id} starts anew, with its memory.", {"session": record.id})


async def delete(context: Context, invocation: Invocation, given: Delete) -> Reply:
    """Removes a conversation for good."""
    record = await context.session(given.id, invocation)
    counts = await context.db.read(lambda db: inbox.counts(db, record.id))
    place, count = shown.place(record.route), sum(counts.values())
    if not given.yes:
        again = f"say the same with {invocation.option('yes')}."
        said = SURE.format(id=record.id, place=place, count=count, again=again)
        sure = Option("Delete it", "session delete", {"id": record.id, "yes": "true"})
        return Reply(said, {"session": record.id, "deleted": False}, [sure])
    now, before = (
        context.clock(),
        {"place": place, "messages": count, "created_at": shown.iso(record.created_at)},
    )
    await context.db.write(
        lambda db: audit.record(
            db,
            invocation.by,
            "session delete",
            f"session:{record.id}",
            now=now,
            agent=record.agent,
            before=before,
        )
    )
    await context.erasing.delete(record.id)
    return Reply(f"Session {record.id} is removed.", {"session": record.id, "deleted": True})


async def _lines(context: Context, record: SessionRecord) -> list[Line]:
    entries = await context.db.read(lambda db: inbox.latest(db, record.id, SAID))
    session = await context.sessions.get(record.id)
    try:
        replies = (await session.snapshot()).messages
    except SnapshotError:
        # What the agent has written cannot be read now, or it has written nothing.
        replies = ()
    # As much as an agent has written: not on the event loop.
    return await asyncio.to_thread(transcript.lines, entries, replies, agent=record.agent)


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "session transcript",
        "what was said and answered",
        SessionId,
        show_transcript,
        level="admin",
        about=of_session,
    ),
    Command(
        "session export",
        "all that is kept of a conversation",
        SessionId,
        export,
        level="admin",
        about=of_session,
    ),
    Command(
        "session restart",
        "give a conversation a fresh container, with its memory",
        SessionId,
        restart,
        level="admin",
        about=of_session,
        changes=True,
    ),
    Command(
        "session delete",
        "remove a conversation for good",
        Delete,
        delete,
        level="admin",
        about=of_session,
        changes=True,
    ),
)
