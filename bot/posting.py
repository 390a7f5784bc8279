"""Posting: what was accepted goes into the session's inbox, and somebody is woken to read it.

Whatever is wrong with a session's files is put right here and nowhere else, in the session's own lane.
"""

from __future__ import annotations

import sqlite3
import uuid
from typing import Final

from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.mailbox import MailboxBroken, MailboxBusy, MailboxError, MailboxFull, MailboxGone
from agent.protocol.messages import MessageIn, SetModel
from bot import log, withdrawals
from bot.actions import tell
from bot.clearing import Clearing
from bot.containers import Containers
from bot.db import deliveries, inbox, problems
from bot.db.engine import Database
from bot.delivery import Delivery
from bot.errors import DatabaseError, GatewayError
from bot.lanes import Lanes
from bot.launching import Misconfigured, NotNow, UnknownAgent
from bot.metrics import Metrics
from bot.presence import Presence
from bot.redaction import redact
from bot.salvage import Salvage
from bot.session import Session
from bot.sessions import Sessions, UnknownSession
from bot.signals import Signal
from bot.tries import Tries
from container.base import BackendError, BackendUnavailable

BUSY_ATTEMPTS: Final = 3
RETRY_SECONDS: Final = 2.0
NOT_NOW_SECONDS: Final = 5.0
"""How soon a start is tried again that waits for something outside of this service."""
LOST: Final = "The folder of this conversation was removed. I go on with a fresh memory; its files are gone."
NO_ROOM: Final = (
    "The disk of this conversation is full: what you write is kept, and answered when an admin has made room."
)
BEHIND: Final = (
    "Many of my replies could not be delivered here yet. What you write is kept, and answered afterwards."
)
NOT_STARTED: Final = (
    "Sorry, I could not answer this: the agent could not be started in {tries} tries."
    " An admin finds the reason in the log."
)
NOT_NOW: Final = (
    "I cannot start right now: {reason}. What you write is kept, and answered as soon as that is over."
)
CANNOT_START: Final = (
    "Sorry, I could not answer this: the agent cannot be started as it is configured."
    " An admin finds the reason with /status."
)
NOT_STARTABLE: Final = "The agent cannot be started"
NO_AGENT: Final = "Sorry, I could not answer this: there is no agent {agent} any more."

_log = log.get("roost.posting")


class Posting:
    """One lane per session."""

    name = "posting"

    def __init__(
        self,
        db: Database,
        sessions: Sessions,
        containers: Containers,
        delivery: Delivery,
        presence: Presence,
        tries: Tries,
        salvage: Salvage,
        clearing: Clearing,
        *,
        wake: Signal[str],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._db = db
        self._sessions = sessions
        self._containers = containers
        self._delivery = delivery
        self._presence = presence
        self._tries = tries
        self._salvage = salvage
        self._clearing = clearing
        self._metrics = metrics
        self._clock = clock
        self._seldom = log.Seldom()
        self._lanes: Lanes[str] = Lanes("posting", self._work, self._failed)
        wake.connect(self.kick)

    async def run(self) -> None:
        """Until cancelled."""
        await self._lanes.run()

    def kick(self, session_id: str) -> None:
        """The session has something to post, or somebody to wake."""
        self._lanes.kick(session_id)

    async def settle(self, session_id: str) -> None:
        """Returns when nothing is being posted for the session."""
        await self._lanes.settle(session_id)

    async def _work(self, session_id: str) -> None:
        waits = False
        with log.context(session=session_id):
            try:
                session = await self._sessions.get(session_id)
                async with session.lock:
                    waits = await self._tend(session)
            except UnknownSession:
                return
            finally:
                if not waits:
                    self._containers.withdraw(session_id)

    async def _tend(self, session: Session) -> bool:
        """True when the session has to wait for a place."""
        if self._sessions.loaded(session.id) is not session:
            # It was let go while this waited for the lock, and only one may write into its files.
            self._lanes.kick(session.id)
            return False
        if session.damage is not None:
            if session.sending:
                # Delivery wakes the session when that has arrived: nothing may be sent and kept at once.
                return False
            await self._replace(session, session.damage)
        if self._containers.of(session.id) is None and not session.recover:
            # With an outbox that cannot be read yet, an agent may have answered what was withdrawn.
            await self._settle_withdrawn(session)
        await self._containers.renew(session)
        self._let_through(session)
        if self._needs_a_runner(session) and not self._containers.admit(session):
            # Its files are not even opened: a thousand who wait must not keep the disk from those who work.
            return True
        await self._post(session)
        if session.doubted:
            # inbound.db has just been found whole.
            session.doubted, session.unusable = False, True
        if session.unusable:
            self._delivery.kick(session.id)
            return False
        return await self._wake(session)

    def _needs_a_runner(self, session: Session) -> bool:
        oldest = session.oldest()
        if session.doubted or session.unusable or (session.behind and not session.recover):
            return False
        return session.recover or (oldest is not None and oldest.process_after is None)

    def _let_through(self, session: Session) -> None:
        """Once its time has come a message is no more held back, by nobody's clock."""
        oldest = session.oldest()
        if oldest is not None and oldest.process_after is not None and not self._tries.waits_ms(oldest):
            session.let_through(oldest)
            self._db.later(lambda db: inbox.retry(db, oldest.id, tries=oldest.tries, process_after=None))
            self._delivery.kick(session.id)

    async def _settle_withdrawn(self, session: Session) -> None:
        if await withdrawals.settle(session, self._db, now=self._clock()):
            self._delivery.kick(session.id)

    async def _post(self, session: Session) -> None:
        for _ in range(BUSY_ATTEMPTS):
            try:
                await self._sessions.ready(session)
                runner = self._containers.of(session.id)
                self._posted(
                    await session.post(
                        outdated=runner is not None and runner.outdated,
                        superseded=runner is not None and self._containers.superseded(runner),
                    )
                )
                session.said_full = False
                return
            except MailboxFull:
                if not session.said_full:
                    await self._say(session, NO_ROOM)
                    session.said_full = True
                raise
            except MailboxBusy:
                # A paused container keeps the locks that it had.
                await self._containers.thaw(session)
            except (MailboxGone, MailboxBroken) as exc:
                await self._rebuild(session, str(exc))
                return
        _log.error("a container holds a lock on its inbox and is killed", session=session.id)
        self._metrics.violations.labels("inbound_lock").inc()
        # Whoever else may hold one holds it on a file that nobody will use any more.
        await self._rebuild(session, "it is locked")

    async def _rebuild(self, session: Session, why: str) -> None:
        """inbound.db cannot be used: bot.db has all that was in it."""
        _log.error("inbound.db is made anew: %s", why, session=session.id)
        await self._containers.end(session)
        if await session.lost():
            await self._say(session, LOST)
            await self.repeat_model(session)
        await self._sessions.rebuild(session)

    async def _replace(self, session: Session, why: str) -> None:
        """outbound.db is not what an agent writes: what reads well of it is kept, it is put aside, and said so. What
        the agent was to answer is asked again, which counts: it may be what brings the agent to do this."""
        _log.error("outbound.db is put aside: %s", why, session=session.id)
        alive = self._containers.of(session.id) is not None
        await self._containers.end(session)
        await self._salvage.keep(session, why)
        too_old = await session.put_aside(str(self._clock()))
        failpoint.hit("outbox-put-aside")
        for folder in too_old:
            await self._clearing.remove(folder)
        self._delivery.kick(session.id)
        await self.repeat_model(session)
        if alive:  # Otherwise its end was counted already.
            await self._tries.used_up(session, why="outbound.db was damaged")

    async def repeat_model(self, session: Session) -> None:
        """The agent has forgotten which model people chose; bot.db has not, and says so to whoever asks. Raises
        DatabaseError."""
        now, event_id = self._clock(), f"roost:{uuid.uuid4().hex}"

        def repeat(db: sqlite3.Connection) -> MessageIn | None:
            chosen = inbox.model(db, session.id)
            order = SetModel(model=chosen)
            return None if chosen is None else tell(db, session.id, order, event_id=event_id, now=now)

        row = await self._db.write(repeat)
        if row is not None:
            session.add(row)
            self._lanes.kick(session.id)

    async def _hold_back(self, session: Session) -> None:
        """Delivery wakes the session when it has caught up."""
        if not session.said_behind:
            _log.warning("nobody is woken: too much waits for its delivery", session=session.id)
            session.said_behind = True
            if not await self._db.read(lambda db: deliveries.is_waiting(db, session.id, BEHIND)):
                await self._say(session, BEHIND)

    async def _say(self, session: Session, text: str) -> None:
        route, now = session.place, self._clock()
        await self._db.write(lambda db: deliveries.add_notice(db, session.id, route, text, now=now))
        session.notice_waits()
        self._delivery.kick(session.id)

    async def _wake(self, session: Session) -> bool:
        """True when the session has to wait for a place."""
        oldest = session.oldest()
        if oldest is not None and oldest.process_after is not None:
            self._lanes.kick_later(session.id, self._tries.waits_ms(oldest) / 1000)
            return False
        asleep = self._containers.of(session.id) is None
        if asleep and oldest is None and not session.recover:
            # What asks for no turn is there when the next one begins.
            return False
        if asleep and session.behind and not session.recover:
            await self._hold_back(session)
            return False
        try:
            if not await self._containers.wake(session):
                return True
        except UnknownAgent:
            session.recover = False
            asking = [message for message in session.unfinished.values() if message.trigger]
            await self._tries.give_up(session, asking, NO_AGENT.format(agent=session.agent))
        except Misconfigured as exc:
            session.recover = False
            await self._report(session, str(exc))
        except DatabaseError:
            raise
        except (NotNow, BackendUnavailable) as exc:
            # Nobody's fault that a try could be counted for: it will do as soon as what is away is back.
            await self._put_off(session, str(exc))
        except Exception as exc:  # Whatever a start runs into uses up a try: somebody waits for an answer.
            foreseen = isinstance(exc, BackendError | GatewayError | OSError)
            _log.error(
                "a container could not be started: %s",
                exc,
                exc_info=None if foreseen else exc,
                session=session.id,
            )
            await self._tries.used_up(session, text=NOT_STARTED, why=f"no container could be started: {exc}")
            self._lanes.kick_later(session.id, 0 if session.oldest() is not None else RETRY_SECONDS)
        else:
            session.put_off = False
            session.recoveries += asleep and session.recover
            if oldest is not None:
                self._presence.working(session, oldest.route, on=True)
        return False

    async def _report(self, session: Session, reason: str) -> None:
        """Another try would come to the same: those who ask are told at once, and an admin is told why."""
        _log.error("the agent %s cannot be started: %s", session.agent, reason)
        self._metrics.reports.labels(session.agent).inc()
        self._metrics.agent_problem.labels(session.agent).set(1)
        now = self._clock()
        await self._db.write(
            lambda db: problems.report(
                db, session.agent, session.id, NOT_STARTABLE, redact(reason), turn_id=None, now=now
            )
        )
        asking = [message for message in session.unfinished.values() if message.trigger]
        await self._tries.give_up(session, asking, CANNOT_START)

    async def _put_off(self, session: Session, reason: str) -> None:
        if self._seldom(reason):
            _log.error("containers cannot be started for now: %s", reason)
        if not session.put_off and session.oldest() is not None:
            session.put_off = True
            await self._say(session, NOT_NOW.format(reason=reason.rstrip(".?!")))
        self._lanes.kick_later(session.id, NOT_NOW_SECONDS)

    def _posted(self, ids: list[str]) -> None:
        if ids:
            self._db.later(lambda db: inbox.posted(db, ids))

    def _failed(self, session_id: str, error: Exception) -> None:
        if isinstance(error, DatabaseError | MailboxError | OSError):
            if self._seldom(str(error)):
                _log.error("posting waits: %s", error, session=session_id)
        elif self._seldom(f"{session_id} {error!r}"):
            _log.error("posting failed; trying again", exc_info=error, session=session_id)
        self._lanes.kick_later(session_id, RETRY_SECONDS)
