"""The warm pool: sessions that nobody has yet, each with a living container, so that a new conversation begins at once.

A session of the pool is whole: its folder, its inbound.db, its container. Whoever begins a conversation is given one
by the transaction that accepts the first message (bot/db/pool.py); nothing is mounted or moved. If its container has
died by then, it is woken like that of any other session.

What an earlier service has left in the pool is not used: it was started with that service's settings.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from functools import partial
from typing import Final

from agent.protocol.clock import Clock
from bot import log
from bot.admission import STARTS_AT_ONCE, Admission
from bot.clearing import Clearing
from bot.config_backend import PoolConfig
from bot.containers import Containers
from bot.db import pool as rows
from bot.db.engine import Database
from bot.errors import DatabaseError
from bot.launching import Misconfigured, NotNow
from bot.session import Session
from bot.sessions import Sessions, UnknownSession
from container.base import BackendError
from container.pool import Room, lacking

LOOK_SECONDS: Final = 0.25
AFTER_A_START_SECONDS: Final = 1.0
"""Whoever has just taken one needs the processor more than the next one does."""
AFTER_A_FAILURE_SECONDS: Final = 30.0

_log = log.get("roost.pool")


class Pool:
    """Keeps it filled while `run` runs. The runners in it hold places like all others, and give way to whoever waits
    for one."""

    name = "pool"

    def __init__(
        self,
        db: Database,
        sessions: Sessions,
        containers: Containers,
        admission: Admission,
        clearing: Clearing,
        config: PoolConfig,
        agents: Collection[str],
        *,
        clock: Clock,
    ) -> None:
        self._db = db
        self._sessions = sessions
        self._containers = containers
        self._admission = admission
        self._clearing = clearing
        self._size = config.size
        self._agents = agents
        self._clock = clock
        self._open = True
        self._ready: set[str] = set()
        """What was added and has not been seen to have ended, or to have been taken, since."""
        self._filling = asyncio.Lock()
        self._seldom = log.Seldom()

    async def run(self) -> None:
        """Until cancelled."""
        while self._open:
            try:
                wait = await self._fill()
            except DatabaseError as exc:
                # A disk that is full is no reason to end a service in which people talk.
                if self._seldom(str(exc)):
                    _log.error("the pool is not filled: %s", exc)
                wait = AFTER_A_FAILURE_SECONDS
            await asyncio.sleep(wait)
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Ends what is in it, and adds nothing any more."""
        self._open = False
        async with self._filling:
            await self.empty()

    async def _fill(self) -> float:
        """Adds one that lacks; returns for how many seconds to wait then. Raises DatabaseError."""
        async with self._filling:
            await self._clear()
            agent = self._lacking() if self._open else None
            if agent is None:
                return LOOK_SECONDS
            return AFTER_A_START_SECONDS if await self._add(agent) else AFTER_A_FAILURE_SECONDS

    def _lacking(self) -> str | None:
        admission = self._admission
        crowded = bool(admission.waiting) or admission.starts_under_way >= STARTS_AT_ONCE
        ready = Counter(dict.fromkeys(self._agents, 0))
        ready.update(runner.session.agent for runner in self._containers if runner.session.pooled)
        return lacking(ready, self._size, Room(admission.limit - admission.held, crowded))

    async def _add(self, agent: str) -> bool:
        session_id = await self._db.write(partial(rows.make, agent=agent, now=self._clock()))
        try:
            session = await self._sessions.get(session_id)
            async with session.lock:
                await self._sessions.ready(session)
                await session.post()
                started = await self._containers.wake(session)
        except Exception as exc:
            if self._seldom(repr(exc)):
                # What somebody else refuses is no fault of the code: where it was asked helps nobody.
                where = None if isinstance(exc, BackendError | Misconfigured | NotNow) else exc
                _log.error("no container can be had ready: %s", exc, exc_info=where)
            started = False
        if started:
            self._ready.add(session_id)
        else:
            self._containers.withdraw(session_id)
            await self._let_drop(session_id)
        return started

    async def _clear(self) -> None:
        """Forgets those whose containers have ended, as they do when somebody waits for the place: nobody is given
        one any more, and their folders would stay."""
        for session_id in list(self._ready):
            runner = self._containers.of(session_id)
            if runner is not None and runner.session.pooled:
                continue
            self._ready.discard(session_id)
            if runner is None:
                await self._let_drop(session_id)

    async def empty(self) -> None:
        """Ends what is in it: before anybody comes, what an earlier service has left."""
        for session_id in await self._db.read(rows.waiting):
            await self._let_drop(session_id)

    async def _let_drop(self, session_id: str) -> None:
        try:
            await self._drop(session_id)
        except Exception as exc:
            _log.error("a session of the pool stays for now: %s", exc, session=session_id)

    async def _drop(self, session_id: str) -> None:
        """Ends its container and forgets it, unless somebody has taken it meanwhile."""
        try:
            session = await self._sessions.get(session_id)
        except UnknownSession:
            return
        async with session.lock:
            if not session.pooled:
                return
            await self._containers.end(session)
            if not await self._db.write(partial(rows.drop, session_id=session_id)):
                return
            await self._forget(session)

    async def _forget(self, session: Session) -> None:
        await self._sessions.let_go(session)
        await self._clearing.remove(session.root)
