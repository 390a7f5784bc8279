"""Opening what lies in a folder that the container writes.

Every step goes by directory descriptor and follows no link, so a name that is swapped between two steps
leads nowhere. Opening never waits: not for a FIFO's other end and not for a lease to be given up.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from agent.protocol.snapshot.errors import Busy, Violation, printable, translating

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK_BYTES: Final = 2**20


def read_file(outbox: Path, message_id: str, name: str, *, max_bytes: int) -> bytes:
    """The file `name` that goes with a message_out, if it has at most `max_bytes`.

    Raises Missing, Busy, Violation.
    """
    for component in (message_id, name):
        if component in {"", ".", ".."} or "/" in component:
            raise Violation(f"{printable(component)!r} is not a plain file name")
    with translating(f"the file {printable(name)!r}"), ExitStack() as stack:
        folder = stack.enter_context(opened_folder(outbox))
        for step in ("files", message_id):
            folder = stack.enter_context(opened_folder(step, folder))
        file = stack.enter_context(opened_file(name, folder))
        size = os.fstat(file).st_size
        if size > max_bytes:
            raise Violation(f"the file {printable(name)!r} has {size} bytes, {max_bytes} are allowed")
        content = read_bytes(file, max_bytes + 1)
        if len(content) != size:
            raise Busy(f"the file {printable(name)!r} changed while it was read")
        return content


@contextmanager
def opened_folder(path: Path | str, parent: int | None = None) -> Iterator[int]:
    """The descriptor of a folder that is no link, below the folder `parent`. Raises OSError."""
    fd = os.open(path, _FOLDER, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def opened_file(name: str, folder: int) -> Iterator[int]:
    """The descriptor of a regular file with no second name. Raises OSError, Violation."""
    fd = os.open(name, _FILE, dir_fd=folder)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise Violation(f"{printable(name)!r} is not a regular file")
        if found.st_nlink > 1:
            raise Violation(f"{printable(name)!r} has {found.st_nlink} names, one is allowed")
        yield fd
    finally:
        os.close(fd)


def read_bytes(file: int, limit: int) -> bytes:
    """The first `limit` bytes of an open file, or all of it when it is shorter. Raises OSError."""
    chunks: list[bytes] = []
    position = 0
    while position < limit and (chunk := os.pread(file, min(_CHUNK_BYTES, limit - position), position)):
        chunks.append(chunk)
        position += len(chunk)
    return b"".join(chunks)
