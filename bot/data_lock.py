"""The data folder's lock: held by a service for as long as it runs, and for work on the folder without one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bot.errors import DataFolderBusy, UnusableDataFolder

LOCKS: Final = Path("/proc/locks")


def is_held(data: Path) -> bool:
    """Whether somebody holds the lock, found out without taking it: a service that starts now must not fail.
    proc_locks(5)."""
    try:
        inode = (data / "roost.lock").stat().st_ino
        return any(f":{inode} " in line for line in LOCKS.read_text().splitlines() if " FLOCK " in line)
    except OSError:
        return False


@contextmanager
def taken(data: Path, *, busy: str = "A service is running in {data}: stop it first.") -> Iterator[None]:
    """Holds the lock; `busy` is what a person is told who cannot have it. Raises DataFolderBusy,
    UnusableDataFolder."""
    try:
        fd = os.open(data / "roost.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise UnusableDataFolder(f"The data folder {data} cannot be used: {exc.strerror}.") from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(fd)
        raise DataFolderBusy(busy.format(data=data)) from exc
    try:
        yield
    finally:
        os.close(fd)
