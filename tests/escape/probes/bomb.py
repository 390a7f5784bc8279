"""Takes as much of one thing as it can get, and no more than it is told: `bomb.py KIND MOST`.

Prints how far it got and what stopped it; `hold` as a third word keeps it all, until the container is ended.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

MIB: Final = 1024 * 1024
HELD: Final = "/session/out/held"


def forks(most: int) -> int:
    """Processes that do nothing."""
    children: list[int] = []
    try:
        for _ in range(most):
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
            _got(len(children))
    finally:
        _hold()
        for child in children:
            os.kill(child, signal.SIGKILL)
    return len(children)


def threads(most: int) -> int:
    """Threads that do nothing."""
    over = threading.Event()
    try:
        for number in range(most):
            try:
                threading.Thread(target=over.wait, daemon=True).start()
            except RuntimeError as exc:
                raise BlockingIOError(errno.EAGAIN, str(exc)) from exc
            _got(number + 1)
    finally:
        over.set()
    return most


def memory(most: int) -> int:
    """Mebibytes of memory that is in use."""
    blocks = []
    for number in range(most):
        blocks.append(b"\1" * MIB)
        _got(number + 1)
    _hold()
    return most


def fill(folder: str) -> Callable[[int], int]:
    """Mebibytes of files in a folder."""

    def attempt(most: int) -> int:
        with open(f"{folder}/filling", "wb", buffering=0) as file:
            try:
                for number in range(most):
                    left = memoryview(bytes(MIB))
                    while left:
                        left = left[file.write(left) :]
                    _got(number + 1)
                _hold()
            finally:
                os.unlink(file.name)
        return most

    return attempt


def hole(most: int) -> int:
    """A file that is so many mebibytes long, nearly all of it a hole."""
    return _long(most, lambda file: os.pwrite(file, b"\0", most * MIB - 1))


def cut(most: int) -> int:
    """The same by saying how long it is."""
    return _long(most, lambda file: os.ftruncate(file, most * MIB))


def descriptors(most: int) -> int:
    """Open files."""
    for number in range(most):
        os.dup(0)
        _got(number + 1)
    return most


def print_lines(most: int) -> int:
    """Mebibytes of output."""
    line = b"x" * 1023 + b"\n"
    for _ in range(most * 1024):
        os.write(1, line)
    return most


def _long(most: int, make: Callable[[int], object]) -> int:
    # What is asked for beyond the limit is an error then, and not the end.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    file = os.open("/workspace", os.O_TMPFILE | os.O_RDWR)
    make(file)
    return most


KINDS: Final[dict[str, Callable[[int], int]]] = {
    "forks": forks,
    "threads": threads,
    "memory": memory,
    "tmp": fill("/tmp"),
    "shm": fill("/dev/shm"),
    "hole": hole,
    "cut": cut,
    "descriptors": descriptors,
    "print": print_lines,
}
_progress: list[int] = [0]


def _got(amount: int) -> None:
    _progress[0] = amount


def _hold() -> None:
    if "hold" in sys.argv[3:]:
        os.close(os.open(HELD, os.O_CREAT | os.O_WRONLY))
        time.sleep(600)


def main() -> None:
    """Prints how much it got, and the error that stopped it or ok."""
    try:
        told = (KINDS[sys.argv[1]](int(sys.argv[2])), "ok")
    except OSError as exc:
        told = (_progress[0], errno.errorcode.get(exc.errno or 0, str(exc)))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
