"""Commands about sessions: list, show, stop, clear."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from adapters.terminal.text import plain
from agent.protocol.messages import ChatIn
from bot.commands import completion, shown
from bot.commands.context import Context, Records
from bot.commands.options import Completes
from bot.commands.registry import Command, Invocation, NoParameters, Parameters, Reply
from bot.commands.scopes import about_any, administered, of_session
from bot.db import audit, deliveries, inbox
from bot.db import sessions as rows
from bot.db.cards import Option
from bot.db.sessions import SessionRecord

LISTED: Final = 200
SHOWN_MESSAGES: Final = 10
SHOWN_CHARS: Final = 80
ID_CHARS: Final = 8
"""Of a message's id: enough for `trace`."""
SURE: Final = (
    "The agent of session {id} ({place}) would forget all that was said there. It cannot be undone; to do it, say the"
    " same with {yes}."
)
SHOWN: Final = (
    "id",
    "state",
    "container",
    "agent",
    "place",
    "created_at",
    "last_active",
    "messages",
    "replies",
)
COLUMNS: Final = ("id", "state", "agent", "place", "last_active")


class SessionId(Parameters):
    """A session, by its id or the beginning of it."""

    id: Annotated[str, Completes(completion.sessions)] = Field(
        min_length=1, description="the session's id, or the beginning of it"
    )


class Clear(SessionId):
    """A session, and whether it is meant."""

    yes: bool = Field(False, description="do it; else only say what would be forgotten")


async def list_sessions(context: Records, invocation: Invocation, _: NoParameters) -> Reply:
    """The conversations, the ones that were active last on top."""
    mine = administered(invocation.standing)
    records = await context.db.read(lambda db: rows.recent(db, LISTED, agents=mine))
    data = [_data(context, record) for record in records]
    return Reply(_table(data) if data else "There are no sessions yet.", data)


async def show(context: Records, invocation: Invocation, given: SessionId) -> Reply:
    """One conversation: where, since when, what is under way, and its last messages."""
    record = await context.session(given.id, invocation)
    messages = await context.db.read(lambda db: inbox.counts(db, record.id))
    replies = await context.db.read(lambda db: deliveries.counts(db, record.id))
    latest = await context.db.read(lambda db: inbox.latest(db, record.id, SHOWN_MESSAGES))
    data = {
        **_data(context, record),
        "created_at": shown.iso(record.created_at),
        "container": context.container(record),
        "messages": messages,
        "replies": replies,
        "latest": [
            {
                "id": e.message.id,
                "seq": e.message.seq,
                "at": shown.iso(e.message.created_at),
                "state": e.state,
                "text": _text(e.message.content),
            }
            for e in latest
        ],
    }
    lines = [f"{name}: {_words(data[name])}" for name in SHOWN if data[name] is not None]
    lines += [
        f"#{entry['seq']} {entry['state']}: {entry['text']} ({entry['id'][:ID_CHARS]})"
        for entry in data["latest"]
    ]
    return Reply("\n".join(lines), data)


async def stop(context: Context, invocation: Invocation, given: SessionId) -> Reply:
    """Stops the container of a conversation and gives up what it was working on."""
    record = await context.session(given.id, invocation)
    dropped = await context.operations.stop(record.id)
    await _book(context, invocation, record, "session stop", {"given_up": dropped})
    waiting = f"; {dropped} unanswered messages were given up" if dropped else ""
    return Reply(f"Session {record.id} is stopped{waiting}.", {"session": record.id, "given_up": dropped})


async def clear(context: Context, invocation: Invocation, given: Clear) -> Reply:
    """Makes a conversation forget what was said."""
    record = await context.session(given.id, invocation)
    if not given.yes:
        place, yes = shown.place(record.route), invocation.option("yes")
        sure = Option("Have it forget", "session clear", {"id": record.id, "yes": "true"})
        data = {"session": record.id, "cleared": False}
        return Reply(SURE.format(id=record.id, place=place, yes=yes), data, [sure])
    await context.operations.clear(record.id)
    await _book(context, invocation, record, "session clear")
    return Reply(
        f"Session {record.id} is cleared: its next message starts with a fresh memory.",
        {"session": record.id, "cleared": True},
    )


async def _book(
    context: Context, invocation: Invocation, record: SessionRecord, action: str, after: Any = None
) -> None:
    now, subject = context.clock(), f"session:{record.id}"
    await context.db.write(
        lambda db: audit.record(db, invocation.by, action, subject, now=now, agent=record.agent, after=after)
    )


def _data(context: Records, record: SessionRecord) -> dict[str, Any]:
    route = record.route
    return {
        "id": record.id,
        "agent": record.agent,
        "place": shown.place(route),
        "channel": route.channel,
        "platform_id": route.platform_id,
        "thread_id": route.thread_id,
        "state": context.state(record),
        "last_active": shown.iso(record.last_active),
    }


def _table(data: list[dict[str, Any]]) -> str:
    header = [name.upper().replace("_", " ") for name in COLUMNS]
    return shown.table([header, *([entry[name] for name in COLUMNS] for entry in data)])


def _words(value: str | dict[str, int]) -> str:
    if isinstance(value, str):
        return plain(value)
    return ", ".join(f"{count} {state}" for state, count in value.items())


def _text(content: object) -> str:
    """What was said, on one line."""
    said = content.text if isinstance(content, ChatIn) else type(content).__name__.removesuffix("In").lower()
    return shown.beginning(said, SHOWN_CHARS)


READING: Final[tuple[Command[Records, Any], ...]] = (
    Command("session list", "the conversations", NoParameters, list_sessions, level="admin", about=about_any),
    Command("session show", "one conversation", SessionId, show, level="admin", about=of_session),
)
"""Those that need no running service."""
COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    *READING,
    Command(
        "session stop",
        "stop the container of a conversation",
        SessionId,
        stop,
        level="admin",
        about=of_session,
        changes=True,
    ),
    Command(
        "session clear",
        "make a conversation forget",
        Clear,
        clear,
        level="admin",
        about=of_session,
        changes=True,
    ),
)
