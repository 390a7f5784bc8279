"""outbound.db as bytes: the host's part of SQLite's locking protocol, and nothing else of SQLite.

The file is never opened by SQLite, which would obey a planted journal, map a planted -shm or follow a link.
Lock bytes, journal and header are described in https://www.sqlite.org/fileformat2.html and
https://www.sqlite.org/lockingv3.html.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.protocol.snapshot.bounds import Bounds, Deadline
from agent.protocol.snapshot.errors import Busy, HotJournal, Missing, Violation
from agent.protocol.snapshot.files import opened_file, opened_folder, read_bytes

_NAME: Final = "outbound.db"
_PENDING: Final = (0x40000000, 1)
_RESERVED: Final = (0x40000001, 1)
_SHARED: Final = (0x40000002, 510)
_FLOCK: Final = struct.Struct("@hhqqi0q")  # struct flock of fcntl(2): type, whence, start, length, pid
_RETRY_SECONDS: Final = 0.002

_HEADER: Final = struct.Struct(">16sHBB8xI24xI")  # magic, page size, write and read version, pages, encoding
_HEADER_BYTES: Final = 100
_MAGIC: Final = b"SQLite format 3\0"
_ROLLBACK_JOURNAL: Final = 1
_UTF8: Final = 1


def copy(outbox: Path, bounds: Bounds, deadline: Deadline, *, as_it_is: bool = False) -> bytes:
    """A consistent copy of outbound.db; `as_it_is` does not ask whether a commit was left half done. Raises OSError
    and every SnapshotError."""
    with opened_folder(outbox) as folder, opened_file(_NAME, folder) as db, shared_lock(db, deadline):
        before = os.fstat(db)
        if before.st_size > bounds.file_bytes:
            raise Violation(f"{_NAME} has {before.st_size} bytes, {bounds.file_bytes} are allowed")
        if before.st_size == 0:
            raise Missing(f"{_NAME} is still empty")
        if not as_it_is and _journal_is_hot(folder, db):
            raise HotJournal(f"{_NAME} was left in the middle of a commit; its agent has to recover it")
        image = read_bytes(db, before.st_size)
        after = os.fstat(db)
    if len(image) != before.st_size or (after.st_size, after.st_mtime_ns) != (
        before.st_size,
        before.st_mtime_ns,
    ):
        raise Busy(f"{_NAME} changed while it was copied, against the lock on it")
    deadline.check(f"reading {_NAME}")
    _check_header(image)
    return image


@contextmanager
def shared_lock(db: int, deadline: Deadline) -> Iterator[None]:
    """Holds SQLite's SHARED lock until the block ends. Raises Busy, OSError.

    The lock belongs to the open file, not to the process: closing another descriptor does not drop it.
    """
    while not _lock_shared(db):
        if deadline.passed():
            raise Busy(f"no time left for waiting for the writer of {_NAME}")
        time.sleep(_RETRY_SECONDS)
    try:
        yield
    finally:
        _lock(db, _SHARED, fcntl.F_UNLCK)


def _lock_shared(db: int) -> bool:
    # A writer that waits for its readers to finish holds PENDING; whoever passes it would starve that writer.
    if not _lock(db, _PENDING, fcntl.F_RDLCK):
        return False
    try:
        return _lock(db, _SHARED, fcntl.F_RDLCK)
    finally:
        _lock(db, _PENDING, fcntl.F_UNLCK)


def _lock(db: int, place: tuple[int, int], kind: int) -> bool:
    start, length = place
    try:
        fcntl.fcntl(db, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
    except BlockingIOError:
        return False
    return True


def _journal_is_hot(folder: int, db: int) -> bool:
    """Whether somebody began to commit and is no more."""
    try:
        with opened_file(f"{_NAME}-journal", folder) as journal:
            # A living writer may take everything back between the first two questions; the third one tells.
            return _is_live(journal) and not _is_reserved(db) and _is_live(journal)
    except FileNotFoundError:
        return False


def _is_live(journal: int) -> bool:
    """Whether it would be played back: one that is deleted, empty or begins with 0 was finished with."""
    return os.fstat(journal).st_nlink > 0 and os.pread(journal, 1, 0) not in {b"", b"\0"}


def _is_reserved(db: int) -> bool:
    start, length = _RESERVED
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    holder = fcntl.fcntl(db, fcntl.F_OFD_GETLK, asked)
    return bool(_FLOCK.unpack(holder)[0] != fcntl.F_UNLCK)


def _check_header(image: bytes) -> None:
    if len(image) < _HEADER_BYTES:
        raise Violation(f"{_NAME} is too short for a database")
    magic, page_size, writes, reads, pages, encoding = _HEADER.unpack_from(image)
    page_size = 65536 if page_size == 1 else page_size
    if magic != _MAGIC:
        raise Violation(f"{_NAME} is not a database")
    if (writes, reads) != (_ROLLBACK_JOURNAL, _ROLLBACK_JOURNAL):
        raise Violation(f"{_NAME} is not in rollback journal mode")
    if page_size < 512 or page_size & (page_size - 1) or pages * page_size != len(image):
        raise Violation(f"{_NAME} does not have the size that its header says")
    # In UTF-16 a cell could be larger than the pages that hold it, which the reader counts on.
    if encoding != _UTF8:
        raise Violation(f"{_NAME} is not in UTF-8")
