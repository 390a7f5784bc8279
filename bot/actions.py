"""What an agent asks of the host, and how it is told what became of it."""

from __future__ import annotations

import sqlite3

from agent.protocol.messages import (
    ActionOut,
    ActionResult,
    Answer,
    Clear,
    Interrupt,
    MessageIn,
    MessageOut,
    Note,
    Route,
    SetModel,
    SystemIn,
)
from bot.db import inbox, questions
from bot.db import sessions as rows


def begin(db: sqlite3.Connection, session_id: str, message: MessageOut, *, now: int) -> None:
    """What an action has to have in bot.db before people see anything of it."""
    if isinstance(message.content, ActionOut):
        questions.ask(db, session_id, message.id, message.route, message.content.do, now=now)


def tell(
    db: sqlite3.Connection,
    session_id: str,
    system: Interrupt | Clear | SetModel | Answer | ActionResult | Note,
    *,
    event_id: str,
    route: Route | None = None,
    trigger: bool = False,
    now: int,
) -> MessageIn | None:
    """Puts a row of the host's own into the session's inbox; None when that event was there before or
    the session is not. Only a `trigger` wakes anybody."""
    record = rows.get(db, session_id)
    if record is None or inbox.known(db, event_id):
        return None
    return inbox.accept(
        db,
        record,
        message_id=inbox.new_id(),
        event_id=event_id,
        kind="system",
        content=SystemIn(system=system),
        route=route or record.route,
        created_at=now,
        now=now,
        trigger=trigger,
    )
