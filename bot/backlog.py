"""The backlog of a session: what the service itself has to send there, notices first, then letters once more."""

from __future__ import annotations

from functools import partial

from bot import outgoing
from bot.db import dead_letters, deliveries
from bot.db.deliveries import Notice
from bot.sending import Aside, Sending
from bot.session import Session


async def send(session: Session, sending: Sending) -> int | None:
    """Sends it in order until something has to wait; returns until when on the clock. Raises DatabaseError.

    A letter that is replayed waits behind the notice that tells of it: said afterwards, that would be wrong.
    """
    waits = await _notices(session, sending)
    return waits if waits is not None else await _replays(session, sending)


async def _notices(session: Session, sending: Sending) -> int | None:
    if not session.has_notices:
        return None
    session.has_notices = False
    aside: int | None = None
    held: set[str] = set()
    try:
        for each in await session.books.db.read(lambda db: deliveries.notices(db, session.id)):
            said: Notice | None = each
            if each.more.replaces:
                if not held.isdisjoint(each.more.replaces):
                    held.add(each.id)
                    continue
                # What it takes the place of may have been shown a moment ago.
                said = await session.books.db.read(partial(deliveries.notice, notice_id=each.id))
            if said is None:
                continue
            if said.more.replaces and not said.shown_as:
                # What it would take the place of was never shown.
                session.books.add(partial(deliveries.drop_notice, notice_id=said.id))
                await session.books.commit()
                continue
            outcome = await sending.send(session, outgoing.notice(said), seq=0)
            if isinstance(outcome, int):
                session.notice_waits()
                held.add(said.id)
                aside = outcome
                if not isinstance(outcome, Aside):
                    break
    except BaseException:
        session.notice_waits()
        raise
    return aside


async def _replays(session: Session, sending: Sending) -> int | None:
    if not session.has_replays:
        return None
    session.has_replays = False
    try:
        for letter in await session.books.db.read(lambda db: dead_letters.replaying(db, session.id)):
            outcome = await sending.replay(session, letter)
            if outcome is not None:
                session.replay_waits()
                return outcome
    except BaseException:
        session.replay_waits()
        raise
    return None
