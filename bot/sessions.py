"""The sessions of the service: loaded when there is something to do, let go when there is not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.mailbox import MailboxGone
from agent.protocol.messages import Destination, MessageIn, Route, overheard
from bot.db import dead_letters, deliveries, inbox, series
from bot.db import sessions as rows
from bot.db.dead_letters import Letter
from bot.db.deliveries import Notice
from bot.db.engine import Database
from bot.db.inbox import Entry
from bot.db.sessions import SessionRecord
from bot.session import Session

MAIL_THREADS: Final = 8
"""A container that locks its inbound.db blocks one of these for a quarter of a second, and nobody else."""
RECEIPTS_REBUILT: Final = 500


class UnknownSession(Exception):
    """Raised when no session has this id."""


@dataclass
class _Loading:
    """A session on its way into memory, and what was accepted for it meanwhile."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    missed: list[tuple[SessionRecord, MessageIn]] = field(default_factory=list)


class Sessions:
    """Loads and keeps `Session` objects; one per conversation however many ask for it at once."""

    def __init__(
        self,
        db: Database,
        folder: Path,
        incoming: Path,
        destinations: Callable[[str], Sequence[Destination]],
        *,
        boot_id: str,
        clock: Clock,
    ) -> None:
        self._db = db
        self._folder = folder
        self._incoming = incoming
        self._destinations = destinations
        self._boot_id = boot_id
        self._clock = clock
        self._started_at = clock()
        self._loaded: dict[str, Session] = {}
        self._loading: dict[str, _Loading] = {}
        self._executor = ThreadPoolExecutor(MAIL_THREADS, "roost-mail")

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._loaded.values()))

    def loaded(self, session_id: str) -> Session | None:
        """The session if it is in memory."""
        return self._loaded.get(session_id)

    def accepted(self, record: SessionRecord, message: MessageIn) -> None:
        """A message was committed to the inbox; a session that is not loaded will find it there."""
        session = self._loaded.get(record.id)
        if session is not None:
            session.move_in(record.route)
            session.add(message)
        elif record.id in self._loading:
            self._loading[record.id].missed.append((record, message))

    def schedules_changed(self, session_id: str) -> None:
        """The series of a session were changed; one that is not loaded will find them so."""
        session = self._loaded.get(session_id)
        if session is not None:
            session.schedules_changed()

    async def get(self, session_id: str) -> Session:
        """The session, loaded from bot.db; its files are not looked at. Raises UnknownSession, DatabaseError."""
        session = self._loaded.get(session_id)
        if session is not None:
            return session
        loading = self._loading.setdefault(session_id, _Loading())
        async with loading.lock:
            if session_id not in self._loaded:
                # Whoever waits here after a failure goes on with the same `loading`, and so must `accepted`.
                session = await self._load(session_id)
                self._loaded[session_id] = session
                self._loading.pop(session_id, None)
                for record, message in loading.missed:
                    session.move_in(record.route)
                    session.add(message)
        return self._loaded[session_id]

    async def ready(self, session: Session) -> None:
        """Makes sure that the session's inbound.db is open and can be trusted. To be called with its lock
        held. Raises MailboxGone when its folder was taken away; MailboxError, OSError, DatabaseError."""
        changes = session.schedule_changes
        if session.schedules_as_of != changes:
            session.waiting.schedules = await self._db.read(lambda db: series.told(db, session.id))
            session.schedules_as_of = changes
        if session.is_open:
            return
        if session.boot_id == self._boot_id:
            await session.open()
        elif session.boot_id is not None and await session.lost():
            raise MailboxGone("the folder of the session is gone")
        else:
            # After a power cut inbound.db may read fine and lack rows: what another boot wrote is never trusted.
            await self.rebuild(session)

    async def rebuild(self, session: Session) -> None:
        """Makes the session's folder and inbound.db anew from bot.db. To be called with its lock held, and
        no runner may live. Raises MailboxError, OSError, DatabaseError."""
        receipts = await self._db.read(lambda db: deliveries.receipts(db, session.id, RECEIPTS_REBUILT))
        schedules = await self._db.read(lambda db: series.told(db, session.id))
        ids = await session.rebuild(receipts, schedules)
        failpoint.hit("inbound-rebuilt")
        session.boot_id = boot_id = self._boot_id
        self._db.later(lambda db: rows.set_boot(db, session.id, boot_id))
        self._db.later(lambda db: inbox.posted(db, ids))

    async def let_go(self, session: Session) -> None:
        """Forgets a session that has nothing to do; the next event loads it again."""
        if self._loaded.get(session.id) is session:
            del self._loaded[session.id]
        session.marks.save()
        await session.close()

    async def close(self) -> None:
        """Closes every inbound.db."""
        for session in list(self._loaded.values()):
            await self.let_go(session)
        self._executor.shutdown()

    async def _load(self, session_id: str) -> Session:
        record, entries, said, replays, expected, asked_at = await self._db.read(
            lambda db: _gather(db, session_id)
        )
        if record is None:
            raise UnknownSession(session_id)
        session = Session(
            record,
            self._folder / record.id,
            self._incoming,
            partial(self._destinations, record.agent),
            self._executor,
            self._db,
            clock=self._clock,
        )
        session.unfinished = {entry.message.id: entry.message for entry in entries}
        session.waiting.messages = [entry.message for entry in entries if entry.state == "accepted"]
        session.has_notices = bool(said)
        traced = [entry for entry in entries if not overheard(entry.message)]
        session.marks.resume(traced, said, since=self._started_at)
        session.has_replays = bool(replays)
        session.expected = expected
        session.asked_at = asked_at
        return session


def _gather(
    db: sqlite3.Connection, session_id: str
) -> tuple[SessionRecord | None, list[Entry], list[Notice], list[Letter], set[str], Route | None]:
    db.execute("BEGIN")
    try:
        return (
            rows.get(db, session_id),
            inbox.unfinished(db, session_id),
            deliveries.notices(db, session_id),
            dead_letters.replaying(db, session_id),
            deliveries.expected(db, session_id),
            inbox.asked_at(db, session_id),
        )
    finally:
        db.execute("COMMIT")
