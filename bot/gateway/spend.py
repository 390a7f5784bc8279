"""What was spent on models, and whether more may be. Kept in bot.db, so that a restart forgives nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from agent.protocol.clock import Clock
from bot import log
from bot.db import spend
from bot.db.engine import Database
from bot.errors import DatabaseError
from bot.gateway.refusals import Refusal
from bot.gateway.usage import Usage

KEPT_DAYS: Final = 400
MICROS: Final = 1_000_000
ENDS: Final = "it begins again at 00:00 UTC"

_log = log.get("roost.gateway")


@dataclass(frozen=True)
class Limits:
    """What may be spent in a day of UTC, in US dollars; None: as much as anybody likes."""

    session_usd: float | None = None
    agent_usd: float | None = None
    all_usd: float | None = None


class Spend:
    """The books. `load` comes before everything else."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._day = ""
        self._loading = asyncio.Lock()
        self._sessions: Counter[str] = Counter()
        self._agents: Counter[str] = Counter()
        self._all = 0

    async def load(self) -> None:
        """Reads what this day has cost so far, once. Raises DatabaseError."""
        async with self._loading:
            if self._day:
                return
            day = self._today()
            found = await self._db.read(partial(spend.of_day, day=day))
            self._begin(day)
            for each in found:
                self._count(each.usd_micros, session=each.session, agent=each.agent)
            self._db.later(partial(spend.forget, before=_before(day, KEPT_DAYS)))

    def check(self, limits: Limits, *, session: str, agent: str) -> None:
        """Raises Refusal once one of the limits is reached. A request that is under way is counted at its end, so that
        as many as may be under way at once can go beyond it."""
        self._turn_over()
        for whose, spent, limit in (
            ("this conversation", self._sessions[session], limits.session_usd),
            ("this agent", self._agents[agent], limits.agent_usd),
            ("all agents together", self._all, limits.all_usd),
        ):
            if limit is not None and spent >= limit * MICROS:
                raise Refusal(
                    402,
                    "billing_error",
                    f"The budget of today for {whose} is used up (${limit:,.2f}); {ENDS}.",
                    reason="spend",
                )

    def add(self, usage: Usage, usd_micros: int, *, session: str, agent: str) -> None:
        """What a request has cost, on the day on which it ends."""
        self._turn_over()
        self._count(usd_micros, session=session, agent=agent)
        row = partial(
            spend.add, day=self._day, agent=agent, session=session, usage=usage, usd_micros=usd_micros
        )
        try:
            self._db.later(row)
        except DatabaseError as exc:
            _log.error("what a request has cost could not be written: %s", exc, session=session)

    def _turn_over(self) -> None:
        if (day := self._today()) > self._day:
            self._begin(day)

    def _begin(self, day: str) -> None:
        self._day = day
        self._sessions.clear()
        self._agents.clear()
        self._all = 0

    def _count(self, usd_micros: int, *, session: str, agent: str) -> None:
        self._sessions[session] += usd_micros
        self._agents[agent] += usd_micros
        self._all += usd_micros

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock() / 1000, UTC).date().isoformat()


def _before(day: str, days: int) -> str:
    return (datetime.fromisoformat(day) - timedelta(days)).date().isoformat()
