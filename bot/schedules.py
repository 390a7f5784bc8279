"""Schedules: runs each series when it is due."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar

from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import Route
from bot import firing, log, planning
from bot.budgets import Budgets
from bot.config_tables import SchedulesConfig
from bot.db import audit, series
from bot.db import sessions as rows
from bot.db.audit import SERVICE, Actor
from bot.db.engine import Database
from bot.db.series import Draft, SeriesRecord
from bot.delivery import Delivery
from bot.errors import CommandFailed, DatabaseError
from bot.firing import Fired
from bot.posting import Posting
from bot.sessions import Sessions
from bot.signals import Signal

LOOK_SECONDS: Final = 30.0
"""A wall clock can be set, and a machine can sleep: no wait for a due time is longer than this."""
RETRY_SECONDS: Final = 2.0
AT_ONCE: Final = 100
"""How many series are fired together; they share a commit."""
BROKEN: Final = (
    "The schedule {id} is paused: Roost cannot tell when it is due next."
    " Cancel it and create it again, or ask an admin, who finds the reason in the log."
)

T = TypeVar("T")
_log = log.get("roost.schedules")


class Schedules:
    """The series of all sessions, and the timer for the one that is due next."""

    name = "schedules"

    def __init__(
        self,
        db: Database,
        sessions: Sessions,
        posting: Posting,
        delivery: Delivery,
        config: SchedulesConfig,
        *,
        budgets: Budgets | None = None,
        changed: Signal[str] | None = None,
        clock: Clock,
    ) -> None:
        """Whoever changes series elsewhere says so by `changed`, with the session's id. What `budgets` refuse is not
        run for now."""
        self._db = db
        self._sessions = sessions
        self._posting = posting
        self._delivery = delivery
        self.config = config
        self._budgets = budgets
        self._clock = clock
        self._seldom = log.Seldom()
        self._changed = asyncio.Event()
        if changed is not None:
            changed.connect(self.have_changed)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            try:
                wait_seconds = await self._turn()
            except DatabaseError as exc:
                if self._seldom(str(exc)):
                    _log.error("schedules wait for bot.db: %s", exc)
                wait_seconds = RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait()

    async def create(
        self, session_id: str, draft: Draft, *, place: Route | None = None, by: Actor = SERVICE
    ) -> SeriesRecord:
        """Keeps a series, whose runs are asked for at `place`; None: where its conversation is. Raises
        DatabaseError."""
        now = self._clock()

        def work(db: sqlite3.Connection) -> SeriesRecord:
            made = series.create(db, session_id, draft, now=now, place=place)
            _audit(db, by, "schedule create", made.id, now, before=None)
            return made

        made = await self._db.write(work)
        self.have_changed(session_id)
        return made

    async def pause(self, series_id: str, *, by: Actor = SERVICE) -> None:
        """It is not run until it is resumed. Raises CommandFailed, DatabaseError."""
        await self._change(series_id, planning.pause, by, "schedule pause")

    async def resume(self, series_id: str, *, by: Actor = SERVICE) -> int:
        """It goes on; returns when. What it missed meanwhile is not run. Raises CommandFailed, DatabaseError."""
        now = self._clock()
        resumed = await self._change(
            series_id, lambda db, _: planning.resume(db, series_id, now=now), by, "schedule resume"
        )
        return resumed.next_at or now

    async def cancel(self, series_id: str, *, by: Actor = SERVICE) -> None:
        """It never runs again; a run under way is finished. Raises CommandFailed, DatabaseError."""
        await self._change(series_id, planning.cancel, by, "schedule cancel")

    async def run_now(self, series_id: str, *, by: Actor = SERVICE) -> None:
        """Runs it once more, now. Raises CommandFailed, DatabaseError."""
        now = self._clock()

        def work(db: sqlite3.Connection) -> Fired | None:
            fired = firing.fire_now(db, series_id, now=now, budgets=self._budgets)
            if fired is not None:
                _audit(db, by, "schedule run", series_id, now, before=None)
            return fired

        fired = await self._db.write(work)
        if fired is None:
            raise CommandFailed(f"Schedule {series_id} has ended.")
        self.hand_over(fired)
        if not fired.messages:
            raise CommandFailed(f"Schedule {series_id} is not run now: a budget is used up.")

    async def _change(
        self, series_id: str, work: Callable[[sqlite3.Connection, str], T], by: Actor, action: str
    ) -> T:
        now = self._clock()

        def change(db: sqlite3.Connection) -> tuple[T, str | None]:
            before = series.get(db, series_id)
            changed = work(db, series_id)
            _audit(db, by, action, series_id, now, before=before)
            return changed, series.session_of(db, series_id)

        changed, session_id = await self._db.write(change)
        if session_id is not None:
            self.have_changed(session_id)
        return changed

    def have_changed(self, session_id: str) -> None:
        """The series of a session are others now: its agent is to know, and the next one due may be one of them."""
        self._sessions.schedules_changed(session_id)
        self._changed.set()

    async def _turn(self) -> float:
        """Fires what is due, and returns for how many seconds nothing else will be. Raises DatabaseError."""
        now = self._clock()
        due = await self._db.read(lambda db: series.due(db, now, AT_ONCE))
        await asyncio.gather(*(self._fire(series_id, now) for series_id in due))
        next_at = await self._db.read(series.next_due)
        if next_at is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0, next_at - self._clock()) / 1000)

    async def _fire(self, series_id: str, now: int) -> None:
        most = self.config.catch_up_max
        try:
            fired = await self._db.write(
                lambda db: firing.fire(db, series_id, now=now, catch_up_max=most, budgets=self._budgets)
            )
        except DatabaseError:
            raise
        except Exception:
            # A pattern that was kept may not be understood any more: time zones come and go.
            _log.exception("a schedule is paused: it could not be run", series=series_id)
            await self._set_aside(series_id, now)
            return
        failpoint.hit("run-committed")
        if fired is not None:
            self.hand_over(fired)

    async def _set_aside(self, series_id: str, now: int) -> None:
        session_id = await self._db.write(lambda db: _set_aside(db, series_id, now))
        if session_id is None:
            return
        self._sessions.schedules_changed(session_id)
        session = self._sessions.loaded(session_id)
        if session is not None:
            session.notice_waits()
        self._delivery.kick(session_id)

    def hand_over(self, fired: Fired) -> None:
        """What was just run, and is committed, goes to its agent."""
        # No await may stand between the commit and this: a session takes its messages in their order.
        for message in fired.messages:
            self._sessions.accepted(fired.record, message)
        self._sessions.schedules_changed(fired.record.id)
        if fired.messages:
            self._posting.kick(fired.record.id)


def _set_aside(db: sqlite3.Connection, series_id: str, now: int) -> str | None:
    """The session to tell. A row that cannot even be read is paused all the same."""
    session_id = series.session_of(db, series_id)
    if session_id is None or not series.pause(db, series_id):
        return None
    series.say(db, session_id, BROKEN.format(id=series_id), now=now)
    return session_id


def _audit(
    db: sqlite3.Connection, by: Actor, action: str, series_id: str, now: int, *, before: SeriesRecord | None
) -> None:
    after = series.get(db, series_id)
    record = None if after is None else rows.get(db, after.session)
    audit.record(
        db, by, action, f"schedule:{series_id}", now=now, agent=None if record is None else record.agent,
        before=None if before is None else _told(before), after=None if after is None else _told(after),
    )  # fmt: skip


def _told(found: SeriesRecord) -> dict[str, str]:
    return {
        "status": found.status,
        "when": found.when.describe(),
        "prompt": found.prompt,
        "session": found.session,
    }
