"""Room on a disk that no name stands for: files that a container has unlinked and keeps open, or mapped.

A walk through the folders does not see them, and they are gone when their last process is. Whoever is in the container
decides how long it takes to look: there is no end to the mappings and descriptors of hostile processes, nor to the
names in them. What is more than anybody needs is not counted, and counts as endless.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024
BLOCK_BYTES: Final = 512
"""The unit of st_blocks, whatever that of the filesystem is; see stat(2)."""
MAX_DESCRIPTORS: Final = 100_000
MAX_MAPS_BYTES: Final = 32 * MIB
"""Of all processes of a container together. A browser has some thousand descriptors, and 1 MiB of maps."""
PLACES: Final = (
    "pids/docker/{id}",
    "pids/system.slice/docker-{id}.scope",
    "docker/{id}",
    "system.slice/docker-{id}.scope",
)
_MAPPING: Final = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ ([0-9a-f:]+) ([0-9]+) +(/.*) \(deleted\)\n")
_NO_FILE: Final = (b"/memfd:", b"/dev/zero", b"/SYSV")
"""What the kernel calls like a file that was unlinked, and which is memory."""


class _Endless(Exception):
    """Raised where there is more to look at than anybody needs."""


def unlinked_mb(container: str, cgroups: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Of all processes of a container, by its full id, in MiB; None where that cannot be looked at, as by a user who
    is not root. A file that is only mapped counts as much as is mapped of it."""
    pids = next((found for place in PLACES if (found := _pids(cgroups / place.format(id=container)))), None)
    if pids is None:
        return None
    look = _Look()
    try:
        for pid in pids:
            look.at(pid)
    except PermissionError:
        return None
    except _Endless:
        return float("inf")
    return sum(look.sizes.values()) / MIB


def _pids(cgroup: Path) -> list[int]:
    try:
        return [int(line) for line in (cgroup / "cgroup.procs").read_text().split()]
    except OSError:
        return []


class _Look:
    """What was found in the processes of one container so far, by device and inode, in bytes."""

    def __init__(self) -> None:
        self.sizes: dict[tuple[int, int], int] = {}
        self._descriptors_left = MAX_DESCRIPTORS
        self._maps_left = MAX_MAPS_BYTES

    def at(self, pid: int) -> None:
        """Looks at one more process. Raises PermissionError, _Endless."""
        # The first thread may have ended while others go on: then it alone has nothing any more. All have the same
        # descriptors, for the filter of system calls lets none have its own.
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in sorted(os.listdir(f"/proc/{pid}/task"), key=int):
                if self._has_mapped(f"/proc/{pid}/task/{thread}/maps"):
                    self._has_open(f"/proc/{pid}/task/{thread}/fd")
                    return

    def _has_open(self, folder: str) -> None:
        for name in os.listdir(folder):
            self._descriptors_left -= 1
            if self._descriptors_left < 0:
                raise _Endless
            with suppress(FileNotFoundError, ProcessLookupError):
                found = os.stat(f"{folder}/{name}")
                if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
                    self._note((found.st_dev, found.st_ino), found.st_blocks * BLOCK_BYTES)

    def _has_mapped(self, maps: str) -> bool:
        """Whether there is anything in it."""
        sizes: dict[tuple[int, int], int] = {}
        lines = 0
        for line in self._lines(maps):
            lines += 1
            found = _MAPPING.fullmatch(line)
            if found is None or found[5].startswith(_NO_FILE):
                continue
            major, minor = (int(part, 16) for part in found[3].split(b":"))
            key = (os.makedev(major, minor), int(found[4]))
            sizes[key] = sizes.get(key, 0) + int(found[2], 16) - int(found[1], 16)
        for key, size in sizes.items():
            self._note(key, size)
        return lines > 0

    def _lines(self, maps: str) -> Iterator[bytes]:
        with suppress(FileNotFoundError, ProcessLookupError), open(maps, "rb") as file:
            while line := file.readline(self._maps_left + 1):
                self._maps_left -= len(line)
                if self._maps_left < 0:
                    raise _Endless
                yield line

    def _note(self, key: tuple[int, int], size: int) -> None:
        self.sizes[key] = max(self.sizes.get(key, 0), size)
