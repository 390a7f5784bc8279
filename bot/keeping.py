"""Keeping: how long a place keeps what was said in it, what its agents remember, and the files that came along, where
an admin has set a time (`channel set`); after that it is removed, though the rest of the service keeps it longer."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from adapters.base import Event, Sender
from agent.protocol.clock import Clock
from agent.protocol.mailbox import MailboxError
from agent.protocol.messages import Route
from bot import access, log, place_settings
from bot.access import Allow, Facts
from bot.db import erasure
from bot.db.engine import Database
from bot.db.erasure import Message
from bot.db.places import Place
from bot.erasing import Erasing
from bot.errors import DatabaseError
from bot.sessions import UnknownSession
from bot.wirings import Wirings
from container.base import BackendError

LOOK_SECONDS: Final = 3600.0
DAY_MS: Final = 86_400_000

_log = log.get("roost.keeping")


class Keeping:
    """Looks through the places that have such a time."""

    name = "keeping"

    def __init__(
        self, db: Database, wirings: Wirings, erasing: Erasing, *, sessions: Path, clock: Clock
    ) -> None:
        self._db = db
        self._wirings = wirings
        self._erasing = erasing
        self._sessions = sessions
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.prune()
            await asyncio.sleep(LOOK_SECONDS)

    async def prune(self) -> None:
        """Removes what is over now. What cannot be removed is logged, and tried again the next time."""
        for channel, platform_id in self._wirings.known_places():
            place = self._wirings.place(Route(channel=channel, platform_id=platform_id))
            if place is None:
                continue
            try:
                await self._prune(place)
            except (DatabaseError, MailboxError, BackendError, UnknownSession, OSError) as exc:
                _log.error(
                    "what is old in a place is kept for now: %s", exc, place=f"{channel}/{platform_id}"
                )

    async def deleted(self, event: Event) -> None:
        """Something was deleted where it was said: where its place wants that, its words and files are removed here as
        well. What cannot be removed now is logged."""
        place = self._wirings.place(event.route)
        if place is None or not place_settings.read(place.settings).forget_deleted:
            return
        now = self._clock()
        try:
            struck = await self._db.write(lambda db: _struck(db, event, now))
            await self._erasing.discard_files(struck)
            await self._erasing.refresh(each.session for each in struck)
        except (DatabaseError, MailboxError, UnknownSession, OSError) as exc:
            _log.error("what was deleted is kept for now: %s", exc, event_id=event.id)

    async def _prune(self, place: Place) -> None:
        settings, now = place_settings.read(place.settings), self._clock()
        if settings.retention_messages_days is not None:
            await self._messages(place, now - settings.retention_messages_days * DAY_MS)
        if settings.retention_transcripts_days is not None:
            await self._memories(place, now - settings.retention_transcripts_days * DAY_MS)
        if settings.retention_files_days is not None:
            await self._files(place, now - settings.retention_files_days * DAY_MS)

    async def _messages(self, place: Place, before: int) -> None:
        touched: set[str] = set()
        while True:
            found = await self._db.read(
                partial(erasure.older, channel=place.channel, platform_id=place.platform_id, before=before)
            )
            if not found:
                break
            # Whoever is interrupted in between finds them again by their words.
            await self._erasing.discard_files(found)
            now, ids = self._clock(), [each.id for each in found]
            struck = await self._db.write(partial(erasure.strike, message_ids=ids, now=now))
            touched |= {each.session for each in struck}
        await self._erasing.refresh(sorted(touched))

    async def _memories(self, place: Place, before: int) -> None:
        """Of conversations that have rested for so long; those that go on keep what they need to go on."""
        quiet = await self._db.read(
            partial(erasure.quiet, channel=place.channel, platform_id=place.platform_id, before=before)
        )
        for session_id in quiet:
            if await asyncio.to_thread(_remembers, self._sessions / session_id):
                await self._erasing.forget(session_id)

    async def _files(self, place: Place, before: int) -> None:
        ids = await self._db.read(
            partial(erasure.with_files, channel=place.channel, platform_id=place.platform_id, before=before)
        )
        await self._erasing.discard_files(ids)


def _struck(db: sqlite3.Connection, event: Event, now: int) -> list[Message]:
    """It is the platform's own word that the message is gone, whoever did it."""
    ids = erasure.of_event(db, event.route.channel, event.about)
    by_nobody = replace(event, sender=Sender("", ""))
    if not isinstance(access.decide(by_nobody, Facts(accepted=bool(ids))), Allow):
        return []
    return erasure.strike(db, ids, now=now)


def _remembers(folder: Path) -> bool:
    """Whether anything lies there that an agent could remember by."""
    return any((folder / name).is_dir() and any((folder / name).iterdir()) for name in ("home", "out"))
