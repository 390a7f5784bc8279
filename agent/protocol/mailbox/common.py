"""What both ends share: errors, opening, transactions.

MailboxError
  x MailboxBusy       somebody holds a lock, or recovery is due: not now, try again
  x MailboxFull       there is no room on the disk: nothing was written, try again when there is
  x OutboxCrowded     too much that was written waits for its delivery: nothing more until the host has caught up
  x MailboxGone       the file or its folder was deleted or replaced under an open connection
  x MailboxBroken     SQLite finds the file corrupt, or of a version that this code does not know
  x SessionLocked     another runner is alive in this session
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.protocol.schema import VERSION

_NOT_NOW: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN})
_GONE: Final = frozenset({sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_IOERR})
_PRIMARY_CODE: Final = 0xFF


class MailboxError(Exception):
    """The mailbox could not be used."""


class MailboxBusy(MailboxError):
    """Raised when a lock is held too long, or when the file waits to be recovered by its writer."""


class MailboxFull(MailboxError):
    """Raised when the disk is full. The file is as it was before."""


class OutboxCrowded(MailboxError):
    """Raised when so much waits for its delivery that more is not written. The text is for the agent."""


class MailboxGone(MailboxError):
    """Raised when the file that is open is no longer the file at its path."""


class MailboxBroken(MailboxError):
    """Raised when the file is corrupt or was written by a newer version."""


class SessionLocked(MailboxError):
    """Raised when another runner holds the session."""


def translated(error: sqlite3.Error) -> MailboxError:
    """The error of ours for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", 0) or 0
    # A reader who may not write finds a hot journal: its owner will roll it back at its next open.
    if code == sqlite3.SQLITE_READONLY_ROLLBACK or code & _PRIMARY_CODE in _NOT_NOW:
        return MailboxBusy(str(error))
    if code & _PRIMARY_CODE == sqlite3.SQLITE_FULL:
        return MailboxFull(str(error))
    if code in _GONE or code & _PRIMARY_CODE in _GONE or code & _PRIMARY_CODE == sqlite3.SQLITE_READONLY:
        return MailboxGone(str(error))
    return MailboxBroken(str(error))


@contextmanager
def translating() -> Iterator[None]:
    """Turns SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as exc:
        raise translated(exc) from exc
    except UnicodeDecodeError as exc:
        # SQLite quotes what it found in a damaged file, and the module cannot read the quotation.
        raise MailboxBroken(str(exc)) from exc


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One write transaction: all of the block or nothing of it. Raises MailboxError."""
    with translating():
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            # COMMIT can fail with BUSY and leave the transaction open.
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def connect(path: Path, *, timeout_ms: int, read_only: bool = False) -> sqlite3.Connection:
    """A connection with explicit transactions and rows by name. Raises sqlite3.Error."""
    if read_only:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
    else:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute(f"PRAGMA busy_timeout = {timeout_ms}")
    db.row_factory = sqlite3.Row
    return db


def migrate(db: sqlite3.Connection, versions: dict[int, Sequence[str]]) -> None:
    """Brings a file to VERSION by the statements of each version above its own. Raises MailboxBroken."""
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        raise MailboxBroken(f"the file has version {found}, this program knows versions up to {VERSION}")
    if found == VERSION:
        return
    with transaction(db):
        for version in range(found + 1, VERSION + 1):
            for statement in versions[version]:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")


def inode(path: Path) -> tuple[int, int]:
    """Which file lies at `path`. Raises MailboxGone when none does."""
    try:
        found = path.stat()
    except OSError as exc:
        raise MailboxGone(f"{path.name} is gone") from exc
    return found.st_dev, found.st_ino
