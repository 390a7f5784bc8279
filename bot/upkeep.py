"""Upkeep: what runners cost while they live. Those that rest are paused, and then give back their memory; those whose
files outgrow their share are ended.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from agent.protocol.clock import Clock
from bot import log
from bot.config_backend import BackendConfig
from bot.config_tables import AgentConfig
from bot.containers import Containers
from bot.disk_use import Use, use_of
from bot.lanes import Lanes
from bot.metrics import Metrics
from bot.runner import Runner
from bot.services import running
from bot.turns import NO_ROOM, TOO_LARGE, TOO_MANY_FILES
from container.base import Backend, BackendError
from container.pool import Resting, over_budget

LOOK_SECONDS: Final = 1.0
WEIGH_SECONDS: Final = 15.0
"""How often the memory of those that rest is added up."""
MEASURE_SECONDS: Final = 10.0
"""How often the files of those that work are."""
GROWTH_MB: Final = 128
"""With so much less room on the disk than a moment ago they are looked at at once."""
MIB: Final = 1024 * 1024
UNKNOWN_MB: Final = 128.0
"""What a runner is taken to need where nobody can tell."""

_log = log.get("roost.upkeep")


@dataclass
class _Disk:
    """What was found when it was looked at last: `at` is in seconds of the event loop's clock, `sizes` are in MiB, by
    session."""

    free_mb: float
    at: float
    sizes: dict[str, float] = field(default_factory=dict)


class Upkeep:
    """Looks at the living runners."""

    name = "upkeep"

    def __init__(
        self,
        containers: Containers,
        backend: Backend,
        config: BackendConfig,
        agents: Mapping[str, AgentConfig],
        *,
        data_dir: Path,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """`clock` is the steady one, by which runners rest."""
        self._containers = containers
        self._backend = backend
        self._config = config
        self._agents = agents
        self._data = data_dir
        self._metrics = metrics
        self._clock = clock
        self._seldom = log.Seldom()
        self._pausing: Lanes[str] = Lanes("pausing", self._pause, self._failed)
        self._ending: Lanes[str] = Lanes("ending", self._end, self._failed)
        self._rested: dict[str, tuple[int, int]] = {}
        """The newest message of each that rests, and since when it does."""
        self._weighed_at = 0.0
        self._disk: _Disk | None = None

    async def run(self) -> None:
        """Until cancelled."""
        async with running(self._pausing, self._ending):
            while True:
                await asyncio.sleep(min(LOOK_SECONDS, self._config.runner_pause_seconds / 2))
                await self.round()

    async def round(self) -> None:
        """Looks at everything once."""
        try:
            resting = self._resting_since()
            if self._backend.mounts:
                self._let_rest(resting)
            await self._weigh(resting)
            await self._measure()
        except (BackendError, OSError) as exc:
            if self._seldom(str(exc)):
                _log.error("runners could not be looked at: %s", exc)

    # ---------------------------------------------------------------- those that rest

    def _resting_since(self) -> dict[str, int]:
        """Those with nothing to do, and since when; whoever was asked something since the last look has only begun."""
        now = self._clock()
        found: dict[str, tuple[int, int]] = {}
        for runner in self._containers:
            if _rests(runner):
                seq = runner.session.newest_in_seq
                before = self._rested.get(runner.name)
                found[runner.name] = before if before is not None and before[0] == seq else (seq, now)
        self._rested = found
        return {name: since for name, (_, since) in found.items()}

    def _let_rest(self, resting: Mapping[str, int]) -> None:
        before = self._clock() - int(self._config.runner_pause_seconds * 1000)
        for runner in self._containers:
            if resting.get(runner.name, before) < before and not runner.frozen:
                self._pausing.kick(runner.session.id)

    async def _pause(self, session_id: str) -> None:
        runner = self._containers.of(session_id)
        if runner is not None and not runner.session.lock.locked():
            async with runner.session.lock:
                await self._containers.freeze(runner.session)

    async def _weigh(self, resting: Mapping[str, int]) -> None:
        now = asyncio.get_running_loop().time()
        if not resting or now - self._weighed_at < WEIGH_SECONDS:
            return
        self._weighed_at = now
        living = {runner.name: runner for runner in self._containers}
        found = [
            Resting(each.name, resting[each.name], each.memory_mb or UNKNOWN_MB)
            for each in await self._backend.running()
            if each.name in resting and each.name in living
        ]
        self._metrics.resting_memory_mb.set(sum(each.memory_mb for each in found))
        for name in over_budget(found, self._config.idle_memory_mb):
            _log.info("a runner that rests gives back its memory", session=living[name].session.id)
            self._ending.kick(living[name].session.id)

    async def _end(self, session_id: str) -> None:
        await self._containers.stop(session_id, if_idle=True)

    # ---------------------------------------------------------------- those that write

    async def _measure(self) -> None:
        runners = [runner for runner in self._containers if not runner.frozen]
        now, free = asyncio.get_running_loop().time(), await asyncio.to_thread(_free_mb, self._data)
        last = self._disk
        if not runners or (
            last is not None and now - last.at < MEASURE_SECONDS and last.free_mb - free < GROWTH_MB
        ):
            return
        before = {} if last is None else last.sizes
        sizes: dict[str, float] = {}
        programs = await self._backend.running()
        unlinked = {each.name: each.unlinked_mb or 0.0 for each in programs}
        for runner in runners:
            use = await use_of(runner.session.workspace)
            sizes[runner.session.id] = use.mb + unlinked.get(runner.name, 0.0)
            if text := self._too_much(runner, replace(use, mb=sizes[runner.session.id])):
                await self._condemn(runner, why="disk share", text=text)
        self._disk = _Disk(free, now, sizes)
        if free < self._config.min_free_mb:
            # Of who is seen for the first time nobody can say that it has grown.
            growth = {each: size - before.get(each, size) for each, size in sizes.items()}
            await self._make_room(runners, growth, {each.name for each in programs if each.sent_descriptors})

    def _too_much(self, runner: Runner, use: Use) -> str | None:
        """What the person is told whose conversation has outgrown its share; None: it has not."""
        limits = (self._agents.get(runner.session.agent) or AgentConfig()).limits
        if use.mb > limits.disk_mb:
            return TOO_LARGE.format(mb=limits.disk_mb)
        return TOO_MANY_FILES.format(files=limits.files) if use.files > limits.files else None

    async def _make_room(
        self, runners: Sequence[Runner], growth: Mapping[str, float], hiding: Collection[str]
    ) -> None:
        """The disk is as good as full: who has written most since the last look is ended. If nobody has, it is those
        that may be `hiding` what they have written."""
        growing = max(runners, key=lambda each: growth[each.session.id])
        if growth[growing.session.id] > GROWTH_MB / 2:
            await self._condemn(growing, why="full disk", text=NO_ROOM)
            return
        for runner in runners:
            if runner.name in hiding:
                await self._condemn(runner, why="full disk", text=NO_ROOM)

    async def _condemn(self, runner: Runner, *, why: str, text: str) -> None:
        _log.error("a runner is killed: %s", why, session=runner.session.id)
        self._metrics.violations.labels(why.replace(" ", "_")).inc()
        await self._containers.condemn(runner, text)

    def _failed(self, session_id: str, error: Exception) -> None:
        if self._seldom(f"{session_id} {error!r}"):
            # What the engine refuses is no fault of the code: where it was asked helps nobody.
            where = None if isinstance(error, BackendError) else error
            _log.error("a runner could not be seen to: %s", error, exc_info=where, session=session_id)


def _rests(runner: Runner) -> bool:
    session = runner.session
    return not session.pooled and session.oldest() is None and not session.lock.locked()


def _free_mb(folder: Path) -> float:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize / MIB
