"""What a copy needs before a service may go on with it: no container of it lives, and some of its outboxes are
newer than its bot.db."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from agent.protocol.snapshot import Snapshot, SnapshotError
from bot.backup import layout
from bot.backup.databases import Facts, check_bot, check_inbound, read_outbound
from bot.backup.errors import ArchiveRefused
from bot.db import deliveries, inbox
from bot.db.engine import migrate

TOO_LATE: Final = "it answers a message that was accepted after the backup was made"


def check(root: Path) -> Facts:
    """Whether every database of an unpacked backup is sound. Raises ArchiveRefused."""
    facts = check_bot(root / layout.DATABASE)
    for folder in _sessions(root):
        if (inbound := folder / "in" / "inbound.db").exists():
            check_inbound(inbound)
        _outbox(folder)
    return facts


def settle(root: Path, *, now: int) -> None:
    """Makes bot.db say what is so in the folder that it now lies in. Raises ArchiveRefused, sqlite3.Error."""
    with closing(sqlite3.connect(root / layout.DATABASE, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        migrate(db, int(db.execute("PRAGMA user_version").fetchone()[0]))
        db.execute("BEGIN")
        # No inbound.db was written under this boot by this bot.db: each is made anew when it is needed.
        db.execute("UPDATE sessions SET boot_id = NULL, awake = 0")
        for folder in _sessions(root):
            snapshot = _outbox(folder)
            if snapshot is None:
                continue
            _end_what_was_answered(db, folder.name, snapshot, now)
            if _uncollected(db, folder.name, snapshot, now):
                # The next service collects what is there before it does anything else with the session.
                db.execute("UPDATE sessions SET awake = 1 WHERE id = ?", (folder.name,))
        db.execute("COMMIT")


def _end_what_was_answered(db: sqlite3.Connection, session_id: str, snapshot: Snapshot, now: int) -> None:
    """An agent prunes an ack once bot.db has it, which may have been after bot.db was copied. The reply is still
    there then, and a turn that came after it: turns end one by one, so that of the reply has ended."""
    numbers = {
        row["id"]: row["seq"]
        for row in db.execute("SELECT id, seq FROM inbox WHERE session = ?", (session_id,))
    }
    claimed = {ack.message_id for ack in snapshot.acks}
    newest = max(snapshot.messages, key=lambda each: each.seq if each.turn_id else 0, default=None)
    for reply in snapshot.messages:
        if newest is None or reply.turn_id == newest.turn_id or reply.turn_id not in numbers:
            continue
        first = numbers[reply.turn_id]
        last = numbers.get(reply.in_reply_to or "", first)
        rows = db.execute(
            "SELECT id FROM inbox WHERE session = ? AND seq BETWEEN ? AND ? AND channel = ? AND platform_id = ?"
            " AND thread_id IS ?",
            (session_id, first, last, reply.route.channel, reply.route.platform_id, reply.route.thread_id),
        )
        ended = [row["id"] for row in rows if row["id"] not in claimed]
        inbox.settle(db, session_id, ended, turn_id=reply.turn_id, now=now)


def _uncollected(db: sqlite3.Connection, session_id: str, snapshot: Snapshot, now: int) -> bool:
    """Whether the outbox holds anything for bot.db. What it must not hold is booked as given up."""
    rows = db.execute("SELECT id, state FROM inbox WHERE session = ?", (session_id,))
    accepted = {row["id"]: row["state"] for row in rows}
    handled = deliveries.handled(db, session_id, [message.id for message in snapshot.messages])
    uncollected = any(accepted.get(ack.message_id) in ("accepted", "posted") for ack in snapshot.acks)
    for message in snapshot.messages:
        if message.id in handled:
            continue
        # A turn is named after the oldest message that asked for it: when that one is unknown, they all are.
        if message.turn_id is not None and message.turn_id not in accepted:
            deliveries.record(
                db, session_id, message.id, part=0, seq=message.seq, state="failed", last=True, now=now,
                error=TOO_LATE,
            )  # fmt: skip
        else:
            uncollected = True
    return uncollected


def _outbox(folder: Path) -> Snapshot | None:
    if not (folder / "out" / "outbound.db").exists():
        return None
    try:
        return read_outbound(folder / "out")
    except SnapshotError as exc:
        raise ArchiveRefused(f"the outbound.db of session {folder.name} is damaged: {exc}.") from exc


def _sessions(root: Path) -> list[Path]:
    folder = root / "sessions"
    return sorted(folder.iterdir()) if folder.is_dir() else []
