"""Removing what a container wrote: a tree of any depth and shape, without following a link or recursing."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

MAX_STEPS: Final = 1_000_000
"""Files and folders looked at in one go; a container's disk holds more only if it was made to."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(tree: Path, *, max_steps: int = MAX_STEPS) -> bool:
    """Removes the folder `tree` and all that is below it, as far as `max_steps` go and permissions allow. Returns
    whether it is gone; what is left can be removed by another call."""
    with suppress(OSError), _opened(tree) as top:
        _Removal(top, max_steps).run()
    with suppress(OSError):
        os.rmdir(tree)
    return not os.path.lexists(tree)


class _Removal:
    """Brings whatever lies deeper up to the folder `top`: no depth takes more than two descriptors."""

    def __init__(self, top: int, left: int) -> None:
        self._top = top
        self._left = left
        self._prefix = uuid.uuid4().hex

    def run(self) -> None:
        """Raises OSError."""
        gone = True
        while gone and self._left > 0:
            gone = False
            for name, is_folder in _names(self._top, self._left):
                self._left -= 1
                # What one may not remove keeps nobody from the rest.
                with suppress(OSError):
                    self._remove(name, is_folder)
                    gone = True

    def _remove(self, name: str, is_folder: bool) -> None:
        if not is_folder:
            os.unlink(name, dir_fd=self._top)
            return
        with _opened(name, self._top) as folder:
            for below, is_folder_too in _names(folder, self._left):
                self._left -= 1
                if is_folder_too:
                    to = f"{self._prefix}{self._left}"
                    os.rename(below, to, src_dir_fd=folder, dst_dir_fd=self._top)
                else:
                    os.unlink(below, dir_fd=folder)
        os.rmdir(name, dir_fd=self._top)


def _names(folder: int, limit: int) -> list[tuple[str, bool]]:
    names: list[tuple[str, bool]] = []
    with os.scandir(folder) as found:
        for entry in found:
            if len(names) >= limit:
                break
            names.append((entry.name, entry.is_dir(follow_symlinks=False)))
    return names


@contextmanager
def _opened(path: Path | str, parent: int | None = None) -> Iterator[int]:
    fd = os.open(path, _FOLDER, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)
