"""Fetching: files that lie with a platform still are brought here, once it is known that their sender may send them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from adapters.base import IncomingFile, NotFetched, RemoteFile
from bot import log
from bot.config_tables import LimitsConfig
from bot.files import MIB, Refused, check, shown

FETCH_SECONDS: Final = 30.0
"""How long one file may take."""
FETCHES_AT_ONCE: Final = 4
"""Over all places: a slow platform must not fill the line with what it keeps back."""
NOT_FETCHED: Final = "{name} could not be fetched: {reason}."
BROKE_OFF: Final = "{name} could not be fetched; please send it again in a moment."
TOO_SLOW: Final = "{name} could not be fetched within {seconds:g} seconds; please send it again in a moment."

_log = log.get("roost.fetching")


class Fetching:
    """For all adapters of a service."""

    def __init__(self, limits: LimitsConfig, *, seconds: float = FETCH_SECONDS) -> None:
        self._limits = limits
        self._seconds = seconds
        self._room = asyncio.Semaphore(FETCHES_AT_ONCE)

    @asynccontextmanager
    async def fetched(self, files: Sequence[RemoteFile], folder: Path) -> AsyncIterator[list[IncomingFile]]:
        """The files in a `folder` of their own for the length of the block; what is still there at its end is removed,
        whatever ends it. Raises Refused, OSError."""
        if not files:
            yield []
            return
        check(files, self._limits)
        await asyncio.to_thread(folder.mkdir, parents=True)
        try:
            yield [
                await self._fetch(file, folder / str(number)) for number, file in enumerate(files, start=1)
            ]
        finally:
            # Not on a thread: whoever is cancelled may be cancelled again while it waits for one.
            shutil.rmtree(folder, ignore_errors=True)

    async def _fetch(self, file: RemoteFile, path: Path) -> IncomingFile:
        """Raises Refused."""
        name = shown(file.name)
        try:
            async with self._room, asyncio.timeout(self._seconds):
                await file.fetch(path, self._limits.attachment_mb * MIB)
        except NotFetched as exc:
            raise Refused(NOT_FETCHED.format(name=name, reason=str(exc).rstrip(".!"))) from exc
        except TimeoutError as exc:
            raise Refused(TOO_SLOW.format(name=name, seconds=self._seconds)) from exc
        except OSError as exc:
            _log.warning("a file was not fetched: %s", exc)
            raise Refused(BROKE_OFF.format(name=name)) from exc
        return IncomingFile(file.name, file.media_type, path)
