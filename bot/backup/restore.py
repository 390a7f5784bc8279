"""Putting a backup in place of a data folder, or looking at whether that could be done."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.backup import names, settle
from bot.backup.archive import unpack
from bot.backup.errors import ArchiveRefused, FolderNotEmpty, RestoreRefused
from bot.backup.layout import AGENTS, Bounds
from bot.backup.manifest import Manifest
from bot.data_lock import taken

_NO_WAY_AROUND: Final = {errno.EBUSY, errno.EXDEV}


@dataclass(frozen=True)
class Restored:
    """A backup that lies in place. `aside` is where the folder that was there before lies now."""

    data: Path
    aside: Path | None
    manifest: Manifest


def verify(archive: Path, bounds: Bounds) -> Manifest:
    """What a whole backup says of itself. Raises ArchiveRefused."""
    with tempfile.TemporaryDirectory(prefix="roost-verify-") as folder, _saying(archive):
        manifest = unpack(archive, Path(folder), bounds)
        settle.check(Path(folder))
        return manifest


def restore(
    archive: Path,
    data: Path,
    bounds: Bounds,
    *,
    replace: bool,
    keep: Path,
    stop_runners: Callable[[], None],
    now: int,
) -> Restored:
    """Puts the backup in the place of `data`, which is moved aside when it holds anything and `replace` allows
    that. The folder `keep` of backups goes along when it lies in there, and so do the agents' own folders.

    `stop_runners` ends what an earlier service left running there. Raises ArchiveRefused, RestoreRefused,
    DataFolderBusy, UnusableDataFolder, and what `stop_runners` raises; `data` is then as it was.
    """
    occupied = _occupied(data)
    if occupied and not replace:
        raise FolderNotEmpty(
            f"{data} holds something already: --yes moves it aside, --into names another folder."
        )
    with ExitStack() as stack:
        if occupied:
            stack.enter_context(taken(data))
        staging = stack.enter_context(_staging(data))
        with _saying(archive):
            manifest = unpack(archive, staging, bounds)
            settle.check(staging)
            settle.settle(staging, now=now)
        # Whoever starts a service the moment that the folder is there waits until all of it is.
        stack.enter_context(taken(staging))
        # One sync for what may be a hundred thousand files.
        os.sync()
        if occupied:
            stop_runners()
        if not occupied:
            _move(staging, data)
            return Restored(data, None, manifest)
        aside = _swap(staging, data, now=now)
        for kept in (keep, data / AGENTS):
            if kept.is_relative_to(data):
                _carry_over(aside / kept.relative_to(data), kept)
        return Restored(data, aside, manifest)


def _occupied(data: Path) -> bool:
    try:
        return any(data.iterdir())
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise RestoreRefused(f"{data} cannot be used: {exc.strerror}.") from exc


@contextmanager
def _staging(data: Path) -> Iterator[Path]:
    """A folder beside `data` that can be renamed to it; whatever is left of it is removed."""
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{data.name}.restore-", dir=data.parent))
    except OSError as exc:
        raise RestoreRefused(f"Nothing can be written beside {data}: {exc.strerror}.") from exc
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _saying(archive: Path) -> Iterator[None]:
    """Says of which file it is said, and that a disk has failed."""
    try:
        yield
    except ArchiveRefused as exc:
        raise ArchiveRefused(f"{archive} is no whole backup: {exc}") from exc
    except (OSError, sqlite3.Error) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise RestoreRefused(f"{archive} could not be unpacked: {reason}.") from exc


def _move(staging: Path, data: Path) -> None:
    try:
        staging.rename(data)
        _sync(data.parent)
    except OSError as exc:
        raise RestoreRefused(f"The backup cannot be put in place of {data}: {exc.strerror}.") from exc


def _swap(staging: Path, data: Path, *, now: int) -> Path:
    aside = data.with_name(f"{data.name}.before-restore-{names.stamp(now)}")
    try:
        data.rename(aside)
    except OSError as exc:
        if exc.errno in _NO_WAY_AROUND:
            raise RestoreRefused(
                f"{data} is a mount point and cannot be moved aside: use --into with a folder below it."
            ) from exc
        raise RestoreRefused(f"{data} cannot be moved aside: {exc.strerror}.") from exc
    try:
        _move(staging, data)
    except RestoreRefused as exc:
        try:
            aside.rename(data)
        except OSError:
            raise RestoreRefused(f"{exc} What was there lies in {aside}.") from exc
        raise
    return aside


def _carry_over(old: Path, new: Path) -> None:
    if old.is_dir():
        new.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        old.rename(new)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
