"""Orphans: what lies or runs about and belongs to nobody. A crash between two steps leaves it, or a start that
was given up and came about all the same."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from agent.protocol.clock import Clock
from bot import log
from bot.containers import Containers
from bot.db import sessions as rows
from bot.db.engine import Database
from bot.errors import DatabaseError
from bot.sessions import Sessions
from container.base import BackendError

LOOK_SECONDS: Final = 30.0
"""How often the backend is asked which containers there are."""

_log = log.get("roost.orphans")


class Orphans:
    """Finds them by the names of folders and containers: no session's files are opened for it."""

    name = "orphans"

    def __init__(
        self, db: Database, sessions: Sessions, containers: Containers, *, data_dir: Path, clock: Clock
    ) -> None:
        self._db = db
        self._sessions = sessions
        self._containers = containers
        self._folder = data_dir / "sessions"
        self._aside = data_dir / "aside"
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        await self.put_folders_aside()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def put_folders_aside(self) -> None:
        """Moves away the folders of sessions that bot.db does not know; they are kept for whoever wants to
        look."""
        try:
            # The row of a session is committed before its folder is made, so the folders are listed first.
            found = await asyncio.to_thread(_folders, self._folder)
            known = await self._db.read(partial(rows.known, session_ids=found))
            for name in sorted(set(found) - known):
                kept = self._aside / f"{name}-{self._clock()}"
                await asyncio.to_thread(_move, self._folder / name, kept)
                _log.warning("a folder that belongs to no session was moved to %s", kept)
        except (DatabaseError, OSError) as exc:
            _log.error("folders that belong to no session stay where they are: %s", exc)

    async def look(self) -> None:
        """Stops the containers of sessions that are asleep, and takes over those of sessions that are awake and
        have lost theirs from sight."""
        try:
            awake = await self._containers.awake()
        except (BackendError, DatabaseError) as exc:
            _log.error("containers that belong to nobody are not looked for: %s", exc)
            return
        for session_id, labels in awake.items():
            if self._containers.of(session_id) is not None:
                continue
            # One that is loaded and has no container waits for something, and goes on by itself.
            if labels is not None or self._sessions.loaded(session_id) is None:
                await self._take_over(session_id, labels)

    async def _take_over(self, session_id: str, labels: Mapping[str, str] | None) -> None:
        _log.warning("a session was left awake", session=session_id, alive=labels is not None)
        try:
            await self._containers.adopt(await self._sessions.get(session_id), labels)
        except Exception:
            _log.exception("a session could not be taken over", session=session_id)


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _move(folder: Path, kept: Path) -> None:
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    folder.rename(kept)
