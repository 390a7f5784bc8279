"""AgentEnd: the only writer of a session's outbound.db, and a reader of its inbound.db."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.protocol import failpoint
from agent.protocol.clock import Clock, now_ms
from agent.protocol.mailbox.common import (
    MailboxBusy,
    MailboxGone,
    OutboxCrowded,
    SessionLocked,
    connect,
    migrate,
    transaction,
    translating,
)
from agent.protocol.mailbox.inbound_reader import InboundReader, Inbox
from agent.protocol.messages import AckStatus, ContentOut, Destination, MessageOut, OutKind, Route, Schedule
from agent.protocol.room import WRITTEN_BYTES, WRITTEN_ROWS
from agent.protocol.schema import OUTBOUND
from agent.protocol.workspace import Workspace

PRUNE_ABOVE_ROWS: Final = 4
"""Pruning costs a look at inbound.db: below this many rows the host's snapshot is cheap as it is."""
PRUNE_ABOVE_BYTES: Final = 1024 * 1024
"""However few the rows: every snapshot of the host's copies the whole file."""
VACUUM_ABOVE_BYTES: Final = 1024 * 1024
CROWDED: Final = (
    "Too many messages wait for their delivery: say it in your answer, or try again when they are out."
)
_WRITE_TIMEOUT_MS: Final = 5_000
"""Only the host's snapshot takes a lock on outbound.db, for as long as a copy lasts."""


@dataclass(frozen=True)
class Draft:
    """A message_out before it has a seq."""

    content: ContentOut
    kind: OutKind
    route: Route
    in_reply_to: str | None = None
    turn_id: str | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class AgentEnd:
    """The runner's end of the mailbox. One per process, used from one thread."""

    def __init__(self, workspace: Workspace, *, clock: Clock = now_ms) -> None:
        """Takes the session's lock, recovers and migrates outbound.db, and gives up what a crashed
        runner had claimed: that is done again. Raises SessionLocked, MailboxError, OSError.
        """
        self._workspace = workspace
        self._clock = clock
        self._inbound = InboundReader(workspace.inbound, clock)
        self._staged: dict[str, str] = {}
        self._heartbeat = os.fspath(workspace.heartbeat)
        self._lock = _take(workspace)
        try:
            workspace.heartbeat.touch(mode=0o644)
            with translating():
                self._out = connect(workspace.outbound, timeout_ms=_WRITE_TIMEOUT_MS)
        except BaseException:
            os.close(self._lock)
            raise
        try:
            with translating():
                self._recover()
        except BaseException:
            self.close()
            raise

    def _recover(self) -> None:
        self._out.execute("PRAGMA journal_mode = DELETE")
        self._out.execute("PRAGMA synchronous = FULL")
        migrate(self._out, dict(OUTBOUND))
        if self._out.execute("SELECT 1 FROM processing_ack WHERE status = 'processing'").fetchone():
            with transaction(self._out) as db:
                db.execute("DELETE FROM processing_ack WHERE status = 'processing'")
                failpoint.hit("agent-recovering")
        failpoint.hit("agent-recovered")
        self._done = {row[0] for row in self._out.execute("SELECT message_id FROM processing_ack")}
        self._claimed: set[str] = set()
        self._written = {row[0] for row in self._out.execute("SELECT id FROM messages_out")}
        self._state = {row[0]: row[1] for row in self._out.execute("SELECT key, value FROM session_state")}
        newest = self._out.execute("SELECT max(seq) FROM messages_out").fetchone()[0]
        self._seq = max(int(self._state.get("seq", 0)), newest or 0)
        self._discard_files()

    def _discard_files(self) -> None:
        """A runner that was killed may have put files in place for a message that it never wrote, or have
        pruned a message and not its files: nobody will ask for them."""
        with contextlib.suppress(FileNotFoundError):
            for folder in list(self._workspace.sent_files.iterdir()):
                if folder.name not in self._written:
                    shutil.rmtree(folder, ignore_errors=True)

    def look(self) -> Inbox | None:
        """What there is to do; None means "not now", try again soon. Raises MailboxBroken."""
        failpoint.hit("agent-looking")
        inbox = self._inbound.look(self._done)
        if inbox is not None:
            self._seq = max(self._seq, inbox.newest_seq)
        return inbox

    def destinations(self) -> list[Destination] | None:
        """The named places that this session may write to; None when it cannot be told now."""
        return self._inbound.destinations()

    def schedules(self) -> list[Schedule] | None:
        """What is to happen in this session, the next first; None when it cannot be told now. As it was when
        something was last posted."""
        return self._inbound.schedules()

    def home(self) -> Route | None:
        """Where a reply goes when nothing else says; None when it cannot be told now."""
        return self._inbound.home()

    def close_inbound(self) -> None:
        """Lets go of inbound.db and of every lock on it; the next look opens it again."""
        self._inbound.close()

    def finish(
        self, acks: Mapping[str, AckStatus], drafts: Sequence[Draft] = (), *, turn_id: str
    ) -> list[MessageOut]:
        """Ends a turn: its replies, its acks and what was staged, in ONE transaction.

        So a final answer is never given twice by a rerun. Raises MailboxError; then nothing was written.
        """
        with transaction(self._out) as db:
            messages = self._insert(db, drafts)
            self._ack(db, acks, turn_id)
            self._write_state(db)
            sent, settled = self._prune(db)
            failpoint.hit("agent-finish-mid-commit")
        self._committed(messages)
        failpoint.hit("agent-finished")
        self._done.update(acks)
        self._claimed.difference_update(acks)
        self._pruned(sent, settled)
        return messages

    def reply(self, draft: Draft) -> MessageOut:
        """Writes one message at once: for tools, in the middle of a turn. Raises MailboxError, OutboxCrowded
        among them: the end of a turn is written whatever waits, and needs the room that is left."""
        if self.crowded():
            raise OutboxCrowded(CROWDED)
        with transaction(self._out) as db:
            messages = self._insert(db, [draft])
            self._write_state(db)
            failpoint.hit("agent-reply-mid-commit")
        failpoint.hit("agent-replied")
        self._committed(messages)
        return messages[0]

    def crowded(self) -> bool:
        """Whether so much waits for its delivery that nothing new is to be begun. What the host has dealt with
        meanwhile is pruned. Raises MailboxError."""
        if not self._is_crowded():
            return False
        if not self._written.isdisjoint(self._inbound.delivered()):
            with transaction(self._out) as db:
                sent, settled = self._prune(db)
            self._pruned(sent, settled)
        return self._is_crowded()

    def _is_crowded(self) -> bool:
        if not self._written:
            return False
        used = self._pages("page_count") - self._pages("freelist_count")
        return len(self._written) >= WRITTEN_ROWS or used >= WRITTEN_BYTES

    def hold(self, message_ids: Iterable[str], *, turn_id: str) -> None:
        """Writes down that these are being worked on, for a turn that lasts. Raises MailboxError."""
        claims: dict[str, AckStatus] = {i: "processing" for i in message_ids if i not in self._claimed}
        if not claims and not self._staged:
            return
        with transaction(self._out) as db:
            self._ack(db, claims, turn_id)
            self._write_state(db)
            failpoint.hit("agent-hold-mid-commit")
        failpoint.hit("agent-held")
        self._committed([])
        self._claimed.update(claims)

    def state(self, key: str) -> str | None:
        """A value of session_state, staged ones included; None where there is none."""
        return self._staged.get(key, self._state.get(key)) or None

    def stage(self, key: str, value: str | None) -> None:
        """Sets a value of session_state with the next commit of whatever kind."""
        if value != self.state(key):
            self._staged[key] = value or ""

    def beat(self) -> None:
        """Says "alive". Raises MailboxGone when the session's folder was taken away."""
        try:
            os.utime(self._heartbeat)
        except OSError as exc:
            raise MailboxGone(f"the session's folder is gone: {exc}") from exc

    def compact(self) -> None:
        """Gives back the space of pruned rows, when it is worth it. For idle moments. Raises MailboxError."""
        # The host is reading: there will be another idle moment.
        with contextlib.suppress(MailboxBusy), translating():
            if self._pages("freelist_count") > VACUUM_ABOVE_BYTES:
                self._out.execute("VACUUM")
                failpoint.hit("agent-compacted")

    def close(self) -> None:
        """Closes both files and releases the session. Twice is fine."""
        self._inbound.close()
        self._out.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _insert(self, db: sqlite3.Connection, drafts: Sequence[Draft]) -> list[MessageOut]:
        now = self._clock()
        # Odd, above all that was ever used and above the newest inbound seq seen: so #5 means one message.
        first = self._seq + 1 + self._seq % 2
        messages = [
            MessageOut(
                id=draft.id,
                seq=first + 2 * place,
                in_reply_to=draft.in_reply_to,
                kind=draft.kind,
                created_at=now,
                turn_id=draft.turn_id,
                route=draft.route,
                content=draft.content,
            )
            for place, draft in enumerate(drafts)
        ]
        db.executemany(
            "INSERT INTO messages_out (id, seq, in_reply_to, kind, created_at, deliver_after, turn_id, channel,"
            " platform_id, thread_id, content) VALUES (:id, :seq, :in_reply_to, :kind, :created_at,"
            " :deliver_after, :turn_id, :channel, :platform_id, :thread_id, :content)",
            [message.to_row() for message in messages],
        )
        if messages:
            self._staged["seq"] = str(messages[-1].seq)
        return messages

    def _ack(self, db: sqlite3.Connection, acks: Mapping[str, AckStatus], turn_id: str) -> None:
        now = self._clock()
        db.executemany(
            "INSERT INTO processing_ack VALUES (?, ?, ?, ?) ON CONFLICT (message_id) DO UPDATE"
            " SET status = excluded.status, status_changed = excluded.status_changed, turn_id = excluded.turn_id",
            [(message_id, status, now, turn_id) for message_id, status in acks.items()],
        )

    def _write_state(self, db: sqlite3.Connection) -> None:
        now = self._clock()
        db.executemany(
            "INSERT OR REPLACE INTO session_state VALUES (?, ?, ?)",
            [(key, value, now) for key, value in self._staged.items()],
        )

    def _prune(self, db: sqlite3.Connection) -> tuple[set[str], set[str]]:
        """Drops what the host has seen, and returns it: messages that `delivered` has, acks of messages
        that are terminal."""
        sent: set[str] = set()
        settled: set[str] = set()
        large = self._pages("page_count") > PRUNE_ABOVE_BYTES
        if large or len(self._written) > PRUNE_ABOVE_ROWS:
            sent = self._written & self._inbound.delivered()
            db.executemany("DELETE FROM messages_out WHERE id = ?", [(i,) for i in sent])
        if len(self._done) > PRUNE_ABOVE_ROWS:
            pending = self._inbound.pending()
            settled = set() if pending is None else self._done - pending
            db.executemany("DELETE FROM processing_ack WHERE message_id = ?", [(i,) for i in settled])
        return sent, settled

    def _pruned(self, sent: set[str], settled: set[str]) -> None:
        self._done -= settled
        self._written -= sent
        for message_id in sent:
            failpoint.hit("agent-files-pruned")
            shutil.rmtree(self._workspace.sent(message_id), ignore_errors=True)

    def _pages(self, which: str) -> int:
        """Size in bytes of the pages that a pragma counts."""
        count, size = (self._out.execute(f"PRAGMA {name}").fetchone()[0] for name in (which, "page_size"))
        return int(count) * int(size)

    def _committed(self, messages: Sequence[MessageOut]) -> None:
        self._state.update(self._staged)
        self._staged.clear()
        self._written.update(message.id for message in messages)
        if messages:
            self._seq = messages[-1].seq


def _take(workspace: Workspace) -> int:
    """The session's lock, held for as long as the descriptor is open. Raises SessionLocked, OSError."""
    fd = os.open(workspace.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(fd)
        raise SessionLocked("another runner is alive in this session") from exc
    return fd
