"""Walking a folder that a hostile container writes, while it writes.

Every step goes by descriptor and follows no link. What is there is looked at through a descriptor that opens
nothing (O_PATH), so that no FIFO blocks, no device acts, and a second name of a database that this process has
open is never opened: closing it would drop SQLite's locks.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Generator, Set
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from bot.backup.layout import MAX_DEPTH, MAX_NAME_BYTES

_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Sighting:
    """A folder, or a regular file with a descriptor that is open until the next one is asked for."""

    name: str
    found: os.stat_result
    file: int | None = None


@dataclass
class Walk:
    """Goes through trees below the folder `base` and keeps count of what it leaves out, by reason.

    `never` are files, by device and inode, that must not be opened; `left` is how many more entries are
    looked at.
    """

    base: int
    never: Set[tuple[int, int]]
    left: int
    skipped: Counter[str] = field(default_factory=Counter)

    def through(self, tree: str) -> Generator[Sighting, None, None]:
        """Everything below `tree`, named from `base`; nothing where there is no such folder."""
        folder = os.dup(self.base)
        try:
            for step in tree.split("/"):
                folder, parent = os.open(step, _FOLDER, dir_fd=folder), folder
                os.close(parent)
            yield from self._below(folder, tree, 0)
        except FileNotFoundError:
            return
        except OSError:
            self.skipped["unreadable"] += 1
        finally:
            os.close(folder)

    def _below(self, folder: int, prefix: str, depth: int) -> Generator[Sighting, None, None]:
        for name in self._names(folder):
            path = f"{prefix}/{name}"
            if self.left <= 0 or depth >= MAX_DEPTH or len(os.fsencode(path)) > MAX_NAME_BYTES:
                self.skipped["too many or too deep"] += 1
                continue
            self.left -= 1
            sighted = self._look(name, folder)
            if sighted is None:
                continue
            opened, found = sighted
            try:
                if stat.S_ISDIR(found.st_mode):
                    yield Sighting(path, found)
                    yield from self._below(opened, path, depth + 1)
                else:
                    yield Sighting(path, found, opened)
            finally:
                os.close(opened)

    def _names(self, folder: int) -> list[str]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entry.name for entry in islice(entries, self.left + 1))
        except OSError:
            self.skipped["unreadable"] += 1
            return []

    def _look(self, name: str, folder: int) -> tuple[int, os.stat_result] | None:
        """What has this name, opened; None where it is gone, or left out and counted."""
        try:
            looked = os.open(name, _LOOK, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError:
            self.skipped["unreadable"] += 1
            return None
        try:
            found = os.fstat(looked)
            if reason := self._unwanted(found):
                self.skipped[reason] += 1
                return None
            if stat.S_ISDIR(found.st_mode):
                return os.open(".", _FOLDER, dir_fd=looked), found
            return os.open(f"/proc/self/fd/{looked}", _FILE), found
        except OSError:
            self.skipped["unreadable"] += 1
            return None
        finally:
            os.close(looked)

    def _unwanted(self, found: os.stat_result) -> str | None:
        if stat.S_ISLNK(found.st_mode) or (found.st_dev, found.st_ino) in self.never:
            return "links"
        return None if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) else "special files"
