"""bot.db: the host's own truth. One writer thread with group commit, one reader thread.

`write` returns when its transaction is on the disk (WAL, synchronous=FULL). Writes that arrive while the
disk is busy share the next commit, so that durability costs one sync for many messages and not one each.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from agent.protocol import failpoint
from bot import log
from bot.db import backlog
from bot.db.migrations import MIGRATIONS
from bot.db.reader import BUSY_MS, Reader, code_of, connect, damaged, is_damage, not_opened, version
from bot.db.soundness import fault
from bot.errors import DatabaseError, UnreadableDatabase, UnusableDataFolder

GROUP_MAX: Final = 256
LATER_SECONDS: Final = 0.05
"""How long a write that nobody waits for may wait for company."""
RETRY_SECONDS: Final = 5.0
"""How long such a write waits when the disk has failed."""
CHECKPOINT_PAGES: Final = 8192
"""32 MiB of log; a checkpoint syncs twice, so it is done seldom, and when the service is idle."""
IDLE_CHECKPOINT_SECONDS: Final = 5.0
DISK_ERRORS: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
    }
)
"""Primary result codes that say nothing about the job in which they are met."""

T = TypeVar("T")
_log = log.get("roost.db")


@dataclass
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any] | None
    result: Any = None
    error: Exception | None = None


class Database:
    """An open bot.db. Made by `open_database`, closed by `close`."""

    name = "bot.db"

    def __init__(self, path: Path, writer: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(path, reader)
        self._damage: asyncio.Future[UnreadableDatabase] = self._loop.create_future()
        self._seldom = log.Seldom()
        self._closed = False
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_forever, args=(writer,), name="roost-db-write")
        self._thread.start()

    async def run(self) -> None:
        """Until cancelled. Raises UnreadableDatabase once the file is found to be damaged: whatever were done
        from then on could not be trusted."""
        raise await self._damage

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in a transaction and returns its result once that is durable.

        What `work` raises undoes its own part and is raised here. Raises DatabaseError when the disk fails.
        Whoever is cancelled meanwhile does not know: it may be written all the same.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._put(_Job(work, future))
        return await future

    def later(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        """Runs `work` with the next commit, at the latest after LATER_SECONDS. In order with other writes;
        tried again when the disk fails. Raises DatabaseError after `close`."""
        self._put(_Job(work, None))
        failpoint.hit("later-queued")

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` on a connection that sees what was committed. Raises DatabaseError."""
        try:
            return await self._reader.read(work)
        except UnreadableDatabase as exc:
            self._is_damaged(exc)
            raise

    async def close(self) -> None:
        """Finishes what was queued and closes the file. Twice is fine."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        await self._reader.close()

    def _is_damaged(self, found: UnreadableDatabase) -> None:
        if not self._damage.done():
            self._damage.set_result(found)

    def _put(self, job: _Job) -> None:
        if self._closed:
            raise DatabaseError(f"{self._path.name} is closed.")
        self._jobs.put(job)

    def _write_forever(self, db: sqlite3.Connection) -> None:
        waiting: list[_Job] = []
        dirty, closing = False, False
        while not closing:
            closing = self._gather(waiting, dirty=dirty)
            if waiting:
                waiting, dirty = self._commit(db, waiting), True
            elif dirty:
                _checkpoint(db)
                dirty = False
        if waiting:
            _log.error("%d writes that nobody waited for were lost", len(waiting))
        _checkpoint(db)
        db.close()

    def _gather(self, group: list[_Job], *, dirty: bool) -> bool:
        """Adds what the next commit is to hold, beside what an earlier one could not write: nothing when the
        time is up before anything came. True at the end.

        Once somebody waits for it, the group takes along whatever came while the disk was busy, and no more.
        """
        patience = RETRY_SECONDS if group else (IDLE_CHECKPOINT_SECONDS if dirty else None)
        commit_by = None if patience is None else time.monotonic() + patience
        for _ in range(GROUP_MAX):
            try:
                job = self._jobs.get(timeout=None if commit_by is None else _until(commit_by))
            except queue.Empty:
                return False
            if job is None:
                return True
            if not group:
                commit_by = None
            group.append(job)
            soon = time.monotonic() + (LATER_SECONDS if job.future is None else 0)
            commit_by = soon if commit_by is None else min(commit_by, soon)
        return False

    def _commit(self, db: sqlite3.Connection, group: list[_Job]) -> list[_Job]:
        """Runs a group in one transaction. Returns the jobs that must be tried again: those without a
        caller who could be told that the disk failed."""
        again: list[_Job] = []
        try:
            db.execute("BEGIN IMMEDIATE")
            for job in group:
                _run(db, job)
            failpoint.hit("commit-begun")
            db.execute("COMMIT")
            failpoint.hit("commit-done")
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            _roll_back(db)
            if self._seldom(str(exc)):
                _log.error("bot.db could not be written: %s", exc)
            again = [job for job in group if job.future is None]
            for job in group:
                job.error = self._failure(exc)
        finished = [job for job in group if job.future is not None]
        if finished:
            self._loop.call_soon_threadsafe(_resolve, finished)
        return again

    def _failure(self, exc: sqlite3.Error | UnicodeDecodeError) -> DatabaseError:
        failure: DatabaseError
        if is_damage(exc):
            failure = found = damaged(self._path, exc)
            self._loop.call_soon_threadsafe(self._is_damaged, found)
        else:
            failure = DatabaseError(f"{self._path.name} could not be written: {exc}.")
        failure.__cause__ = exc
        return failure


def _until(moment: float) -> float:
    return max(0.0, moment - time.monotonic())


def _run(db: sqlite3.Connection, job: _Job) -> None:
    """Runs a job so that what it raises undoes itself and nothing else. Raises sqlite3.Error when it is not
    the job that failed."""
    db.execute("SAVEPOINT job")
    try:
        job.result = job.work(db)
    except BaseException as exc:
        if code_of(exc) in DISK_ERRORS or is_damage(exc):
            raise
        db.execute("ROLLBACK TO job")
        job.error = _raisable(exc)
        if job.future is None:
            _log.exception("a write that nobody waits for failed")
    db.execute("RELEASE job")


def _raisable(error: BaseException) -> Exception:
    """The error as a future can carry it: a StopIteration would end the waiting coroutine as if it were its
    own, and one that ends a thread or a task is about another one than the caller's."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"the write raised {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:  # After some errors SQLite has done it already.
        try:
            db.execute("ROLLBACK")
        except sqlite3.Error as exc:
            _log.error("bot.db could not be rolled back: %s", exc)


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future is None or job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


def _checkpoint(db: sqlite3.Connection) -> None:
    """Moves the log into the file, unless a reader is in its way: nobody waits for that."""
    db.execute("PRAGMA busy_timeout = 0")
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        failpoint.hit("checkpoint")
    except sqlite3.Error as exc:
        _log.warning("checkpoint of bot.db put off: %s", exc)
    finally:
        db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")


def open_database(path: Path) -> Database:
    """Opens bot.db, making or migrating it, readable by nobody else. Raises DatabaseError,
    UnusableDataFolder."""
    _make_private(path)
    writer: sqlite3.Connection | None = None
    try:
        writer = connect(path, mode="rw")
        found = version(writer, path)
        _configure(writer)
        migrate(writer, found)
        # Damage that is found late is in every backup that is left by then.
        if wrong := fault(writer):
            raise damaged(path, wrong)
        backlog.watch(writer)
        return Database(path, writer, connect(path, mode="rw"))
    except BaseException as exc:
        if writer is not None:
            writer.close()
        if isinstance(exc, sqlite3.Error | UnicodeDecodeError):
            raise not_opened(path, exc) from exc
        raise


def migrate(db: sqlite3.Connection, found: int) -> None:
    """Runs every migration above version `found`, each in a transaction of its own. Raises sqlite3.Error."""
    for number, statements in enumerate(MIGRATIONS[found:], start=found + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
            failpoint.hit("migration-mid-commit")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
        failpoint.hit("migration-committed")


def _make_private(path: Path) -> None:
    """SQLite gives its log the mode of the database."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_mode & 0o077:
                os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
    except OSError as exc:
        raise UnusableDataFolder(f"{path} cannot be opened: {exc.strerror}.") from exc


def _configure(writer: sqlite3.Connection) -> None:
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA synchronous = FULL")
    writer.execute("PRAGMA foreign_keys = ON")
    writer.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
