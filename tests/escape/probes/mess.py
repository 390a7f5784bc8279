"""Leaves a mess for whoever walks through it: `mess.py SECRET` has a path of the host to which links lead.

With a second word it then goes on swapping one name between a file, a folder, a link and a second name.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

FOLDERS: Final = ("/session/out", "/workspace", "/home/agent")
LEVELS: Final = 1100
"""Of folders in folders in the first of them; more than a program goes down by calling itself."""
MANY: Final = 200
NAMES: Final = (
    b"-rf",
    b"a\nb",
    b"\xff\xfe",
    b"\x1b[2Jx",
    b"x" * 255,
    "\u202etxt.exe".encode(),
    b"*",
    b" ",
    b"$(id)",
)


def make(folder: str, secret: str) -> None:
    """All of it in one folder."""
    os.chdir(folder)
    for name in NAMES:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
        os.mkdir(b"d" + name[:200])
    os.symlink(secret, "link")
    os.symlink(os.path.dirname(secret), "folder")
    os.symlink(".", "loop")
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as line:
        line.bind("socket")
    os.mkdir("many")
    for number in range(MANY):
        os.close(os.open(f"many/{number}", os.O_CREAT | os.O_WRONLY))
    for _ in range(LEVELS if folder == FOLDERS[0] else 10):
        os.mkdir("deep")
        os.chdir("deep")
    os.chdir(folder)
    os.mkdir("shut")
    os.close(os.open("shut/file", os.O_CREAT | os.O_WRONLY))
    os.chmod("shut", 0)


def swap(secret: str) -> None:
    """For ever."""
    os.chdir("/session/out")
    other = Path("second name of this")
    other.touch()

    def put(kind: Callable[[str], object]) -> None:
        with suppress(OSError):
            os.unlink("swapped")
        with suppress(OSError):
            os.rmdir("swapped")
        with suppress(OSError):
            kind("swapped")

    while True:
        put(lambda name: Path(name).touch())
        put(lambda name: os.symlink(secret, name))
        put(os.mkdir)
        put(lambda name: os.link(other, name))
        put(lambda name: os.symlink(os.path.dirname(secret), name))


def main() -> None:
    """Makes it, says so, and perhaps goes on."""
    for folder in FOLDERS:
        make(folder, sys.argv[1])
    Path("/session/out/held").touch()
    if sys.argv[2:]:
        swap(sys.argv[1])


if __name__ == "__main__":
    main()
