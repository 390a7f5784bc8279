"""A ledger: writes to bot.db that belong together, so that what can wait costs no commit of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.db.engine import Database
from bot.errors import DatabaseError

Write = Callable[[sqlite3.Connection], object]
Then = Callable[[], object]


@dataclass
class Ledger:
    """Writes of one piece of work, in order, and what to do in memory once they are durable. True while
    anything is still to be written."""

    db: Database
    _writes: list[Write] = field(default_factory=list)
    _then: list[Then] = field(default_factory=list)
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __bool__(self) -> bool:
        return bool(self._writes)

    def add(self, write: Write, then: Then | None = None) -> None:
        """Rides with the next commit."""
        self._writes.append(write)
        if then is not None:
            self._then.append(then)

    async def commit(self) -> None:
        """Returns when everything added is durable, in one transaction.

        Raises DatabaseError; then it is all still to be written. What a write itself raises is raised, too,
        and these writes are dropped: they would fail the same way for ever.
        """
        async with self._alone:
            await self._commit()

    async def _commit(self) -> None:
        writes, then = list(self._writes), list(self._then)
        if not writes:
            return
        try:
            await self.db.write(lambda db: [write(db) for write in writes])
        except DatabaseError:
            raise
        except Exception:
            self._forget(len(writes), len(then))
            raise
        self._forget(len(writes), len(then))
        for call in then:
            call()

    def _forget(self, writes: int, then: int) -> None:
        del self._writes[:writes], self._then[:then]
