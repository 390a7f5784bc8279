"""The names of backups: `roost-<UTC time>.tar.gz`. Only files named like this are ever listed or deleted."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

_TIME: Final = "%Y%m%dT%H%M%SZ"
_NAME: Final = re.compile(r"roost-(\d{8}T\d{6}Z)(?:-(\d{1,9}))?\.tar\.gz")


@dataclass(frozen=True)
class Backup:
    """A backup by its name: when it was made, in epoch milliseconds, and its size in bytes."""

    path: Path
    made_at: int
    size: int
    number: int = 0


def stamp(now: int) -> str:
    """`now`, in epoch milliseconds, as names have it."""
    return datetime.fromtimestamp(now / 1000, UTC).strftime(_TIME)


def free(folder: Path, now: int) -> Path:
    """A name for a backup made at `now` that nothing in the folder has."""
    candidates = (f"roost-{stamp(now)}{f'-{n}' if n else ''}.tar.gz" for n in count())
    return next(folder / name for name in candidates if not os.path.lexists(folder / name))


def found(folder: Path) -> list[Backup]:
    """The backups in the folder, newest first; none where there is no folder. Raises OSError."""
    try:
        with os.scandir(folder) as entries:
            backups = [backup for entry in entries if (backup := _backup(entry)) is not None]
    except FileNotFoundError:
        return []
    return sorted(backups, key=lambda backup: (backup.made_at, backup.number), reverse=True)


def surplus(backups: Sequence[Backup], keep: int, spare: Path) -> list[Backup]:
    """Those beyond the newest `keep`; `spare` was just made and stays, whatever its name says of the time."""
    return [backup for backup in backups[keep:] if backup.path != spare]


def _backup(entry: os.DirEntry[str]) -> Backup | None:
    named = _NAME.fullmatch(entry.name)
    if named is None or not entry.is_file(follow_symlinks=False):
        return None
    try:
        made = datetime.strptime(named[1], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    size = entry.stat(follow_symlinks=False).st_size
    return Backup(Path(entry.path), int(made.timestamp() * 1000), size, int(named[2] or 0))
