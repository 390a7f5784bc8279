"""What people do to a conversation: interrupt it, stop its container, make it forget, choose its model."""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any, Final

from adapters.base import Sender
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import ChatIn, Clear, Interrupt, MessageIn, Route, SetModel, SystemIn
from bot import answers, log
from bot.actions import tell
from bot.containers import Containers
from bot.db import audit, backlog, inbox
from bot.db import sessions as rows
from bot.db.audit import Actor
from bot.db.engine import Database
from bot.db.questions import Open
from bot.db.sessions import SessionRecord
from bot.delivery import Delivery
from bot.lanes import Lanes
from bot.posting import Posting
from bot.session import Session
from bot.sessions import Sessions, UnknownSession
from bot.tries import Tries
from bot.turns import STOPPED

INTERRUPT_GRACE_SECONDS: Final = 5.0
"""How long a turn may take to stop when it was asked to; then its container is killed."""

_log = log.get("roost.operations")


@dataclass(frozen=True)
class Order:
    """Who has given which command, for the audit."""

    by: Actor
    action: str
    after: Any = None

    def keep(self, db: sqlite3.Connection, session: Session, now: int) -> None:
        """In the transaction that carries it out."""
        subject = f"session:{session.id}"
        audit.record(db, self.by, self.action, subject, now=now, agent=session.agent, after=self.after)


class Operations:
    """Each takes a session's id and may be called for one that is asleep."""

    name = "operations"

    def __init__(
        self,
        db: Database,
        sessions: Sessions,
        containers: Containers,
        posting: Posting,
        delivery: Delivery,
        tries: Tries,
        *,
        stop_grace_seconds: float,
        interrupt_grace_seconds: float,
        max_backlog: int,
        clock: Clock,
    ) -> None:
        """With `max_backlog` unanswered messages a conversation takes no more commands."""
        self._db = db
        self._sessions = sessions
        self._containers = containers
        self._posting = posting
        self._delivery = delivery
        self._tries = tries
        self._stop_grace_seconds = stop_grace_seconds
        self._grace_seconds = interrupt_grace_seconds
        self._max_backlog = max_backlog
        self._clock = clock
        self._unheeded: Lanes[str] = Lanes("unheeded interrupts", self._enforce, self._failed)

    async def run(self) -> None:
        """Until cancelled."""
        await self._unheeded.run()

    async def interrupt(self, session_id: str) -> bool:
        """Stops the turn that runs; False when none does. Raises UnknownSession, DatabaseError."""
        session = await self._sessions.get(session_id)
        async with session.lock:
            if session.oldest() is None:
                return False
            if self._containers.of(session_id) is None:
                # Nobody works on it: it waits for its next try, or for its first.
                await self._give_up(session)
                return True
            if session.interrupted_by is None:
                row = await self._tell(session, Interrupt())
                session.interrupted_by = row.seq
        self._posting.kick(session_id)
        await self._posting.settle(session_id)
        await self._containers.interrupt(session, None)
        self._unheeded.kick_later(session_id, self._grace_seconds)
        return True

    async def stop(self, session_id: str) -> int:
        """Ends the container, and gives up what was not answered; returns how many messages that were.
        Raises UnknownSession, DatabaseError, BackendError."""
        session = await self._sessions.get(session_id)
        async with session.lock:
            await self._containers.end(session, grace_seconds=self._stop_grace_seconds)
            return await self._give_up(session)

    async def restart(self, session_id: str) -> None:
        """Ends the container, and has what was not answered answered by a new one; its memory stays. Raises
        UnknownSession, DatabaseError, BackendError."""
        session = await self._sessions.get(session_id)
        async with session.lock:
            await self._containers.end(session, grace_seconds=self._stop_grace_seconds)
        self._posting.kick(session_id)

    async def clear(self, session_id: str, *, by: Actor | None = None) -> None:
        """Makes the agent forget, in order with what was said; `by` is who has given the command `clear`. Raises
        UnknownSession, DatabaseError."""
        session = await self._sessions.get(session_id)
        newest = next(reversed(session.unfinished.values()), None)
        if newest is None or newest.content != SystemIn(system=Clear()):
            await self._tell(session, Clear(), None if by is None else Order(by, "clear"))
        self._posting.kick(session_id)

    async def set_model(self, session_id: str, model: str | None, *, by: Actor) -> None:
        """Has the agent use this model from its next turn on; None: the one that is configured. Raises
        UnknownSession, DatabaseError."""
        session = await self._sessions.get(session_id)
        await self._tell(session, SetModel(model=model), Order(by, "model", {"model": model}))
        self._posting.kick(session_id)

    async def pass_on(self, session_id: str, route: Route, command: str, *, by: Sender) -> bool:
        """Gives the provider a command of its own, in order with what was said; False when too much waits
        already. Raises UnknownSession, DatabaseError."""
        session = await self._sessions.get(session_id)
        content, now, event_id = ChatIn(sender=by.name, text=command, native=True), self._clock(), _event_id()

        def accept(db: sqlite3.Connection) -> MessageIn | None:
            record = rows.get(db, session_id)
            if record is None:
                raise UnknownSession(session_id)
            if backlog.of(db, session_id) >= self._max_backlog:
                return None
            return inbox.accept(
                db,
                record,
                message_id=inbox.new_id(),
                event_id=event_id,
                kind="chat",
                content=content,
                route=route,
                created_at=now,
                now=now,
                sender_id=by.id,
            )

        row = await self._db.write(accept)
        if row is not None:
            session.add(row)
            self._posting.kick(session_id)
        return row is not None

    async def answer(self, found: Open, text: str | None, *, by: Actor) -> None:
        """Answers a question in somebody's name; None: nobody answers it. Raises CommandFailed when it is not open any
        more, DatabaseError."""
        now, event_id = self._clock(), _event_id()
        accepted = await self._db.write(
            lambda db: answers.instead(db, found, text, by=by, event_id=event_id, now=now)
        )
        if accepted is None:
            return
        self._sessions.accepted(accepted.record, accepted.message)
        session = self._sessions.loaded(accepted.record.id)
        if session is not None:
            session.notice_waits()
        self._posting.kick(accepted.record.id)
        self._delivery.kick(accepted.record.id)

    async def _tell(
        self, session: Session, system: Interrupt | Clear | SetModel, order: Order | None = None
    ) -> MessageIn:
        now, event_id = self._clock(), _event_id()

        def work(db: sqlite3.Connection) -> tuple[SessionRecord | None, MessageIn | None]:
            row = tell(db, session.id, system, event_id=event_id, now=now)
            if order is not None and row is not None:
                order.keep(db, session, now)
            return rows.get(db, session.id), row

        record, row = await self._db.write(work)
        failpoint.hit("order-recorded")
        if record is None or row is None:
            raise UnknownSession(session.id)
        # This one may have been let go meanwhile, and another one loaded.
        self._sessions.accepted(record, row)
        return row

    async def _enforce(self, session_id: str) -> None:
        session = self._sessions.loaded(session_id)
        if session is None:
            return
        async with session.lock:
            by = session.interrupted_by
            if by is None:
                return
            _log.warning("an interrupt was not heeded; the container is killed", session=session_id)
            await self._containers.end(session)
            session.interrupted_by = None
            await self._give_up(session, up_to=by)

    async def _give_up(self, session: Session, *, up_to: int | None = None) -> int:
        """Says that what was asked is stopped; a Clear that waits for its turn is still carried out."""
        asked = [
            message
            for message in session.unfinished.values()
            if (message.trigger or message.seq == up_to) and (up_to is None or message.seq <= up_to)
        ]
        await self._tries.give_up(session, asked, STOPPED)
        self._posting.kick(session.id)
        return len([message for message in asked if message.trigger])

    def _failed(self, session_id: str, error: Exception) -> None:
        _log.error("an interrupt could not be enforced", exc_info=error, session=session_id)
        self._unheeded.kick_later(session_id, self._grace_seconds)


def _event_id() -> str:
    """Of something that no platform has an id for."""
    return f"roost:{uuid.uuid4().hex}"
