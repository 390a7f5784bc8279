"""Waiting files: what belongs to a stranger's message besides its words is brought here, within bounds, while an admin
is asked. What is not kept is named, and never the reason why a message is not."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

from adapters.base import Event
from adapters.text import shown_name
from bot import beforehand, log, strangers
from bot.config_tables import LimitsConfig
from bot.db import inbox
from bot.db.engine import Database
from bot.fetching import Fetching
from bot.files import Refused, take_in
from bot.strangers import Kept

FETCHED_AT_ONCE: Final = 2
"""Those of strangers must not keep everybody else's from coming."""

_log = log.get("roost.strangers")


def named(event: Event) -> Kept:
    """What is kept where nothing of a stranger's is looked at yet: what their files are called. Pure."""
    names = [*(each.name for each in event.files), *(each.name for each in event.remote)]
    return Kept(left_out=[shown_name(each) for each in names])


class WaitingFiles:
    """For all adapters of a service."""

    def __init__(self, db: Database, fetching: Fetching, limits: LimitsConfig, *, incoming: Path) -> None:
        """`incoming` is where files lie until their message is accepted."""
        self._db = db
        self._fetching = fetching
        self._limits = limits
        self._incoming = incoming
        self._room = asyncio.Semaphore(FETCHED_AT_ONCE)

    async def kept(self, event: Event) -> Kept:
        """What is to be kept with a message of which `access.decide` has said that an admin is asked. Whoever does not
        keep it in the end has to remove the folder of its `message_id`. Raises DatabaseError, OSError."""
        kept = Kept()
        if event.before is not None:
            kept = Kept(kept.message_id, before=await beforehand.read(event.before, event_id=event.id))
        if not event.remote:
            return Kept(kept.message_id, (), [shown_name(each.name) for each in event.files], kept.before)
        wanted, left_out = await self._db.read(partial(strangers.affordable, files=event.remote))
        try:
            async with (
                self._room,
                self._fetching.fetched(wanted, self._incoming / inbox.new_id()) as fetched,
            ):
                folder = self._incoming / kept.message_id
                taken = await asyncio.to_thread(take_in, fetched, folder, self._limits) if fetched else []
        except Refused as exc:
            _log.info("files of a stranger are not kept: %s", exc, event_id=event.id)
            return Kept(kept.message_id, (), [shown_name(each.name) for each in event.remote], kept.before)
        return Kept(kept.message_id, taken, left_out, kept.before)
