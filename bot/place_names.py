"""What people call the places that admins have set something for: kept in bot.db, as the adapters tell of it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial
from typing import Final

from bot import log
from bot.db import places
from bot.db.engine import Database
from bot.errors import DatabaseError
from bot.wirings import Wirings

MAX_KNOWN: Final = 20_000
"""Places whose names are remembered; of more, those of which something was told last."""
DELETED: Final = " (deleted)"
NAMELESS: Final = "a channel"

_log = log.get("roost.places")


class PlaceNames:
    """Writes the names of places into their rows. A name is for people to read, and decides nothing."""

    name = "place names"

    def __init__(self, db: Database, wirings: Wirings) -> None:
        self._db = db
        self._wirings = wirings
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._news: dict[tuple[str, str], str] = {}
        self._told = asyncio.Event()

    def of(self, channel: str, platform_id: str) -> str | None:
        """What a place is called, as far as its adapter has told since the service was started."""
        return self._known.get((channel, platform_id))

    def note(self, channel: str, platform_id: str, name: str | None, *, gone: bool) -> None:
        """An adapter tells what a place is called now, or that it was deleted. Returns at once."""
        key = channel, platform_id
        known = self._known.get(key)
        if gone:
            name = (name or known or NAMELESS).removesuffix(DELETED) + DELETED
        if name is None or name == known:
            return
        self._known[key] = name
        self._known.move_to_end(key)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        self._news[key] = name
        self._told.set()

    async def run(self) -> None:
        """Writes down what was told, until cancelled."""
        while True:
            await self._told.wait()
            self._told.clear()
            await self.write()

    async def write(self) -> None:
        """Writes down what was told so far, in one transaction: a platform tells of every channel when it connects.
        What cannot be written is new again when it is told again."""
        news, self._news = self._news, {}
        try:
            if await self._db.read(partial(places.differing, names=news)):
                await self._db.write(partial(places.rename, names=news))
                await self._wirings.refresh(self._db)
        except DatabaseError as exc:
            _log.error("the names of %d places are not kept: %s", len(news), exc)
            for key in news:
                self._known.pop(key, None)
