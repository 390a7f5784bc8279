"""The sweep: finds what no event will tell of. A pure verdict over facts, and a loop that acts on it.

A round looks at what is in memory: living runners and loaded sessions. A session that is asleep costs it
nothing, however many there are.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from agent.protocol import failpoint
from agent.protocol.clock import steady_ms
from bot import log
from bot.config_tables import AgentConfig
from bot.containers import Containers
from bot.db import sessions as rows
from bot.db.engine import Database
from bot.delivery import Delivery
from bot.errors import DatabaseError
from bot.lanes import Lanes
from bot.metrics import Metrics
from bot.runner import Runner
from bot.services import running
from bot.session import Session
from bot.sessions import Sessions

TICK_SECONDS: Final = 5.0
LOOKED_AT_TOGETHER: Final = 100
"""So many sessions are looked at before others have their turn."""
LET_GO_TOGETHER: Final = 32
"""So many sessions share a commit, and the mail threads, when their files are closed."""

_log = log.get("roost.sweep")


@dataclass(frozen=True)
class Facts:
    """What is known of one living runner, in milliseconds on the steady clock. `signs_of_life` is when the
    host last heard or saw any; what the container says of the time itself counts for nothing. `replaceable`:
    it is only there to finish its turn."""

    busy_since: int | None
    idle_since: int | None
    signs_of_life: int
    tool_until: int | None
    replaceable: bool = False


@dataclass(frozen=True)
class Limits:
    """How long is too long, in milliseconds."""

    stale_ms: int
    turn_ms: int
    idle_ms: int


Verdict = Literal["fine", "stuck", "overdue", "idle"]


def verdict(facts: Facts, now: int, limits: Limits) -> Verdict:
    """What is to be thought of a runner. A declared tool excuses silence, but never beyond the turn's limit."""
    if facts.busy_since is None:
        idle = facts.idle_since is not None and now - facts.idle_since >= limits.idle_ms
        return "idle" if idle or facts.replaceable else "fine"
    if now - facts.busy_since >= limits.turn_ms:
        return "overdue"
    last = max(facts.signs_of_life, facts.busy_since, facts.tool_until or 0)
    return "stuck" if now - last >= limits.stale_ms else "fine"


class Sweep:
    """Looks at the living runners, and lets sessions go that have nothing to do."""

    name = "sweep"

    def __init__(
        self,
        db: Database,
        sessions: Sessions,
        containers: Containers,
        delivery: Delivery,
        agents: Mapping[str, AgentConfig],
        *,
        stale_seconds: float,
        idle_seconds: float,
        metrics: Metrics,
    ) -> None:
        self._db = db
        self._sessions = sessions
        self._containers = containers
        self._delivery = delivery
        self._agents = agents
        self._stale_ms = int(stale_seconds * 1000)
        self._idle_ms = int(idle_seconds * 1000)
        self._tick = min(TICK_SECONDS, stale_seconds / 4, idle_seconds / 4)
        self._metrics = metrics
        self._seldom = log.Seldom()
        self._lanes: Lanes[str] = Lanes("sweep", self._see_to, self._failed)

    async def run(self) -> None:
        """Until cancelled."""
        async with running(self._lanes):
            while True:
                await asyncio.sleep(self._tick)
                await self.round()

    async def round(self) -> None:
        """Looks at everything once. Whoever needs more than a look gets it in a lane of his own: a container
        that is slow to stop holds up nobody."""
        runners = list(self._containers)
        beats = await asyncio.to_thread(_mtimes, [each.session.workspace.heartbeat for each in runners])
        for runner, beat in zip(runners, beats, strict=True):
            if self._judge(runner, beat) != "fine" or self._is_behind(runner.session):
                self._lanes.kick(runner.session.id)
        try:
            await self._retire()
        except DatabaseError as exc:
            if self._seldom(str(exc)):
                _log.error("sessions are kept: %s", exc)

    async def _see_to(self, session_id: str) -> None:
        runner = self._containers.of(session_id)
        if runner is None:
            return
        session = runner.session
        if self._is_behind(session):
            async with session.lock:
                await self._delivery.collect(session)
        found = self._judge(runner, runner.heartbeat)
        if found == "idle":
            failpoint.hit("runner-idle")
            await self._containers.stop(session_id, if_idle=True)
        elif found != "fine":
            _log.warning("a runner is killed: its turn is %s", found, session=session_id)
            self._metrics.violations.labels(found).inc()
            await self._containers.fail(runner)

    def _is_behind(self, session: Session) -> bool:
        """A channel that hangs keeps the lane from seeing what the agent has got done meanwhile."""
        return session.oldest() is not None and not self._delivery.idle(session.id)

    def _judge(self, runner: Runner, beat: float) -> Verdict:
        session, now = runner.session, steady_ms()
        oldest = self._containers.works_on(runner)
        # Whoever may not go on before the channel has taken what there is has nothing to show for it.
        asked = oldest is not None and oldest.process_after is None and not session.behind
        working = oldest.id if oldest is not None and asked else None
        if working != runner.busy_with:
            # Each message has a turn's time of its own, however long the runner has been at work without a rest.
            runner.busy_with = working
            runner.busy_since, runner.idle_since = (None, now) if working is None else (now, None)
        if beat != runner.heartbeat:
            runner.heartbeat, runner.heard_at = beat, now
        facts = Facts(
            runner.busy_since,
            # One in the pool is there to wait.
            None if session.pooled else runner.idle_since,
            runner.heard_at,
            session.tool_until,
            runner.outdated or self._containers.superseded(runner),
        )
        agent = self._agents.get(session.agent) or AgentConfig()
        turn_ms = int(agent.turn_limit_seconds * 1000)
        return verdict(facts, now, Limits(self._stale_ms, turn_ms, self._idle_ms))

    async def _retire(self) -> None:
        """A session without a runner, with every row at its end, is asleep: its files are closed. Raises
        DatabaseError."""
        for some in _split(list(self._sessions), LOOKED_AT_TOGETHER):
            over = [session for session in some if self._is_over(session)]
            for few in _split(over, LET_GO_TOGETHER):
                # No await stands between the look and the write: whoever is woken now is written down after it.
                ids = [session.id for session in few]
                await self._db.write(partial(rows.fall_asleep, session_ids=ids))
                failpoint.hit("asleep-set")
                await asyncio.gather(*(self._let_go(session) for session in few))
            await asyncio.sleep(0)

    async def _let_go(self, session: Session) -> None:
        try:
            if self._is_over(session):
                async with session.lock:
                    if self._has_nothing(session):
                        await self._sessions.let_go(session)
        except Exception:
            _log.exception("a session could not be let go", session=session.id)

    def _is_over(self, session: Session) -> bool:
        return not session.lock.locked() and self._has_nothing(session)

    def _has_nothing(self, session: Session) -> bool:
        return self._containers.of(session.id) is None and session.at_rest and self._delivery.idle(session.id)

    def _failed(self, session_id: str, error: Exception) -> None:
        if self._seldom(f"{session_id} {error!r}"):
            _log.error("a runner could not be dealt with", exc_info=error, session=session_id)


def _split(sessions: Sequence[Session], size: int) -> Iterator[Sequence[Session]]:
    for first in range(0, len(sessions), size):
        yield sessions[first : first + size]


def _mtimes(paths: Sequence[Path]) -> list[float]:
    return [_mtime(path) for path in paths]


def _mtime(path: os.PathLike[str]) -> float:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except OSError:
        return 0.0
