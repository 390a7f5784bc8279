"""Takes hold of a file of the mailbox and keeps it: `holds.py WHAT`; tells in out/held what came of it."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .kernel import Refused, call

INBOUND: Final = "/session/in/inbound.db"
OUTBOUND: Final = "/session/out/outbound.db"
SHARED: Final = (0x40000002, 510)
"""The bytes on which SQLite has its shared locks; see "File Locking And Concurrency" in its documentation."""
UPPER_HALF: Final = 1 << 32
WAYS: Final = {"r": os.O_RDONLY, "w": os.O_RDWR}


def lease(path: str, kind: int, wider: int = 0) -> None:
    """Whoever opens the file waits until the holder lets go, or for /proc/sys/fs/lease-break-time seconds."""
    call("fcntl", os.open(path, os.O_RDONLY), fcntl.F_SETLEASE | wider, kind)


def lock(path: str, way: str, kind: int) -> None:
    """SQLite's own."""
    fcntl.lockf(os.open(path, WAYS[way]), kind | fcntl.LOCK_NB, SHARED[1], SHARED[0])


def whole(path: str) -> None:
    """The other kind of lock, which asks for no right to write."""
    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)


def keep(path: str) -> str:
    """A file of the container's own, for one that is not there."""
    if not os.path.exists(path):
        Path(path).write_bytes(b"outbound")
    return path


HOLDS: Final[dict[str, Callable[[], None]]] = {
    "a read lease on inbound": lambda: lease(INBOUND, fcntl.F_RDLCK),
    "a write lease on inbound": lambda: lease(INBOUND, fcntl.F_WRLCK),
    "a lease on inbound by a wider number": lambda: lease(INBOUND, fcntl.F_RDLCK, UPPER_HALF),
    "a write lease on outbound": lambda: lease(keep(OUTBOUND), fcntl.F_WRLCK),
    "a lease on outbound by a wider number": lambda: lease(keep(OUTBOUND), fcntl.F_WRLCK, UPPER_HALF),
    "an exclusive lock on inbound": lambda: lock(INBOUND, "w", fcntl.LOCK_EX),
    "a shared lock on inbound": lambda: lock(INBOUND, "r", fcntl.LOCK_SH),
    "a whole lock on inbound": lambda: whole(INBOUND),
}


def main() -> None:
    """Holds it for as long as the container lives."""
    try:
        HOLDS[sys.argv[1]]()
        told = "ok"
    except (Refused, OSError) as exc:
        told = str(exc)
    Path("/session/out/held.new").write_text(json.dumps(told))
    os.rename("/session/out/held.new", "/session/out/held")
    time.sleep(600)


if __name__ == "__main__":
    main()
