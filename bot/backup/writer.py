"""Writing the archive: one gzipped tar, every file with its checksum, never more than the bounds allow."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from bot.backup.errors import BackupFailed
from bot.backup.layout import MANIFEST, Bounds, key, mtime
from bot.backup.manifest import Manifest
from bot.backup.tree import Sighting

CHUNK_BYTES: Final = 2**20
SPOOL_BYTES: Final = 8 * 2**20
"""A file up to this size is held in memory between its reading and its writing."""


class Stopped(Exception):
    """Raised when the service is leaving and the backup with it."""


class ArchiveWriter:
    """An archive on its way. Made by `writing`. Raises OSError when the disk is full, and Stopped."""

    def __init__(
        self, tar: tarfile.TarFile, bounds: Bounds, *, work: Path, now: int, stop: threading.Event
    ) -> None:
        self.sha256: dict[str, str] = {}
        self.bytes = 0
        self._tar = tar
        self._bounds = bounds
        self._work = work
        self._now = now
        self._stop = stop
        self._members = 0
        self._names = 0

    def database(self, name: str, copy: Path) -> None:
        """A copy of ours. Raises BackupFailed when it does not fit."""
        size = copy.stat().st_size
        if not self.room(size):
            raise BackupFailed(
                "The databases alone are larger than a backup may be: raise [backup] total_mb."
            )
        with copy.open("rb") as file:
            self._add(name, file, size)

    def file(self, sighted: Sighting, allowed: int) -> str | None:
        """What a container wrote: a folder, or as much of a file as there is. Returns why it was left out, if
        it was; `allowed` is how many bytes the session has left."""
        if self._stop.is_set():
            raise Stopped
        self._names += len(os.fsencode(sighted.name))
        if self._members >= self._bounds.members or self._names > self._bounds.names_bytes:
            return "too many or too deep"
        if sighted.file is None:
            self._tar.addfile(_like(sighted, tarfile.DIRTYPE))
            self._count(0)
            return None
        most = min(self._bounds.file_bytes, allowed)
        if sighted.found.st_size > most or not self.room(sighted.found.st_size):
            return "too large"
        # The size stands before the content, and whoever writes the file may change it while it is read.
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=str(self._work)) as spool:
            size = self._read(sighted.file, spool, most)
            if size is None:
                return "unreadable"
            if size > most or not self.room(size):
                return "too large"
            spool.seek(0)
            self._add(sighted.name, spool, size, _like(sighted, tarfile.REGTYPE))
        return None

    def finish(self, manifest: Manifest) -> None:
        """The manifest, which is the end of it."""
        content = manifest.model_dump_json().encode()
        self._tar.addfile(self._ours(MANIFEST, len(content)), io.BytesIO(content))

    def room(self, size: int) -> bool:
        """Whether this many bytes more still fit."""
        return self.bytes + size <= self._bounds.total_bytes

    def _read(self, file: int, spool: IO[bytes], most: int) -> int | None:
        size = 0
        while size <= most:
            if self._stop.is_set():
                raise Stopped
            try:
                chunk = os.read(file, min(CHUNK_BYTES, most + 1 - size))
            except OSError:
                return None
            if not chunk:
                break
            spool.write(chunk)
            size += len(chunk)
        return size

    def _add(self, name: str, content: IO[bytes], size: int, info: tarfile.TarInfo | None = None) -> None:
        member = info or self._ours(name, size)
        member.size = size
        hashed = _Hashed(content, self._stop)
        self._tar.addfile(member, hashed)
        self.sha256[key(name)] = hashed.sha256.hexdigest()
        self._count(size)

    def _count(self, size: int) -> None:
        self.bytes += size
        self._members += 1
        # It would remember every member to the end.
        self._tar.getmembers().clear()

    def _ours(self, name: str, size: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, self._now // 1000
        return info


@contextmanager
def writing(
    path: Path, bounds: Bounds, *, work: Path, now: int, stop: threading.Event
) -> Iterator[ArchiveWriter]:
    """A new archive, 0600, on the disk when the block is left. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        with (
            gzip.GzipFile("", "wb", 6, file, mtime=now / 1000) as packed,
            # The errors are how names that are no UTF-8 get through unchanged.
            tarfile.TarFile(
                fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape",
                copybufsize=CHUNK_BYTES,
            ) as tar,
        ):  # fmt: skip
            yield ArchiveWriter(tar, bounds, work=work, now=now, stop=stop)
        file.flush()
        os.fsync(file.fileno())


class _Hashed(io.RawIOBase):
    """Reads on, counts along, and stops when it is told to."""

    def __init__(self, content: IO[bytes], stop: threading.Event) -> None:
        super().__init__()
        self.sha256 = hashlib.sha256()
        self._content = content
        self._stop = stop

    def read(self, size: int = -1) -> bytes:
        if self._stop.is_set():
            raise Stopped
        data = self._content.read(size)
        self.sha256.update(data)
        return data


def _like(sighted: Sighting, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(sighted.name)
    info.type = kind
    info.mode = sighted.found.st_mode & 0o777
    info.mtime = mtime(sighted.found.st_mtime)
    info.uid, info.gid = sighted.found.st_uid, sighted.found.st_gid
    return info
