"""Reading an archive that may be anybody's: into a fresh folder, nothing but plain files, never more than allowed.

What is unpacked goes below a folder that nobody else knows, is made step by step and never through a link: there
are none in it, because no member may be one.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from pydantic import ValidationError

from bot.backup import layout
from bot.backup.errors import ArchiveRefused
from bot.backup.layout import Bounds, shown
from bot.backup.manifest import Manifest

HEADER_BYTES: Final = 2**20
"""What may lie between two members: the next one's headers, whose long names tarfile reads into memory."""
CHUNK_BYTES: Final = 2**20


def unpack(archive: Path, into: Path, bounds: Bounds) -> Manifest:
    """Unpacks `archive` into the empty folder `into` and returns what it says of itself, every checksum of
    which is right. Raises ArchiveRefused, OSError when the disk fails."""
    unpacking = _Unpacking(into, bounds)
    with _opened(archive) as source:
        manifest = unpacking.run(source)
    for name, expected in manifest.sha256.items():
        found = unpacking.sha256.pop(name, None)
        if found != expected:
            raise ArchiveRefused(f"{shown(name)} {'is missing' if found is None else 'has changed'}.")
    if unpacking.sha256:
        raise ArchiveRefused(
            f"it holds {shown(next(iter(unpacking.sha256)))}, which its manifest does not name."
        )
    if layout.DATABASE not in manifest.sha256:
        raise ArchiveRefused("it holds no bot.db.")
    return manifest


class _Guarded(io.RawIOBase):
    """An unpacked stream that only goes forward, and only as far as it was allowed to."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self.left = 0
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self.left:
            raise ArchiveRefused("it asks for more memory than an honest one does.")
        data = self._stream.read(size)
        self.left -= len(data)
        return data

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        while self.tell() < offset:
            if not self.read(min(CHUNK_BYTES, offset - self.tell())):
                break
        return self.tell()


class _Unpacking:
    """One archive on its way into a folder."""

    def __init__(self, into: Path, bounds: Bounds) -> None:
        self.sha256: dict[str, str] = {}
        self._into = into
        self._bounds = bounds
        self._made: set[tuple[str, ...]] = {()}
        self._bytes = 0
        self._members = 0
        self._names = 0

    def run(self, source: _Guarded) -> Manifest:
        source.left = HEADER_BYTES
        manifest: Manifest | None = None
        with tarfile.TarFile(fileobj=source, mode="r", encoding="utf-8", errors="surrogateescape") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # It would remember each to the end.
                if manifest is not None:
                    raise ArchiveRefused("something comes after its manifest.")
                manifest = self._take(tar, member, source)
                source.left = HEADER_BYTES
        if manifest is None:
            raise ArchiveRefused("its end is missing.")
        while source.read(min(CHUNK_BYTES, source.left)):
            pass
        return manifest

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo, source: _Guarded) -> Manifest | None:
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise ArchiveRefused(f"it holds {shown(member.name)}, which is neither file nor folder.")
        parts = layout.checked(member.name, folder=member.isdir())
        self._admit(member, parts)
        source.left = member.size + tarfile.BLOCKSIZE
        content = tar.extractfile(member)
        if content is None:
            self._folder(parts, member)
            return None
        with content:
            if parts == (layout.MANIFEST,):
                return Manifest.model_validate_json(content.read())
            self._folder(parts[:-1])
            self.sha256[layout.key(member.name)] = self._file(parts, member, content)
        return None

    def _admit(self, member: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        """Raises ArchiveRefused for what is more than the bounds."""
        self._members += 1
        self._names += len(os.fsencode(member.name))
        most = self._bounds.total_bytes if layout.is_database(parts) else self._bounds.file_bytes
        if parts == (layout.MANIFEST,):
            most = layout.MAX_MANIFEST_BYTES
        else:
            self._bytes += member.size
        if not 0 <= member.size <= most:
            raise ArchiveRefused(f"{shown(member.name)} is too large: see [backup] file_mb and total_mb.")
        if self._bytes > self._bounds.total_bytes:
            raise ArchiveRefused("it is too large: see [backup] total_mb.")
        # The databases come on top of what the bound allows for files.
        if self._members > 2 * self._bounds.members or self._names > 2 * self._bounds.names_bytes:
            raise ArchiveRefused("it holds too many files.")

    def _file(self, parts: tuple[str, ...], member: tarfile.TarInfo, content: IO[bytes]) -> str:
        path, digest, left = self._into.joinpath(*parts), hashlib.sha256(), member.size
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o600)
        except (FileExistsError, NotADirectoryError) as exc:
            raise ArchiveRefused(f"it holds {shown(member.name)} twice.") from exc
        with open(fd, "wb") as file:
            while chunk := content.read(min(CHUNK_BYTES, left)) if left else b"":
                file.write(chunk)
                digest.update(chunk)
                left -= len(chunk)
            executable = bool(member.mode & 0o100)
            os.fchmod(fd, layout.mode(parts, folder=False, executable=executable))
            self._give(fd, parts, member)
        if left:
            raise ArchiveRefused("its end is missing.")
        when = layout.mtime(member.mtime)
        os.utime(path, (when, when))
        return digest.hexdigest()

    def _folder(self, parts: tuple[str, ...], member: tarfile.TarInfo | None = None) -> None:
        for count in range(1, len(parts) + 1):
            step = parts[:count]
            if step in self._made:
                continue
            path = self._into.joinpath(*step)
            try:
                path.mkdir(mode=0o700)
            except (FileExistsError, NotADirectoryError) as exc:
                raise ArchiveRefused(f"it holds {shown('/'.join(step))} twice.") from exc
            path.chmod(layout.mode(step, folder=True))
            if member is not None and count == len(parts):
                self._give(path, parts, member)
            self._made.add(step)

    def _give(self, to: int | Path, parts: tuple[str, ...], member: tarfile.TarInfo) -> None:
        """What a container wrote goes back to its user, where we may do that; else the mode has to do."""
        owner, group = member.uid, member.gid
        if os.geteuid() == 0 and layout.is_agents(parts) and 0 < owner < 2**31 and 0 < group < 2**31:
            with suppress(PermissionError):
                os.chown(to, owner, group)


@contextmanager
def _opened(archive: Path) -> Iterator[_Guarded]:
    """The unpacked bytes of an archive. What reading them raises comes out as ArchiveRefused."""
    try:
        fd = os.open(archive, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise ArchiveRefused(f"it cannot be read: {exc.strerror}.") from exc
    with open(fd, "rb") as packed:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ArchiveRefused("it is not a file.")
        try:
            with gzip.GzipFile(fileobj=packed, mode="rb") as stream:
                yield _Guarded(stream)  # type: ignore[arg-type]
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as exc:
            raise ArchiveRefused(f"it is damaged or no backup: {exc}.") from exc
        except ValidationError as exc:
            raise ArchiveRefused(f"its manifest is not one: {exc.error_count()} fields are wrong.") from exc
        except (ValueError, OverflowError, RecursionError) as exc:
            raise ArchiveRefused(f"it is damaged or no backup: {type(exc).__name__}.") from exc
