"""A small disk of its own, to be filled up: a tmpfs, mounted for the length of a block."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

MNT_DETACH: Final = 2
CHUNK_BYTES: Final = 4096
_libc: Final = ctypes.CDLL(None, use_errno=True)


class Disk:
    """What lies at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ballast = root / "ballast"

    def fill(self) -> None:
        """Leaves no room for anybody."""
        with self._ballast.open("ab", buffering=0) as ballast:
            try:
                while ballast.write(bytes(CHUNK_BYTES)):
                    pass
            except OSError as exc:
                assert exc.errno == errno.ENOSPC

    def free(self) -> None:
        """There is room again."""
        self._ballast.unlink()

    @property
    def is_full(self) -> bool:
        return os.statvfs(self.root).f_bavail == 0


@contextmanager
def small_disk(at: Path, *, kib: int) -> Iterator[Disk]:
    """Mounts one, hiding what lies there; anybody may write to it. Skips the test where that is not permitted."""
    at.mkdir(parents=True, exist_ok=True)
    if _libc.mount(b"tmpfs", os.fsencode(at), b"tmpfs", 0, f"size={kib}k,mode=0777".encode()) != 0:
        code = ctypes.get_errno()
        if code == errno.EPERM:
            pytest.skip("mount(2) is not permitted here")
        raise OSError(code, os.strerror(code), at)
    try:
        yield Disk(at)
    finally:
        # Whatever still holds a file there keeps it until it ends; the name is free at once.
        _libc.umount2(os.fsencode(at), MNT_DETACH)
