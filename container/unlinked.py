"""Room on a disk that no name stands for: files that a container has unlinked and keeps open, or mapped.

A walk through the folders does not see them, and they are gone when their last process is.
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
PLACES: Final = (
    "pids/docker/{id}",
    "pids/system.slice/docker-{id}.scope",
    "docker/{id}",
    "system.slice/docker-{id}.scope",
)
_MAPPING: Final = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ ([0-9a-f:]+) ([0-9]+) +(/.*) \(deleted\)")
_NO_FILE: Final = (b"/memfd:", b"/dev/zero", b"/SYSV")
"""What the kernel calls like a file that was unlinked, and which is memory."""


def unlinked_mb(container: str, cgroups: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Of all processes of a container, by its full id, in MiB; None where that cannot be looked at, as by a user who
    is not root. A file that is only mapped counts as much as is mapped of it."""
    pids = next((found for place in PLACES if (found := _pids(cgroups / place.format(id=container)))), None)
    if pids is None:
        return None
    sizes: dict[tuple[int, int], int] = {}
    try:
        for pid in pids:
            for key, size in (*_open(pid), *_mapped(pid)):
                sizes[key] = max(sizes.get(key, 0), size)
    except PermissionError:
        return None
    return sum(sizes.values()) / MIB


def _pids(cgroup: Path) -> list[int]:
    try:
        return [int(line) for line in (cgroup / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _open(pid: int) -> Iterator[tuple[tuple[int, int], int]]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError):
        return
    for name in names:
        with suppress(FileNotFoundError, ProcessLookupError):
            found = os.stat(f"{folder}/{name}")
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
                yield (found.st_dev, found.st_ino), found.st_blocks * BLOCK_BYTES


def _mapped(pid: int) -> Iterator[tuple[tuple[int, int], int]]:
    try:
        text = Path(f"/proc/{pid}/maps").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return
    sizes: dict[tuple[int, int], int] = {}
    for found in _MAPPING.finditer(text):
        begin, end, device, inode, name = found.groups()
        if name.startswith(_NO_FILE):
            continue
        major, minor = (int(part, 16) for part in device.split(b":"))
        key = (os.makedev(major, minor), int(inode))
        sizes[key] = sizes.get(key, 0) + int(end, 16) - int(begin, 16)
    yield from sizes.items()
