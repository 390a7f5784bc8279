"""Figures: how many messages and replies there are, counted once for however many ask at the same time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.protocol.clock import Clock, steady_ms
from bot.db import dead_letters, deliveries, inbox
from bot.db.accounts import Accounts, accounts
from bot.db.engine import Database

FRESH_MS: Final = 5_000


@dataclass(frozen=True)
class Counted:
    """What bot.db says, all of it at one moment."""

    messages: Mapping[str, int]
    replies: Mapping[str, int]
    books: Accounts
    dead: int


class Figures:
    """Of one service."""

    def __init__(self, db: Database, clock: Clock = steady_ms) -> None:
        self._db = db
        self._clock = clock
        self._alone = asyncio.Lock()
        self._last: Counted | None = None
        self._at = 0

    async def exact(self) -> Counted:
        """As of now. Raises DatabaseError."""
        self._last = await self._db.read(_count)
        self._at = self._clock()
        return self._last

    async def recent(self) -> Counted:
        """Not older than FRESH_MS: people may ask as often as they like. Raises DatabaseError."""
        async with self._alone:
            if self._last is not None and self._clock() - self._at < FRESH_MS:
                return self._last
            return await self.exact()


def _count(db: sqlite3.Connection) -> Counted:
    db.execute("BEGIN")
    try:
        return Counted(inbox.counts(db), deliveries.counts(db), accounts(db), dead_letters.kept(db))
    finally:
        db.execute("COMMIT")
