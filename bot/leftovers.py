"""Leftovers: what an earlier service had not finished is taken up again, some sessions at a time.

After a long downtime there may be thousands of them, and whoever speaks now must not wait for them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from agent.protocol.clock import Clock
from bot.admission import Admission
from bot.db import dead_letters, deliveries, inbox
from bot.db.engine import Database
from bot.delivery import Delivery
from bot.posting import Posting

AT_ONCE: Final = 8
"""Sessions that are begun with at the same time."""
LOOK_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 5.0
"""How long one of them may keep the next one waiting: a channel that hangs must not hold up the others."""


class Leftovers:
    """Kicks every session that has something left. What is due later gets a timer and is not loaded before."""

    name = "leftovers"

    def __init__(
        self, db: Database, posting: Posting, delivery: Delivery, admission: Admission, *, clock: Clock
    ) -> None:
        self._db = db
        self._posting = posting
        self._delivery = delivery
        self._admission = admission
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled. Raises DatabaseError."""
        to_post = await self._db.read(inbox.sessions_with_work)
        to_deliver = await self._db.read(deliveries.sessions_with_notices)
        to_deliver += await self._db.read(dead_letters.sessions_with_replays)
        for session_id, at in await self._db.read(deliveries.waiting):
            if at > self._clock():
                self._delivery.kick_at(session_id, at)
            else:
                to_deliver.append(session_id)
        await asyncio.gather(_each(to_post, self._begin_posting), _each(to_deliver, self._begin_delivery))
        await asyncio.get_running_loop().create_future()

    async def _begin_posting(self, session_id: str) -> None:
        # Whoever speaks now takes a place at the end of the line, so the line is kept short.
        while self._admission.waiting >= AT_ONCE:  # noqa: ASYNC110  # a look now and then, only after a downtime
            await asyncio.sleep(LOOK_SECONDS)
        self._posting.kick(session_id)
        await _for_a_while(self._posting.settle(session_id))

    async def _begin_delivery(self, session_id: str) -> None:
        self._delivery.kick(session_id)
        await _for_a_while(self._delivery.settle(session_id))


async def _each(session_ids: Iterable[str], begin: Callable[[str], Awaitable[None]]) -> None:
    waiting = iter(session_ids)

    async def some() -> None:
        for session_id in waiting:
            await begin(session_id)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def _for_a_while(settled: Awaitable[None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await settled
