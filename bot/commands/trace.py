"""The command about one message: trace."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from typing import Annotated, Any, Final

from pydantic import Field

from bot import trace
from bot.commands import completion
from bot.commands.context import Context, Records
from bot.commands.options import Completes
from bot.commands.registry import Command, Invocation, Parameters, Reply
from bot.db import inbox, traces
from bot.db.inbox import Entry
from bot.db.traces import Mark
from bot.errors import CommandFailed
from bot.trace import Facts

MIN_ID_CHARS: Final = 4
"""Fewer digits than this are a number, and not the beginning of an id."""
_NUMBER: Final = re.compile(r"#?(\d{1,9})", re.ASCII)


class Which(Parameters):
    """A message, by its id, its event's, the id of a reply to it, or its number in a session."""

    message: str = Field(min_length=1, description="its id, its event's or a reply's, or #4 for its number")
    session: Annotated[str, Completes(completion.sessions)] = Field(
        "", description="in which session a number is; left out: in this conversation"
    )


async def show(context: Records, invocation: Invocation, given: Which) -> Reply:
    """The way of one message, step by step."""
    entry = await _find(context, invocation, given)
    # Asked before bot.db is: what is written in between is then known twice, and not lost.
    unwritten, now = context.marks(entry), context.now()
    facts = await context.db.read(lambda db: _facts(db, entry.message.id, unwritten, now))
    facts = replace(facts, ahead=context.ahead(entry.session))
    return Reply(trace.text(facts), trace.data(facts))


def _facts(db: sqlite3.Connection, message_id: str, unwritten: list[Mark], now: int) -> Facts:
    (entry,) = inbox.found(db, message_id, 1)
    marks = traces.of(db, message_id)
    marks += [mark for mark in unwritten if mark not in marks]
    out_ids = {mark.out for mark in marks if mark.out is not None}
    parts = traces.parts(db, entry.session, sorted(out_ids))
    return Facts(entry, marks, parts, inbox.place(db, entry.session, entry.message.seq), now)


async def _find(context: Records, invocation: Invocation, given: Which) -> Entry:
    """The message that is meant. Raises CommandFailed."""
    number = _NUMBER.fullmatch(given.message)
    if number is not None and (
        given.session or given.message.startswith("#") or len(number[1]) < MIN_ID_CHARS
    ):
        session_id = await _session_of(context, invocation, given)
        found = await context.db.read(lambda db: _numbered(db, session_id, int(number[1])))
        missing = f"There is no message #{number[1]} in session {session_id}, nor one that reply answers."
    else:
        found = await context.db.read(lambda db: _named(db, given.message))
        listing = invocation.spelled("session show")
        missing = f"There is no message {given.message}; `{listing}` lists the last ones of a conversation."
    if not found:
        raise CommandFailed(missing)
    if len(found) > 1:
        raise CommandFailed(f"More than one message begins with {given.message}; give more of its id.")
    return found[0]


def _named(db: sqlite3.Connection, key: str) -> list[Entry]:
    return inbox.found(db, key, 2) or _answered_by(db, key)


def _numbered(db: sqlite3.Connection, session_id: str, seq: int) -> list[Entry]:
    """Even numbers are messages, odd ones are replies."""
    entry = inbox.numbered(db, session_id, seq)
    if entry is not None:
        return [entry]
    out_id = traces.reply_numbered(db, session_id, seq)
    return [] if out_id is None else _answered_by(db, out_id)


def _answered_by(db: sqlite3.Connection, out_id: str) -> list[Entry]:
    """The first of the messages that a reply answers."""
    return [entry for key in traces.answered_by(db, out_id)[:1] for entry in inbox.found(db, key, 1)]


async def _session_of(context: Records, invocation: Invocation, given: Which) -> str:
    """The session that was named, or the conversation in which the command was given."""
    if given.session:
        return (await context.session(given.session, invocation)).id
    if isinstance(context, Context) and invocation.route is not None:
        return (await context.here(invocation.route)).id
    raise CommandFailed(
        f"Say in which session {given.message} is, with {invocation.option('session')};"
        f" `{invocation.spelled('session list')}` shows them."
    )


COMMANDS: Final[tuple[Command[Records, Any], ...]] = (
    Command("trace", "the way of one message, with times", Which, show, level="admin"),
)
