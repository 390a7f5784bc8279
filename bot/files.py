"""Files that come in: checked and put in a safe place before the message that they belong to is accepted."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from adapters.base import IncomingFile, RemoteFile, clean
from agent.protocol.messages import Attachment
from bot.config_tables import LimitsConfig

MIB: Final = 1024 * 1024
MAX_NAME_CHARS: Final = 500
MAX_STEM_BYTES: Final = 100
MAX_SUFFIX_CHARS: Final = 20
ANY_TYPE: Final = "application/octet-stream"

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_MESSAGE_ID: Final = re.compile(r"[0-9a-f]{32}")


class Refused(Exception):
    """Raised when a file is not taken; the text says why, in one sentence for the sender."""


def check(files: Sequence[IncomingFile | RemoteFile], limits: LimitsConfig) -> None:
    """Raises Refused for what is more, larger or of another type than a message may have. Raises OSError."""
    if len(files) > limits.attachments:
        raise Refused(f"A message can have {limits.attachments} files; this one has {len(files)}.")
    for file in files:
        size = file.path.stat().st_size if isinstance(file, IncomingFile) else file.size
        if size > limits.attachment_mb * MIB:
            raise Refused(f"{shown(file.name)} is too large: a file can have {limits.attachment_mb} MiB.")
        if not is_taken(file.media_type, limits.attachment_types):
            kind = shown(file.media_type, without=ANY_TYPE)
            raise Refused(f"{shown(file.name)} is of the type {kind}, which is not taken here.")


def is_taken(media_type: str, patterns: Sequence[str]) -> bool:
    """Whether a media type is one of the `patterns`, such as image/*; its parameters do not count. Pure."""
    kind = media_type.partition(";")[0].strip().lower() or ANY_TYPE
    return any(fnmatchcase(kind, pattern.lower()) for pattern in patterns)


def take_in(files: Sequence[IncomingFile], folder: Path, limits: LimitsConfig) -> list[Attachment]:
    """Moves staged files into `folder`, durably, and describes them. Raises Refused, OSError.

    On disk a file has a name of ours; the sender's is only ever shown.
    """
    check(files, limits)
    folder.mkdir(parents=True)
    folder.chmod(0o755)  # The container's user is another one, and the umask may forbid it to look.
    taken = [_take(number, file, folder) for number, file in enumerate(files, start=1)]
    _sync(folder)
    _sync(folder.parent)
    return taken


class Readying:
    """The files of one message that is on its way in, for each of those that it may become a message of. They lie in
    folders of the ids that these are going to have."""

    def __init__(self, incoming: Path) -> None:
        self._incoming = incoming
        self._folders: list[str] = []

    def take_in(
        self, files: Sequence[IncomingFile], ids: Sequence[str], limits: LimitsConfig
    ) -> list[Attachment]:
        """The same for each of the ids. Raises Refused, OSError."""
        first, *others = ids
        self._folders = [first]
        taken = take_in(files, self._incoming / first, limits)
        for each in others:
            self._folders.append(each)
            # Copied and not linked: what a session does to its file is nothing to another one.
            shutil.copytree(self._incoming / first, self._incoming / each)
            for attachment in taken:
                _sync(self._incoming / each / attachment.path)
            _sync(self._incoming / each)
        if others:
            _sync(self._incoming)
        return taken

    def discard(self, files: Sequence[IncomingFile], accepted: Collection[str]) -> None:
        """Removes what nobody will ask for, but for the folders of those that were accepted."""
        discard(files)
        for each in self._folders:
            if each not in accepted:
                discard((), self._incoming / each)


def discard(files: Sequence[IncomingFile], folder: Path | None = None) -> None:
    """Removes what nobody will ask for, and the folder that some of it may be in already. Absent is success."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    for file in files:
        file.path.unlink(missing_ok=True)


def discard_leftovers(incoming: Path, wanted: Collection[str]) -> None:
    """Removes the folders of messages that are not `wanted`: a service that was killed had taken files in for
    them. What is no message's, such as the place where an adapter stages files, is let be."""
    for folder in incoming.iterdir():
        if _MESSAGE_ID.fullmatch(folder.name) and folder.name not in wanted:
            shutil.rmtree(folder, ignore_errors=True)


def _take(number: int, file: IncomingFile, folder: Path) -> Attachment:
    name = shown(file.name)
    suffix = "".join(c for c in Path(name).suffix if c.isalnum() or c == ".")[:MAX_SUFFIX_CHARS]
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(name).stem)
    target = folder / f"{number}-{stem.encode()[:MAX_STEM_BYTES].decode(errors='ignore')}{suffix}"
    shutil.move(file.path, target)
    target.chmod(0o644)
    _sync(target)
    return Attachment(
        name=name,
        media_type=shown(file.media_type, without=ANY_TYPE),
        size=target.stat().st_size,
        path=target.name,
    )


def shown(text: str, *, without: str = "file") -> str:
    """A name that somebody has chosen, on one line; `without` where nothing of it can be shown."""
    return _CONTROL.sub(" ", clean(text)).strip()[:MAX_NAME_CHARS] or without


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
