"""What can go wrong with a file that the container wrote, and the one place where it is translated."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# What the writer of a folder can make `open` and `read` say. Anything else is the host's own shortage.
_HOSTILE_ERRNOS: Final = frozenset(
    {
        errno.ELOOP,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENXIO,
        errno.ENODEV,
        errno.EACCES,
        errno.EPERM,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.ESPIPE,
        errno.EOVERFLOW,
    }
)
_PRIMARY_CODE: Final = 0xFF


class SnapshotError(Exception):
    """The file could not be read."""


class Missing(SnapshotError):
    """Raised when there is nothing to read: the agent has not written the file yet."""


class Busy(SnapshotError):
    """Raised when it cannot be read now: a lock, a lease, a change under way, no time left. Try again."""


class Costly(Busy):
    """Raised when it could be opened, and there was not the time to read all of it. A file of an honest agent may
    meet that on a busy host; one that does so every time is made to."""


class HotJournal(SnapshotError):
    """Raised when a writer died in mid-commit. Only the session's own agent may recover the file: wake it."""


class Violation(SnapshotError):
    """Raised when the file is not what an honest agent writes: hostile or corrupt."""


@contextmanager
def translating(what: str) -> Iterator[None]:
    """Turns whatever reading `what` raises into a SnapshotError."""
    try:
        yield
    except OSError as exc:
        raise _from_os(what, exc) from exc
    except sqlite3.Error as exc:
        raise _from_sqlite(what, exc) from exc
    except MemoryError as exc:
        raise Busy(f"{what}: the host has no memory to read it") from exc
    except (ValueError, TypeError, ArithmeticError, RecursionError, sqlite3.Warning) as exc:
        raise Violation(f"{what} cannot be decoded: {printable(str(exc))}") from exc


def printable(text: str, limit: int = 200) -> str:
    """Text of unknown origin, cut to `limit` characters and fit for a log or a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text[:limit])


def _from_os(what: str, exc: OSError) -> SnapshotError:
    reason = exc.strerror or type(exc).__name__
    if exc.errno == errno.ENOENT:
        return Missing(f"{what} does not exist")
    if exc.errno == errno.EWOULDBLOCK:
        return Busy(f"{what} cannot be opened now: somebody holds a lease on it")
    if exc.errno in _HOSTILE_ERRNOS:
        return Violation(f"{what} is not a plain readable file: {reason}")
    return Busy(f"{what} cannot be read now: {reason}")


def _from_sqlite(what: str, exc: sqlite3.Error) -> SnapshotError:
    code = getattr(exc, "sqlite_errorcode", 0) & _PRIMARY_CODE
    if code == sqlite3.SQLITE_INTERRUPT:
        return Costly(f"{what} took too long to read")
    return Violation(f"{what} is corrupt: {printable(str(exc))}")
