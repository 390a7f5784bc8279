"""Backups in the running service: one a day, and whenever somebody asks for one."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from agent.protocol.clock import Clock
from bot import log
from bot.backup import names
from bot.backup.create import Made, make
from bot.backup.errors import BackupBusy, BackupError
from bot.config_tables import BackupConfig
from bot.db.engine import Database
from bot.errors import DatabaseError
from bot.metrics import Metrics

TICK_SECONDS: Final = 300.0
HOUR_MS: Final = 3600 * 1000
DAY_MS: Final = 24 * HOUR_MS

_log = log.get("roost.backup")


def due(since: int | None, *, started_at: int, now: int, hour: int) -> bool:
    """Whether a backup is to be made now. `since` is how long nothing was saved, None when there is nothing
    to save; all in epoch milliseconds, and the hour in UTC.

    A service that was there at the hour makes one then; one that was not makes it when a day is over.
    """
    if since is None:
        return False
    today = now - now % DAY_MS + hour * HOUR_MS
    latest = today if today <= now else today - DAY_MS
    return since < latest if latest >= started_at else now - since >= DAY_MS


class Backups:
    """Makes one backup at a time, on a thread of its own."""

    name = "backups"

    def __init__(
        self, data: Path, config: BackupConfig, db: Database, *, metrics: Metrics, clock: Clock
    ) -> None:
        self._data = data
        self._config = config
        self._db = db
        self._metrics = metrics
        self._clock = clock
        self._folder = config.folder_in(data)
        self._started_at = clock()
        self._worker = ThreadPoolExecutor(1, "roost-backup")
        self._stop = threading.Event()
        self._under_way: asyncio.Future[Made] | None = None
        self._failing = False

    async def run(self) -> None:
        """Until cancelled; a backup that is being made then is given up."""
        try:
            while True:
                if self._config.enabled:
                    await self.tick()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            self._stop.set()
            await asyncio.to_thread(self._worker.shutdown)

    async def tick(self) -> None:
        """Makes a backup if one is due. What fails is said once, counted, and tried again at the next tick."""
        try:
            if not await self._is_due():
                return
            made = await self.create()
            await asyncio.to_thread(self._prune, made.path)
        except BackupBusy:
            return
        except (BackupError, DatabaseError, OSError) as exc:
            self._metrics.backups.labels("failed").inc()
            if not self._failing:
                _log.error("no backup could be made: %s", exc)
            self._failing = True
        else:
            self._metrics.backups.labels("done").inc()
            self._failing = False
            _log.info("a backup was made", file=str(made.path), bytes=made.size)

    async def create(self, to: Path | None = None) -> Made:
        """Makes a backup in the folder `to`, else in the configured one. Raises BackupBusy, BackupFailed."""
        if self._under_way is not None and not self._under_way.done():
            raise BackupBusy("A backup is being made already: wait until it is done.")
        self._under_way = asyncio.get_running_loop().run_in_executor(
            self._worker,
            partial(
                make,
                self._data,
                to or self._folder,
                self._config.bounds,
                now=self._clock(),
                stop=self._stop,
            ),
        )
        # When nobody waits for it any more, nobody asks how it ended either.
        self._under_way.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._under_way)

    async def _is_due(self) -> bool:
        backups = await asyncio.to_thread(names.found, self._folder)
        since = backups[0].made_at if backups else await self._db.read(_first_session)
        return due(since, started_at=self._started_at, now=self._clock(), hour=self._config.hour)

    def _prune(self, made: Path) -> None:
        for old in names.surplus(names.found(self._folder), self._config.keep, made):
            old.path.unlink(missing_ok=True)


def _first_session(db: sqlite3.Connection) -> int | None:
    oldest: int | None = db.execute("SELECT min(created_at) FROM sessions").fetchone()[0]
    return oldest
