"""Looks for other processes than its own: `others.py SECRET PID` has the path of a file of the host and its process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from .kernel import outcome


def read(path: str) -> Callable[[], None]:
    """A file. Raises OSError."""

    def attempt() -> None:
        with open(path, "rb") as file:
            file.read()

    return attempt


def roots(secret: str) -> None:
    """The file by the root of any process that can be seen. Raises OSError."""
    refusal: OSError = FileNotFoundError(2, "no process")
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            read(f"/proc/{pid}/root{secret}")()
        except OSError as exc:
            refusal = exc
        else:
            return
    raise refusal


def main() -> None:
    """Prints what came of each."""
    secret, pid = sys.argv[1], int(sys.argv[2])
    attempts: dict[str, Callable[[], object]] = {
        "the file by its path": read(secret),
        "the file by the root of the first process": read(f"/proc/1/root{secret}"),
        "the file by the root of the host's process": read(f"/proc/{pid}/root{secret}"),
        "the file by any root": lambda: roots(secret),
        "the file by the folder of the host's process": read(
            f"/proc/{pid}/cwd/../../../../../../../..{secret}"
        ),
        "the environment of the host's process": read(f"/proc/{pid}/environ"),
        "a signal to the host's process": lambda: os.kill(pid, 0),
        "the priority of the host's process": lambda: os.setpriority(os.PRIO_PROCESS, pid, 0),
    }
    print(json.dumps({name: outcome(attempt) for name, attempt in attempts.items()}))


if __name__ == "__main__":
    main()
