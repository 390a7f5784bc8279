"""At most one container per session: woken, watched, ended, adopted after a restart of the service.

What a container is started with is the launcher's, and so are the reasons for which it cannot be started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from agent.protocol import bell, failpoint
from agent.protocol.clock import steady_ms
from agent.protocol.messages import MessageIn
from agent.protocol.settings import EXIT_BROKEN, EXIT_MISFIT, EXIT_UNUSABLE
from bot import log
from bot.admission import Admission
from bot.db import sessions as rows
from bot.db.engine import Database
from bot.delivery import Delivery
from bot.errors import GatewayError
from bot.launching import Launcher, NotNow
from bot.metrics import Metrics
from bot.presence import Presence
from bot.runner import Runner
from bot.session import Session
from bot.signals import Signal
from bot.specs import SESSION_LABEL
from bot.tries import Tries
from bot.turns import GAVE_UP, MISCONFIGURED, MISFIT, NO_ROOM, OUT_OF_MEMORY
from container.base import Backend, BackendError, BackendUnavailable, Exit

RETRY_SECONDS: Final = 2.0

_log = log.get("roost.containers")


class Containers:
    """Runs the agents. Its tasks live as long as `run`."""

    name = "containers"

    def __init__(
        self,
        db: Database,
        backend: Backend,
        delivery: Delivery,
        presence: Presence,
        launcher: Launcher,
        tries: Tries,
        admission: Admission,
        *,
        stop_grace_seconds: float,
        wake: Signal[str],
        metrics: Metrics,
    ) -> None:
        self._db = db
        self._backend = backend
        self._delivery = delivery
        self._presence = presence
        self._launcher = launcher
        self._grace = stop_grace_seconds
        self._tries = tries
        self._admission = admission
        self._wake = wake
        self._metrics = metrics
        self._seldom = log.Seldom()
        self._runners: dict[str, Runner] = {}

    def __iter__(self) -> Iterator[Runner]:
        return iter(list(self._runners.values()))

    def state(self, session_id: str) -> str:
        """In one word: working, idle, waiting for a place, or asleep."""
        runner = self._runners.get(session_id)
        if runner is None:
            return "waiting" if self._admission.waits(session_id) else "asleep"
        return "working" if runner.session.oldest() is not None else "idle"

    def of(self, session_id: str) -> Runner | None:
        """The living container of a session."""
        return self._runners.get(session_id)

    async def run(self) -> None:
        """Until cancelled. The containers themselves go on: the next service adopts them."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            watches = [runner.watch for runner in self if runner.watch is not None]
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
            for runner in self:
                await runner.bell.close()

    # ---------------------------------------------------------------- with the session's lock held

    def admit(self, session: Session) -> bool:
        """Whether there is a container, or a place for one, which is the session's from now on; else the session
        waits, and is woken when it has a place."""
        home = session.home
        return self._admission.enter(session.id, (home.channel, home.platform_id))

    def withdraw(self, session_id: str) -> None:
        """The session needs no container: it waits no longer, and gives back a place without one."""
        if session_id not in self._runners:
            self._admission.leave(session_id)

    async def wake(self, session: Session) -> bool:
        """Makes sure that somebody looks at the inbox: rings, or starts a container; False when the session has
        to wait for a place. Raises UnknownAgent, NotNow, Misconfigured, BackendError, GatewayError, OSError,
        DatabaseError."""
        runner = self._runners.get(session.id)
        if runner is not None:
            if runner.frozen:
                await self._unpause(runner)
            session.marks.woken("bell rung")
            runner.bell.ring(bell.Changed())
            return True
        self._launcher.agent(session.agent)
        if not self.admit(session):
            return False
        try:
            await self._start(session)
        except (NotNow, BackendUnavailable):
            self.withdraw(session.id)
            # Or the next service misses a container that there never was, and takes it for a try.
            await self._db.write(lambda db: rows.set_awake(db, session.id, False))
            raise
        except BaseException:
            self.withdraw(session.id)
            raise
        finally:
            if session.id not in self._runners:
                await self._launcher.close(session)
        return True

    async def _start(self, session: Session) -> None:
        ready = await self._launcher.prepare(session)
        await self._db.write(lambda db: rows.set_awake(db, session.id, True))
        failpoint.hit("awake-set")
        runner = await self._attach(session, ready.labels)
        session.marks.woken("container started")
        try:
            await self._backend.start(ready)
        except BaseException:
            await self._forget(runner)
            raise
        failpoint.hit("container-started")
        self._metrics.wakes.labels("start").inc()
        self._watch(runner)

    async def end(self, session: Session, *, grace_seconds: float = 0.0) -> None:
        """Ends the container and folds what it got done; what it did not is nobody's fault and uses up no
        try. Absent is success. Raises BackendError."""
        runner = self._runners.get(session.id)
        if runner is not None:
            await self._backend.stop(runner.name, grace_seconds=grace_seconds)
            failpoint.hit("container-stopped")
            await self._forget(runner)
            await self._delivery.collect(session)

    def superseded(self, runner: Runner) -> bool:
        """Whether its agent's settings have changed since it was started, or the agent is gone: it is only there to
        finish its turn."""
        return self._launcher.is_superseded(runner.session.agent, runner.labels)

    def works_on(self, runner: Runner) -> MessageIn | None:
        """The oldest message that it has to answer. What one that is to be replaced was not shown is for the next."""
        return runner.session.oldest(posted=runner.outdated or self.superseded(runner))

    async def renew(self, session: Session) -> None:
        """Ends a container that was started with other settings than the agent has now, unless it is at work; one of
        an agent that was deleted since in any case. Whoever is woken next has those of now. Raises BackendError."""
        runner = self._runners.get(session.id)
        if runner is None or not self.superseded(runner):
            return
        # Of an agent that was gone before this service began nobody has said that it is to stop at once.
        may_finish = self._launcher.knows(session.agent) or runner.outdated
        if may_finish and self.works_on(runner) is not None:
            return
        _log.info("a container is replaced: its agent is set otherwise by now", session=session.id)
        await self.end(session, grace_seconds=self._grace)

    async def freeze(self, session: Session) -> bool:
        """Pauses an idle container once it has let go of inbound.db: a paused one would keep its locks.
        False when it is busy. Raises BackendError."""
        runner = self._runners.get(session.id)
        if runner is None or runner.frozen or session.oldest() is not None:
            return False
        if not await runner.let_go():
            return False
        # Whoever does not answer may have paused it all the same, and to thaw one that is not paused does no harm.
        runner.frozen = True
        try:
            await self._backend.freeze(runner.name, frozen=True)
        except BackendUnavailable:
            raise
        except BackendError:
            runner.frozen = False
            raise
        return True

    async def thaw(self, session: Session) -> None:
        """Lets a paused container go on: it may hold a lock. Absent is success; where the
        engine is away it stays paused, and whoever wakes it tries again."""
        runner = self._runners.get(session.id)
        if runner is not None:
            await self._thaw(runner)

    # ---------------------------------------------------------------- without it

    async def stop(self, session_id: str, *, if_idle: bool = False) -> None:
        """Asks the session's container to leave and returns when it is gone; what it leaves undone is begun
        again. Absent is success. Raises BackendError."""
        runner = self._runners.get(session_id)
        if runner is None:
            return
        session = runner.session
        async with session.lock:
            if not (if_idle and self.works_on(runner) is not None):
                await self.end(session, grace_seconds=self._grace)
        self._wake(session_id)

    async def stop_idle(self) -> None:
        """Ends every container that has nothing to do. Raises BackendError."""
        await asyncio.gather(*(self.stop(runner.session.id, if_idle=True) for runner in self))

    async def fail(self, runner: Runner) -> None:
        """Kills a container that is stuck, which is a failure like any other. Raises BackendError."""
        await self._backend.stop(runner.name, grace_seconds=0)

    async def condemn(self, runner: Runner, text: str) -> None:
        """Kills a container for what it does; what it works on is given up, and `text` is said. Raises
        BackendError."""
        runner.condemned = text
        await self._backend.stop(runner.name, grace_seconds=0)

    async def interrupt(self, session: Session, turn_id: str | None) -> None:
        """Tells the runner to stop its turn at once; the row in its inbox says the same."""
        runner = self._runners.get(session.id)
        if runner is not None:
            runner.bell.ring(bell.InterruptTurn(turn_id=turn_id))

    async def awake(self) -> dict[str, Mapping[str, str] | None]:
        """The sessions that are awake, with the labels of their living containers; None: it has none. A
        container of a session that is not awake is nobody's and is stopped. Raises BackendError, DatabaseError."""
        programs = await self._backend.running()
        # Asked for afterwards: whoever was woken in between is awake by now.
        found: dict[str, Mapping[str, str] | None] = dict.fromkeys(await self._db.read(rows.awake))
        for program in programs:
            session_id = program.labels.get(SESSION_LABEL)
            if session_id is None:
                # One that removes something, and is gone when it has.
                continue
            if session_id in found and program.name == self._launcher.name_of(session_id):
                found[session_id] = program.labels
            elif session_id not in self._runners or program.name != self._launcher.name_of(session_id):
                _log.warning("a container that belongs to nobody is stopped: %s", program.name)
                await self._backend.stop(program.name, grace_seconds=self._grace)
        return found

    async def adopt(self, session: Session, labels: Mapping[str, str] | None) -> None:
        """Takes over a session that an earlier service left awake: binds its bell and watches it, or, where
        `labels` is None because it has no container any more, deals with its end. Raises BackendError."""
        async with session.lock:
            if session.id in self._runners:
                return
            if labels is not None and await self._take_on(session, labels):
                failpoint.hit("session-adopted")
                self._metrics.wakes.labels("adopt").inc()
                self._delivery.kick(session.id)
            else:
                with suppress(OSError):
                    # Whoever listened there was killed.
                    session.workspace.bell.unlink()
                await self._delivery.collect(session)
                await self._tries.used_up(session, why="its container was gone when the service came back")
        self._wake(session.id)

    async def _take_on(self, session: Session, labels: Mapping[str, str]) -> bool:
        try:
            await self._launcher.open(session)
            runner = await self._attach(session, labels)
        except (OSError, GatewayError) as exc:
            _log.error("a container cannot be adopted and is killed: %s", exc, session=session.id)
            await self._backend.stop(self._launcher.name_of(session.id), grace_seconds=0)
            return False
        self._admission.adopt(session.id)
        runner.outdated = self._launcher.is_outdated(session, labels)
        self._watch(runner)
        session.marks.woken("container adopted")
        # An earlier service may have paused it, and without a bell nobody would know.
        runner.frozen = True
        await self._thaw(runner)
        return True

    async def _thaw(self, runner: Runner) -> None:
        try:
            await self._unpause(runner)
        except BackendUnavailable as exc:
            _log.warning("a container stays paused for now: %s", exc, session=runner.session.id)

    async def _unpause(self, runner: Runner) -> None:
        """Raises BackendUnavailable."""
        try:
            await self._backend.freeze(runner.name, frozen=False)
            runner.frozen = False
        except BackendUnavailable:
            raise
        except BackendError as exc:
            # It has ended, which its watch sees to.
            _log.info("a container could not be thawed: %s", exc, session=runner.session.id)

    async def _attach(self, session: Session, labels: Mapping[str, str]) -> Runner:
        now = steady_ms()
        hung = bell.BellHost(session.workspace.bell, lambda frame: self._heard(session, frame))
        await hung.listen()
        failpoint.hit("bell-hung")
        runner = Runner(
            session,
            self._launcher.name_of(session.id),
            hung,
            heard_at=now,
            idle_since=now,
            admitted_at=now,
            labels=labels,
        )
        self._runners[session.id] = runner
        self._metrics.awake_sessions.set(len(self._runners))
        return runner

    async def _forget(self, runner: Runner) -> None:
        del self._runners[runner.session.id]
        self._metrics.awake_sessions.set(len(self._runners))
        self._admission.leave(runner.session.id)
        await self._launcher.close(runner.session)
        await runner.bell.close()

    def _watch(self, runner: Runner) -> None:
        runner.watch = asyncio.create_task(self._until_exit(runner), name=f"watch {runner.name}")

    async def _until_exit(self, runner: Runner) -> None:
        with log.context(session=runner.session.id):
            await self._see_to_its_end(runner)

    async def _see_to_its_end(self, runner: Runner) -> None:
        ended = await self._exit_of(runner)
        failpoint.hit("container-ended")
        _log.info("container ended", session=runner.session.id, code=ended.code)
        while True:
            try:
                return await self._ended(runner, ended)
            except Exception as exc:
                if self._seldom(repr(exc)):
                    _log.exception(
                        "the end of a container could not be dealt with", session=runner.session.id
                    )
                await asyncio.sleep(RETRY_SECONDS)

    async def _exit_of(self, runner: Runner) -> Exit:
        while True:
            try:
                return await self._backend.wait(runner.name)
            except BackendError as exc:
                _log.error("a container could not be watched: %s", exc, session=runner.session.id)
            try:
                if runner.name not in {program.name for program in await self._backend.running()}:
                    return Exit(None)
            except BackendError as exc:
                _log.error("containers cannot be listed: %s", exc)
            await asyncio.sleep(RETRY_SECONDS)

    async def _ended(self, runner: Runner, ended: Exit) -> None:
        """Folds what the container got done, and sees to what it left undone. A message that was posted
        while the agent was leaving is found here."""
        session = runner.session
        async with session.lock:
            if self._runners.get(session.id) is not runner:
                return  # It was ended on purpose, and whoever did that has seen to the rest.
            await self._delivery.collect(session)
            failpoint.hit("end-collected")
            if hopeless := runner.condemned or _hopeless(ended):
                _log.error("another try would end the same way: %s", hopeless, session=session.id)
                asking = [message for message in session.unfinished.values() if message.trigger]
                await self._tries.give_up(session, asking, hopeless)
            elif not (ended.clean and runner.leave_by is not None):
                code = "unknown" if ended.code is None else ended.code
                why = f"its container ended, exit code {code}" + (f": {ended.why}" if ended.why else "")
                await self._tries.used_up(
                    session, clean=ended.clean, why=why, text=await _why(session, ended)
                )
            await self._forget(runner)
            if not ended.clean:
                # It may have ended over a file that is damaged; the next post looks at it anew.
                session.doubted = ended.code == EXIT_BROKEN
                await session.close()
        self._wake(session.id)

    def _heard(self, session: Session, frame: bell.AgentFrame) -> None:
        runner = self._runners.get(session.id)
        if runner is None:
            return
        runner.heard_at = steady_ms()
        first_words_after = session.marks.heard(frame)
        if first_words_after is not None:
            self._metrics.first_delta_seconds.observe(first_words_after)
        self._admission.started(session.id)
        match frame:
            case bell.Changed():
                failpoint.hit("outbound-changed")
                self._delivery.kick(session.id)
            case bell.LiveText():
                self._presence.live(session, frame)
            case bell.Activity():
                self._presence.activity(session, frame)
            case bell.Quiet():
                runner.said(frame)


def _hopeless(ended: Exit) -> str | None:
    """What to say of an end that the next one would be like."""
    return {EXIT_UNUSABLE: MISCONFIGURED, EXIT_MISFIT: MISFIT}.get(ended.code or 0)


async def _why(session: Session, ended: Exit) -> str:
    """What to say when that was the last try."""
    if ended.why:
        return OUT_OF_MEMORY
    return NO_ROOM if not ended.clean and await session.is_full() else GAVE_UP
