"""Tries to change what is mounted for reading, to give it a second name, and to put something else in its place."""

from __future__ import annotations

import ctypes
import json
import os
import socket
from collections.abc import Callable
from typing import Final

from .kernel import LIBC, answered, outcome

AT_FDCWD: Final = -100
AT_SYMLINK_FOLLOW: Final = 0x400
RENAME_EXCHANGE: Final = 2


def written(path: str) -> Callable[[], None]:
    """Opened for writing."""
    return lambda: os.close(os.open(path, os.O_RDWR))


def made(path: str) -> Callable[[], None]:
    """A new file."""
    return lambda: os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))


def linked_by_descriptor() -> None:
    """A second name for an open file."""
    file = os.open("/session/in/inbound.db", os.O_RDONLY)
    source = f"/proc/self/fd/{file}".encode()
    answered(LIBC.linkat(AT_FDCWD, source, AT_FDCWD, b"/session/out/third", AT_SYMLINK_FOLLOW))


def exchanged() -> None:
    """A file of the container's own and the mailbox's, each in the other's place."""
    os.close(os.open("/session/out/mine", os.O_CREAT | os.O_WRONLY))
    LIBC.renameat2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    here, there = b"/session/out/mine", b"/session/in/inbound.db"
    answered(LIBC.renameat2(AT_FDCWD, here, AT_FDCWD, there, RENAME_EXCHANGE))


def bound() -> None:
    """A socket of the container's own in the place of the bell."""
    with socket.socket(socket.AF_UNIX) as line:
        line.bind("/session/bell/mine.sock")


def ringing() -> None:
    """The bell itself, which is there for that."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect("/session/bell/bell.sock")


def moved(path: str, to: str) -> Callable[[], None]:
    """There, and back again."""

    def attempt() -> None:
        os.rename(path, to)
        os.rename(to, path)

    return attempt


INBOUND: Final = "/session/in/inbound.db"
BELL: Final = "/session/bell/bell.sock"
PERMITTED: Final = "the bell itself"
ATTEMPTS: dict[str, Callable[[], object]] = {
    PERMITTED: ringing,
    "what else is in bell/": lambda: os.listdir("/session/bell"),
    "inbound for writing": written(INBOUND),
    "inbound older": lambda: os.utime(INBOUND, (0, 0)),
    "inbound with other rights": lambda: os.chmod(INBOUND, 0o666),  # noqa: S103
    "inbound elsewhere": moved(INBOUND, "/session/out/inbound.db"),
    "a journal for inbound": made(f"{INBOUND}-journal"),
    "a file in in/": made("/session/in/mine"),
    "a second name for inbound": lambda: os.link(INBOUND, "/session/out/second"),
    "a second name by a descriptor": linked_by_descriptor,
    "a second name for the bell": lambda: os.link(BELL, "/session/out/second.sock"),
    "the bell elsewhere": moved(BELL, "/session/out/bell.sock"),
    "another bell": bound,
    "a file in bell/": made("/session/bell/mine"),
    "a file in the agent's folder": made("/agent/mine"),
    "a file in the image": made("/opt/roost/bin/mine"),
    "another python": moved("/opt/roost/bin/python3", "/opt/roost/bin/mine"),
    "another user": made("/etc/mine"),
    "inbound exchanged": exchanged,
    "inbound shorter": lambda: os.truncate(INBOUND, 0),
    "inbound away": lambda: os.unlink(INBOUND),
    "the bell away": lambda: os.unlink(BELL),
}
"""In this order: what does no harm to the others comes first."""


def main() -> None:
    """Prints what came of each."""
    print(json.dumps({name: outcome(attempt) for name, attempt in ATTEMPTS.items()}))


if __name__ == "__main__":
    main()
