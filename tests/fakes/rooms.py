"""A session on a real bot.db and a real folder, without the service around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from agent.protocol.messages import ChatIn, MessageIn, Route
from bot.db import inbox
from bot.db import sessions as rows
from bot.db.engine import open_database
from bot.session import Session

HOME = Route(channel="fake", platform_id="p1")


@asynccontextmanager
async def room(root: Path) -> AsyncIterator[Session]:
    """A fresh session at HOME; `session.books.db` is its bot.db."""
    db = open_database(root / "bot.db")
    executor = ThreadPoolExecutor(1)
    try:
        record = await db.write(lambda db: rows.resolve(db, "assistant", HOME, 0))
        session = Session(record, root / "session", root / "incoming", lambda: (), executor, db)
        yield session
        await session.close()
    finally:
        executor.shutdown()
        await db.close()


async def accept(session: Session, text: str, *, now: int = 0) -> MessageIn:
    """A message of a person, as the intake would take it in."""
    message = await session.books.db.write(
        lambda db: inbox.accept(
            db,
            _record(rows.get(db, session.id)),
            message_id=f"message-{text}",
            event_id=f"event-{text}",
            kind="chat",
            content=ChatIn(sender="Ada", text=text),
            route=HOME,
            created_at=now,
            now=now,
        )
    )
    session.add(message)
    return message


def _record(found: rows.SessionRecord | None) -> rows.SessionRecord:
    assert found is not None
    return found
