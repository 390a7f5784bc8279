"""HostEnd: the only writer of a session's inbound.db."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.protocol import failpoint
from agent.protocol.mailbox.common import (
    MailboxBroken,
    MailboxGone,
    connect,
    inode,
    migrate,
    transaction,
    translating,
)
from agent.protocol.messages import Destination, InStatus, MessageIn, Receipt, Route, Schedule
from agent.protocol.schema import INBOUND, VERSION, complete
from agent.protocol.stored import STORED, as_stored

BUSY_TIMEOUT_MS: Final = 250
"""A container can lock inbound.db through its read-only mount; it must not hold up the host for longer."""
TERMINAL_ROWS_KEPT: Final = 200
_INSERT_IN: Final = """INSERT INTO messages_in (id, seq, event_id, kind, created_at, process_after, status, tries,
    trigger, channel, platform_id, thread_id, content) VALUES (:id, :seq, :event_id, :kind, :created_at,
    :process_after, :status, :tries, :trigger, :channel, :platform_id, :thread_id, :content)
    ON CONFLICT DO NOTHING"""

_INSERT_SCHEDULE: Final = """INSERT INTO schedules (series_id, prompt, recurrence, timezone, status, next_at)
    VALUES (:series_id, :prompt, :recurrence, :timezone, :status, :next_at)"""

FIXED: Final = ("seq", "event_id", "kind", "trigger", "channel", "platform_id", "thread_id", "content")
"""What does not change any more of a message that waits."""


@dataclass(frozen=True)
class StatusChange:
    """What the host has decided about a message that it posted. `process_after` is for retries only."""

    id: str
    status: InStatus
    tries: int = 0
    process_after: int | None = None


class HostEnd:
    """An open inbound.db. Calls are synchronous and belong on one thread at a time.

    synchronous=OFF: bot.db holds everything that is in it and rebuilds it after a power cut.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, making it where there is none, and rolls back what a killed host left half done.

        Raises MailboxError, OSError.
        """
        self._path = path
        with translating():
            self._db = connect(path, timeout_ms=BUSY_TIMEOUT_MS)
            try:
                self._db.execute("PRAGMA journal_mode = DELETE")
                self._db.execute("PRAGMA synchronous = OFF")
                migrate(self._db, dict(INBOUND))
                self._file = inode(path)
                # The container reads it as another user, and never owns it: an owner could lease it.
                path.chmod(0o644)
            except BaseException:
                self._db.close()
                raise

    @classmethod
    def rebuild(
        cls,
        path: Path,
        *,
        messages: Iterable[MessageIn],
        receipts: Iterable[Receipt],
        home: Route,
        destinations: Iterable[Destination],
        schedules: Iterable[Schedule] = (),
    ) -> HostEnd:
        """A fresh inbound.db in place of whatever lies there. Only while no runner lives.

        Raises MailboxError, OSError.
        """
        fresh = path.with_name(path.name + ".new")
        _remove(fresh)
        with contextlib.closing(cls(fresh)) as end:
            end.post(list(messages), receipts=list(receipts), schedules=list(schedules))
            end.address(home, list(destinations))
        failpoint.hit("inbound-made")
        _remove(path)
        failpoint.hit("inbound-removed")
        os.replace(fresh, path)
        return cls(path)

    def post(
        self,
        messages: Sequence[MessageIn] = (),
        *,
        receipts: Sequence[Receipt] = (),
        changes: Sequence[StatusChange] = (),
        forgotten: Sequence[str] = (),
        schedules: Sequence[Schedule] | None = None,
    ) -> None:
        """Writes everything that waits to be written, in one transaction.

        A message whose id or event was posted before is left alone; a terminal status stays. `forgotten`
        are message_outs that the agent has pruned. `schedules` are all that there are; None leaves those that
        were written last. Raises MailboxBusy, MailboxGone, MailboxBroken.
        """
        if inode(self._path) != self._file:
            raise MailboxGone(f"{self._path.name} was replaced")
        with transaction(self._db) as db:
            _each(db, _INSERT_IN, [message.to_row() for message in messages])
            _each(
                db,
                "INSERT OR REPLACE INTO delivered VALUES (?, ?, ?, ?, ?, ?)",
                [(r.message_out_id, r.seq, r.status, r.platform_message_id, r.error, r.at) for r in receipts],
            )
            _each(
                db,
                "UPDATE messages_in SET status = ?, tries = ?, process_after = ?"
                " WHERE id = ? AND status = 'pending'",
                [(c.status, c.tries, c.process_after, c.id) for c in changes],
            )
            _each(db, "DELETE FROM delivered WHERE message_out_id = ?", [(name,) for name in forgotten])
            failpoint.hit("inbound-mid-commit")
            if schedules is not None:
                db.execute("DELETE FROM schedules")
                db.executemany(_INSERT_SCHEDULE, [schedule.model_dump() for schedule in schedules])
            if changes:
                db.execute(
                    "DELETE FROM messages_in WHERE status != 'pending' AND seq <= (SELECT seq FROM messages_in"
                    " WHERE status != 'pending' ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                    (TERMINAL_ROWS_KEPT,),
                )

    def address(self, home: Route, destinations: Sequence[Destination]) -> None:
        """Sets where replies go when nothing else says, and the named places. Raises MailboxError."""
        with transaction(self._db) as db:
            db.execute(
                "INSERT OR REPLACE INTO session_routing VALUES (1, ?, ?, ?)",
                (home.channel, home.platform_id, home.thread_id),
            )
            db.execute("DELETE FROM destinations")
            db.executemany(
                "INSERT INTO destinations VALUES (?, ?, 'channel', ?, ?, ?, NULL)",
                [
                    (d.name, d.display_name, d.route.channel, d.route.platform_id, d.route.thread_id)
                    for d in destinations
                ],
            )

    def receipts(self) -> set[str]:
        """The message_outs that `delivered` has. Raises MailboxError."""
        with translating():
            return {row[0] for row in self._db.execute("SELECT message_out_id FROM delivered")}

    def pending(self) -> set[str]:
        """The messages that are not terminal yet in this file. Raises MailboxError."""
        with translating():
            return {row[0] for row in self._db.execute("SELECT id FROM messages_in WHERE status = 'pending'")}

    def check(self, known: Mapping[str, MessageIn]) -> None:
        """Whether the file is whole, and holds the `known` messages as they are. Raises MailboxBroken when it
        does not, MailboxError."""
        with translating():
            found = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            stored = frozenset(map(tuple, self._db.execute(STORED)))
            rows = self._db.execute("SELECT * FROM messages_in WHERE status = 'pending'").fetchall()
        if found != "ok":
            raise MailboxBroken(str(found))
        if stored != as_stored(complete(INBOUND, VERSION)):
            raise MailboxBroken("its tables are not those of an inbound.db")
        for row in rows:
            message = known.get(row["id"])
            if message is not None and [row[name] for name in FIXED] != _as_written(message):
                raise MailboxBroken(f"message {message.id} is not what was written")

    def close(self) -> None:
        """Closes the file. Twice is fine."""
        self._db.close()


def _each(db: sqlite3.Connection, sql: str, rows: Sequence[Any]) -> None:
    # Most posts are one message and nothing else, and even no rows would cost a statement.
    if rows:
        db.executemany(sql, rows)


def _as_written(message: MessageIn) -> list[Any]:
    row = message.to_row()
    return [row[name] for name in FIXED]


def _remove(path: Path) -> None:
    """The file first: without its journal, one that was half written would look whole."""
    path.unlink(missing_ok=True)
    path.with_name(path.name + "-journal").unlink(missing_ok=True)
