"""The notebook: what adapters remember beyond a restart. It is their `adapters.base.Notes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from adapters.base import NotSaved
from agent.protocol.clock import Clock
from bot.db import notes
from bot.db.engine import Database
from bot.errors import DatabaseError

NOT_NOW: Final = "bot.db cannot be used now: {reason}"


class Notebook:
    """Every method raises NotSaved."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def get(self, key: str) -> str | None:
        """The text, where there is one."""
        try:
            return await self._db.read(lambda db: notes.get(db, key))
        except DatabaseError as exc:
            raise NotSaved(NOT_NOW.format(reason=exc)) from exc

    async def all(self, prefix: str) -> Mapping[str, str]:
        """Those whose keys begin so."""
        try:
            return await self._db.read(lambda db: notes.all_of(db, prefix))
        except DatabaseError as exc:
            raise NotSaved(NOT_NOW.format(reason=exc)) from exc

    async def put(self, key: str, text: str) -> None:
        """Returns when it is durable."""
        now = self._clock()
        try:
            await self._db.write(lambda db: notes.put(db, key, text, now=now))
        except DatabaseError as exc:
            raise NotSaved(NOT_NOW.format(reason=exc)) from exc

    async def drop(self, key: str) -> None:
        """Absent is success."""
        try:
            await self._db.write(lambda db: notes.drop(db, key))
        except DatabaseError as exc:
            raise NotSaved(NOT_NOW.format(reason=exc)) from exc
