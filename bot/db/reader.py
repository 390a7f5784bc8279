"""Reading bot.db: the running service does it beside its writer, the command line also without a service."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

from bot.db.migrations import MIGRATIONS
from bot.errors import DatabaseError, NewerDatabase, UnreadableDatabase

BUSY_MS: Final = 5000
"""How long to wait for another process that holds a lock on the file."""
DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NO_TEXT: Final = "Could not decode to UTF-8"

T = TypeVar("T")


class Readable(Protocol):
    """Something that knows what was committed to bot.db."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Raises DatabaseError."""


class Reader:
    """One connection that only reads, in a thread of its own. Belongs to one event loop."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, "roost-db-read")
        self._closed = False
        connection.execute("PRAGMA query_only = ON")

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work`, which sees what was committed. Raises DatabaseError."""
        if self._closed:
            raise DatabaseError(f"{self._path.name} is closed.")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work, self._connection)
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            if is_damage(exc):
                raise damaged(self._path, exc) from exc
            raise DatabaseError(f"{self._path.name} could not be read: {exc}.") from exc

    async def close(self) -> None:
        """Finishes what was asked. Twice is fine."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()


@asynccontextmanager
async def open_reader(path: Path) -> AsyncIterator[Reader]:
    """bot.db without its service, which may start, run and stop meanwhile. Raises DatabaseError."""
    try:
        connection = connect(path, mode="ro")
    except (sqlite3.Error, UnicodeDecodeError) as exc:
        raise not_opened(path, exc) from exc
    reader = Reader(path, connection)
    try:
        if await reader.read(lambda db: version(db, path)) < len(MIGRATIONS):
            raise DatabaseError(f"{path} was made by an older Roost: `roost run` brings it up to date.")
        yield reader
    finally:
        await reader.close()


def connect(path: Path, *, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """A connection for any thread, one at a time; rows by name, and no transaction but those asked for.
    Raises sqlite3.Error."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return db


def version(db: sqlite3.Connection, path: Path) -> int:
    """How many migrations the file has seen. Raises NewerDatabase, sqlite3.Error."""
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > len(MIGRATIONS):
        raise NewerDatabase(
            f"{path} was made by a newer Roost (version {found}, this one knows {len(MIGRATIONS)}):"
            " update Roost, or set [service] data_dir to another folder."
        )
    return found


def not_opened(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> DatabaseError:
    """What to tell a person whose bot.db cannot be opened."""
    if path.is_dir():
        return DatabaseError(f"{path} is a folder: move it away.")
    return damaged(path, error) if is_damage(error) else DatabaseError(f"{path} cannot be opened: {error}.")


def is_damage(error: BaseException) -> bool:
    """Whether it says that the file does not hold what was written."""
    # Text that is none any more is told apart by the module itself, which has no code for it; and where SQLite
    # quotes such text in an error of its own, the module fails to read the quotation.
    return code_of(error) in DAMAGED or isinstance(error, UnicodeDecodeError) or _NO_TEXT in str(error)


def code_of(error: BaseException) -> int:
    """SQLite's primary result code; 0 for the module's own errors, such as the use of a closed connection."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def damaged(path: Path, error: object) -> UnreadableDatabase:
    """What to tell a person whose bot.db is damaged."""
    return UnreadableDatabase(
        f"{path} cannot be read as a database ({' '.join(str(error).split())}): put back the newest backup with"
        " `roost backup restore latest --yes`, or move it away to start with an empty one."
    )
