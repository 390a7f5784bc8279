"""What has come to its end is kept for some weeks, for whoever wants to look, and then forgotten: bot.db would grow
with every word that was ever said."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from agent.protocol.clock import Clock
from bot import log
from bot.db import overheard, retention
from bot.db.engine import Database
from bot.errors import DatabaseError

LOOK_SECONDS: Final = 6 * 3600.0
PAUSE_SECONDS: Final = 0.02
"""Between two batches: whoever speaks now comes first."""
_DAY_MS: Final = 86_400_000

_log = log.get("roost.history")


class History:
    """Forgets in small steps, so that nobody waits for it."""

    name = "history"

    def __init__(self, db: Database, days: int, *, clock: Clock) -> None:
        self._db = db
        self._days = days
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                forgotten = await self.prune()
            except DatabaseError as exc:
                _log.error("what is old is kept for now: %s", exc)
            else:
                if forgotten:
                    _log.info("what is old was forgotten", rows=forgotten)
            await asyncio.sleep(LOOK_SECONDS)

    async def prune(self) -> int:
        """Forgets what is old enough, and returns how many rows that were. Raises DatabaseError."""
        before = self._clock() - self._days * _DAY_MS
        passing = max(before, self._clock() - overheard.KEPT_MS)
        forgotten = await self._db.write(lambda db: overheard.forget(db, before=passing))
        return forgotten + sum([await self._prune(table, before) for table in retention.TABLES])

    async def _prune(self, table: str, before: int) -> int:
        forgotten, after = 0, 0
        while True:
            batch = await self._db.read(partial(retention.over, table=table, after=after, before=before))
            if batch.rows:
                forgotten += await self._db.write(partial(retention.forget, table=table, rows=batch.rows))
            if batch.next is None:
                return forgotten
            after = batch.next
            await asyncio.sleep(PAUSE_SECONDS)
