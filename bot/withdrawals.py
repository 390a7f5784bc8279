"""Withdrawals: what people have taken back while no runner lives comes to its end here, and none is started for it."""

from __future__ import annotations

from collections.abc import Collection

from agent.protocol import failpoint
from agent.protocol.messages import MessageIn, Withdrawn, afterwards
from bot.db import inbox
from bot.db.engine import Database
from bot.session import Session


def over(unfinished: Collection[MessageIn]) -> list[MessageIn]:
    """The messages that were withdrawn before they ended, and the rows about them. Pure."""
    told = {row.id: told for row in unfinished if (told := afterwards(row)) is not None}
    withdrawn = {system.seq for system in told.values() if isinstance(system, Withdrawn)}
    begun = {message.seq for message in unfinished} & withdrawn
    return [row for row in unfinished if row.seq in begun or (row.id in told and told[row.id].seq in begun)]


async def settle(session: Session, db: Database, *, now: int) -> bool:
    """Brings them to their end; False when there are none. To be called with the session's lock held, while it has no
    runner. Raises DatabaseError, OSError."""
    messages = over(session.unfinished.values())
    if not messages:
        return False
    ids = [message.id for message in messages]
    await db.write(lambda db: inbox.settle(db, session.id, ids, turn_id=None, now=now))
    failpoint.hit("withdrawn-settled")
    await session.withdraw(messages)
    return True
