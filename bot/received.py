"""What people sent along with their messages is kept for some weeks, because a conversation comes back to it, and
then removed: nothing else ever would."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

from agent.protocol.clock import Clock
from bot import log
from bot.db import inbox
from bot.db.engine import Database
from bot.errors import DatabaseError

KEPT_DAYS: Final = 30
LOOK_SECONDS: Final = 6 * 3600.0
_DAY_SECONDS: Final = 86_400

_log = log.get("roost.received")


class Received:
    """Looks through all sessions, also those that nobody has spoken in for long."""

    name = "received"

    def __init__(self, db: Database, sessions: Path, *, clock: Clock) -> None:
        self._db = db
        self._sessions = sessions
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.prune()
            except (DatabaseError, OSError) as exc:
                _log.error("old files are kept for now: %s", exc)
            await asyncio.sleep(LOOK_SECONDS)

    async def prune(self) -> None:
        """Removes the files of messages that have ended, when they came long enough ago. Raises DatabaseError,
        OSError."""
        before = self._clock() / 1000 - KEPT_DAYS * _DAY_SECONDS
        old = await asyncio.to_thread(_older, self._sessions, before)
        if old:
            wanted = await self._db.read(inbox.unfinished_ids)
            await asyncio.to_thread(_remove, old, wanted)


def _older(sessions: Path, before: float) -> list[Path]:
    return [each for each in sessions.glob("*/in/files/*") if _came(each) < before]


def _came(folder: Path) -> float:
    try:
        return folder.lstat().st_mtime
    except FileNotFoundError:
        return math.inf  # Its session was put aside meanwhile; the others are looked at all the same.


def _remove(folders: list[Path], wanted: Collection[str]) -> None:
    for folder in folders:
        if folder.name not in wanted:
            shutil.rmtree(folder, ignore_errors=True)
