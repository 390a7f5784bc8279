"""How the agent reads inbound.db: a file that it may not write, and that the host may be busy with."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from agent.protocol.clock import Clock
from agent.protocol.mailbox.common import MailboxBusy, MailboxGone, connect, inode, translating
from agent.protocol.messages import Destination, MessageIn, Route, Schedule, revised_by

MAX_PENDING: Final = 100
"""How many messages of each sort one look returns; the rest is seen when these are done."""
MAX_REVISIONS: Final = 2_000
"""Of messages that were not begun with: all of them have to be seen with what they change. The host writes no more than
a thousand, and those that it wrote meanwhile."""
MAX_OUTDATED: Final = 5_000
"""Each of them costs an ack in outbound.db, of which the host reads 10,000."""
_READ_TIMEOUT_MS: Final = 100

# Windows of their own: neither context nor system rows can crowd out a due message, nor what people do afterwards
# a word that a tool or a person waits for.
_PENDING: Final = "FROM messages_in WHERE status = 'pending'"
_WORK: Final = f"SELECT * {_PENDING} AND trigger = 1 AND kind != 'system' ORDER BY seq"
_TYPE: Final = "CASE WHEN json_valid(content) THEN json_extract(content, '$.system.type') ELSE '' END"
_SYSTEM: Final = (
    f"SELECT * {_PENDING} AND kind = 'system'"
    f" AND coalesce({_TYPE}, '') NOT IN ('edited', 'withdrawn', 'reacted') ORDER BY seq"
)
_AFTERWARDS: Final = (
    f"SELECT * {_PENDING} AND kind = 'system' AND {_TYPE} IN ('edited', 'withdrawn', 'reacted') ORDER BY seq"
)
_REVISIONS: Final = (
    f"SELECT * {_PENDING} AND kind = 'system' AND {_TYPE} IN ('edited', 'withdrawn') ORDER BY seq"
)
_CONTEXT: Final = f"SELECT * {_PENDING} AND trigger = 0 AND kind != 'system' ORDER BY seq DESC"
_OUTDATED: Final = (
    f"SELECT id {_PENDING} AND trigger = 0 AND kind != 'system' AND seq < ? ORDER BY seq DESC LIMIT ?"
)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Inbox:
    """What one look at inbound.db shows, in seq order and without what was dealt with already.

    `messages` (system rows among them) ends before the first one whose retry is not due yet, at `due_at`;
    `system` holds the system rows in any case. `outdated` are context rows that there is no room for: to be
    done with together with the newer ones. `revisions` are the rows that change or withdraw a message, which
    `system` and `messages` may have as well, and `awaited` the numbers of those of these messages that are still to be
    dealt with, whether or not they are among `messages`.
    """

    messages: tuple[MessageIn, ...] = ()
    system: tuple[MessageIn, ...] = ()
    undecodable: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    revisions: tuple[MessageIn, ...] = ()
    awaited: frozenset[int] = frozenset()
    due_at: int | None = None
    newest_seq: int = 0


class InboundReader:
    """A read-only connection that is opened late, closed on demand and never waits for long."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._file = (0, 0)

    def look(self, dealt_with: Collection[str]) -> Inbox | None:
        """What there is to do; None means "not now", try again soon. Raises MailboxBroken."""

        def read(db: sqlite3.Connection) -> Inbox:
            work, system, afterwards, context = (
                _first(db.execute(sql), dealt_with) for sql in (_WORK, _SYSTEM, _AFTERWARDS, _CONTEXT)
            )
            revisions = _revisions(db, dealt_with) if afterwards else ()
            outdated: list[str] = []
            if len(context) == MAX_PENDING:
                older = db.execute(_OUTDATED, (context[-1]["seq"], MAX_OUTDATED))
                outdated = [row["id"] for row in older if row["id"] not in dealt_with]
            rows = sorted((*work, *system, *afterwards, *context), key=lambda row: int(row["seq"]))
            inbox = _inbox(rows, outdated, self._clock())
            return replace(inbox, revisions=revisions, awaited=_awaited(db, revisions, dealt_with))

        return self._read(read)

    def destinations(self) -> list[Destination] | None:
        """The named places that this session may write to; None when it cannot be told now."""

        def read(db: sqlite3.Connection) -> list[Destination]:
            rows = db.execute("SELECT * FROM destinations WHERE type = 'channel' ORDER BY name")
            return [_destination(row) for row in rows]

        return self._read(read)

    def schedules(self) -> list[Schedule] | None:
        """What is to happen in this session, the next first; None when it cannot be told now."""

        def read(db: sqlite3.Connection) -> list[Schedule]:
            rows = db.execute("SELECT * FROM schedules ORDER BY next_at IS NULL, next_at, series_id")
            return [Schedule(**dict(row)) for row in rows]

        return self._read(read)

    def home(self) -> Route | None:
        """Where a reply goes when nothing else says; None when it cannot be told now."""

        def read(db: sqlite3.Connection) -> Route | None:
            row = db.execute("SELECT * FROM session_routing").fetchone()
            return row and _route(row)

        return self._read(read)

    def delivered(self) -> set[str]:
        """The message_outs that the host has dealt with; empty when it cannot be told now."""
        return (
            self._read(lambda db: {row[0] for row in db.execute("SELECT message_out_id FROM delivered")})
            or set()
        )

    def pending(self) -> set[str] | None:
        """The messages that the host does not yet know to be done; None when it cannot be told now."""
        return self._read(
            lambda db: {row[0] for row in db.execute("SELECT id FROM messages_in WHERE status = 'pending'")}
        )

    def close(self) -> None:
        """Lets go of the file, and with it of every lock on it; the next read opens it again."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _read(self, query: Callable[[sqlite3.Connection], _T]) -> _T | None:
        try:
            # The host replaces a file that it had to rebuild; the old one would never change again.
            found = inode(self._path)
            if found != self._file:
                self.close()
            with translating():
                if self._db is None:
                    self._db = connect(self._path, timeout_ms=_READ_TIMEOUT_MS, read_only=True)
                    self._file = found
                return _at_once(self._db, query)
        except (MailboxBusy, MailboxGone):
            self.close()
            return None


def _at_once(db: sqlite3.Connection, query: Callable[[sqlite3.Connection], _T]) -> _T:
    """All that `query` reads is one state of the file: a Clear is never seen without what came before it."""
    db.execute("BEGIN")
    try:
        return query(db)
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _inbox(rows: Iterable[sqlite3.Row], outdated: Iterable[str], now: int) -> Inbox:
    messages: list[MessageIn] = []
    system: list[MessageIn] = []
    undecodable: list[str] = []
    due_at: int | None = None
    newest = 0
    for row in rows:
        newest = max(newest, int(row["seq"]))
        try:
            message = MessageIn.from_row(dict(row))
        except (ValidationError, ValueError):
            undecodable.append(str(row["id"]))
            continue
        if message.kind == "system":
            system.append(message)
        if due_at is None and message.trigger and (message.process_after or 0) > now:
            # A row in backoff holds back the later ones: that is what keeps the order.
            due_at = message.process_after
        if due_at is None:
            messages.append(message)
    return Inbox(
        tuple(messages), tuple(system), tuple(undecodable), tuple(outdated), due_at=due_at, newest_seq=newest
    )


def _revisions(db: sqlite3.Connection, dealt_with: Collection[str]) -> tuple[MessageIn, ...]:
    """Those that cannot be decoded are met among the system rows."""
    found: list[MessageIn] = []
    for row in _first(db.execute(_REVISIONS), dealt_with, MAX_REVISIONS):
        with suppress(ValidationError, ValueError):
            found.append(MessageIn.from_row(dict(row)))
    return tuple(found)


def _awaited(
    db: sqlite3.Connection, revisions: Sequence[MessageIn], dealt_with: Collection[str]
) -> frozenset[int]:
    awaited: set[int] = set()
    for seq in {revised_by(row) for row in revisions}:
        found = db.execute(f"SELECT id {_PENDING} AND seq = ?", (seq,)).fetchone()
        if found is not None and found["id"] not in dealt_with:
            awaited.add(int(seq or 0))
    return frozenset(awaited)


def _first(
    rows: Iterable[sqlite3.Row], dealt_with: Collection[str], most: int = MAX_PENDING
) -> list[sqlite3.Row]:
    found: list[sqlite3.Row] = []
    for row in rows:
        if row["id"] not in dealt_with:
            found.append(row)
            if len(found) == most:
                break
    return found


def _destination(row: sqlite3.Row) -> Destination:
    return Destination(name=row["name"], display_name=row["display_name"], route=_route(row))


def _route(row: sqlite3.Row) -> Route:
    return Route(channel=row["channel"], platform_id=row["platform_id"], thread_id=row["thread_id"])
