"""The files of dead letters: on the disk before a letter is, gone after it.

deadletters/<letter id>/<number>     0700 and 0600; a file has a name of ours, its own is in bot.db and only shown
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from adapters.base import OutgoingFile
from bot.db.dead_letters import Letter

_LETTER_ID: Final = re.compile(r"[0-9a-f]{1,64}")


class LetterFiles:
    """The folder of them. Its work is done on threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def write(self, letter_id: str, files: Sequence[OutgoingFile]) -> None:
        """Returns when all of them are on the disk. Raises OSError; then none is."""
        if files:
            await asyncio.to_thread(_write, self._folder / letter_id, files)

    async def read(self, letter: Letter) -> list[OutgoingFile]:
        """The files of a letter. Raises OSError, also when one is not what was kept."""
        return await asyncio.to_thread(_read, self._folder / letter.id, letter)

    async def remove(self, letter_ids: Iterable[str]) -> None:
        """Removes what nobody will ask for. Absent is success; what is left over goes with the next start."""
        for letter_id in letter_ids:
            await asyncio.to_thread(shutil.rmtree, self._folder / letter_id, ignore_errors=True)

    async def clean_up(self, wanted: Collection[str]) -> None:
        """Removes what a killed service left: the files of letters that are not `wanted`. Raises OSError."""
        left = await asyncio.to_thread(os.listdir, self._folder)
        await self.remove(name for name in left if _LETTER_ID.fullmatch(name) and name not in wanted)


def _write(folder: Path, files: Sequence[OutgoingFile]) -> None:
    folder.mkdir(mode=0o700)
    try:
        for number, file in enumerate(files, start=1):
            fd = os.open(folder / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as target:
                target.write(file.data)
                target.flush()
                os.fsync(fd)
        _sync(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _read(folder: Path, letter: Letter) -> list[OutgoingFile]:
    files = []
    for number, file in enumerate(letter.files, start=1):
        data = (folder / str(number)).read_bytes()
        if len(data) != file.size:
            raise OSError(f"file {number} has {len(data)} bytes and not {file.size}")
        files.append(OutgoingFile(file.name, file.media_type, data))
    return files


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
