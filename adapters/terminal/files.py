"""Files at a terminal: what a person attaches, and what an agent sends to be saved.

FileProblem                 a file cannot be read; the text is a sentence for the person
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import mimetypes
import os
import stat
import unicodedata
from pathlib import Path
from typing import Final

from adapters.base import clean
from adapters.terminal import wire

MAX_NAME_BYTES: Final = 180
"""File systems allow 255 bytes; a number that keeps names apart has to fit, too."""


DOWNLOADS: Final = 10_000
DOWNLOADS_BYTES: Final = 4 * 2**30
"""So many files, and so much, may lie in the folder of what agents have sent."""


class FileProblem(Exception):
    """Raised when a file cannot be attached; the text is a sentence for the person."""


def load(path: Path) -> wire.File:
    """Reads a file that a person names. Raises FileProblem for anything but a readable regular file of fair size."""
    try:
        # Without O_NONBLOCK a FIFO would hold the whole program until somebody writes to it.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                raise FileProblem(f"{path} is not a file.")
            data = file.read(wire.MAX_FILES_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise FileProblem(f"There is no file {path}.") from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise FileProblem(f"{path} cannot be read: {reason}.") from exc
    if len(data) > wire.MAX_FILES_BYTES:
        raise FileProblem(f"{path} is larger than {wire.MAX_FILES_BYTES // 2**20} MiB.")
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return wire.File(name=safe_name(path.name), media_type=media_type, data=data)


def check_room(folder: Path) -> None:
    """Raises OSError when there is as much in `folder` as may be: agents fill it, and only people empty it."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
        sizes = [entry.stat(follow_symlinks=False).st_size for entry in found]
        if len(sizes) >= DOWNLOADS or sum(sizes) >= DOWNLOADS_BYTES:
            raise OSError(errno.EDQUOT, "it is full, remove what is not needed")


def save(folder: Path, name: str, data: bytes) -> Path:
    """Writes `data` under a safe name of its own in `folder` and returns its path. Raises OSError.

    A file that is there already is never overwritten, nor is a link followed.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    safe = Path(safe_name(name))
    for number in itertools.count(1):
        path = folder / (safe.name if number == 1 else f"{safe.stem}-{number}{safe.suffix}")
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        try:
            with open(fd, "wb") as file:
                file.write(data)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path
    raise AssertionError("itertools.count has an end")


def safe_name(name: str) -> str:
    """The last part of `name`, with nothing that hides, redirects or controls: never empty, never a dot file."""
    last = clean(name).replace("\\", "/").rstrip("/").rpartition("/")[2]
    # Cf holds the marks that reverse the reading direction: "gpj.exe" shown as "exe.jpg".
    kept = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp"))
    plain = kept.strip().lstrip(".").strip()
    stem, dot, suffix = plain.rpartition(".")
    if not dot or len(suffix.encode()) > 20:
        stem, suffix = plain, ""
    room = MAX_NAME_BYTES - len(suffix.encode()) - len(dot)
    short = stem.encode()[:room].decode("utf-8", "ignore")
    return (f"{short}.{suffix}" if suffix else short) or "file"
