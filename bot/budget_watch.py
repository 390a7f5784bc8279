"""The watch over budgets: what they have to say goes out, and what they have refused is answered when there is room."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Literal

from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import ChatIn, TaskIn
from bot import firing, log, money
from bot.budgets import Budgets
from bot.cards import Cards
from bot.db import budgets as rows
from bot.db import inbox, usage
from bot.db import sessions as session_rows
from bot.db.budgets import Kept
from bot.db.engine import Database
from bot.db.inbox import Accepted
from bot.errors import DatabaseError
from bot.files import discard
from bot.firing import Fired
from bot.metrics import Metrics
from bot.money import Whose
from bot.posting import Posting
from bot.schedules import Schedules
from bot.sessions import Sessions

LOOK_SECONDS: Final = 10.0
WAITING_SECONDS: Final = 1.0
"""How soon it is looked again whether there is room for what waits: a turn that ends gives some back."""
PERIODS_DAYS: Final = 62

_log = log.get("roost.budgets")


class BudgetWatch:
    """One loop, for all of them."""

    name = "budgets"

    def __init__(
        self,
        db: Database,
        budgets: Budgets,
        cards: Cards,
        sessions: Sessions,
        posting: Posting,
        schedules: Schedules,
        *,
        incoming: Path,
        keep_days: int,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """`incoming` has the files of messages that wait; `keep_days` is for how long usage is known."""
        self._db = db
        self._budgets = budgets
        self._cards = cards
        self._sessions = sessions
        self._posting = posting
        self._schedules = schedules
        self._incoming = incoming
        self._keep_days = keep_days
        self._metrics = metrics
        self._clock = clock
        self._pruned = ""
        self._seldom = log.Seldom()

    async def run(self) -> None:
        """Until cancelled."""
        due = self._budgets.due
        while True:
            due.clear()
            waiting = True
            try:
                waiting = await self.look()
            except (DatabaseError, OSError) as exc:
                if self._seldom(str(exc)):
                    _log.error("budgets wait: %s", exc)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAITING_SECONDS if waiting else LOOK_SECONDS):
                    await due.wait()

    async def look(self) -> bool:
        """Does what can be done now; True while messages wait. Raises DatabaseError, OSError."""
        self._cards.deliver(await self._budgets.said())
        kept = await self._db.read(rows.kept)
        left = [each for each in kept if await self._answer(each) == "waits"]
        self._metrics.budget_kept.set(len(left))
        await self._prune()
        return bool(left)

    async def _answer(self, kept: Kept) -> Literal["waits", "answered", "over"]:
        def work(db: sqlite3.Connection) -> Accepted | Fired | Literal["waits", "over"]:
            return self._accept(db, kept)

        found = await self._db.write(work)
        match found:
            case Accepted():
                failpoint.hit("kept-accepted")
                self._sessions.accepted(found.record, found.message)
                self._posting.kick(found.record.id)
                return "answered"
            case Fired():
                self._schedules.hand_over(found)
                return "answered"
            case "over":
                await asyncio.to_thread(discard, (), self._incoming / kept.message_id)
        return found

    def _accept(self, db: sqlite3.Connection, kept: Kept) -> Accepted | Fired | Literal["waits", "over"]:
        """Accepts it where there is room now, in this transaction. Once its period has ended it is over."""
        now = self._clock()
        record = session_rows.get(db, kept.session)
        if now >= kept.expires_at or record is None:
            rows.let_go(db, kept.message_id)
            return "over"
        whose = Whose(kept.agent, (kept.route.channel, kept.route.platform_id), kept.person)
        if not self._budgets.has_room(db, whose):
            return "waits"
        if not rows.let_go(db, kept.message_id):
            return "over"
        if kept.kind == "task":
            task = TaskIn.model_validate_json(kept.content)
            fired = firing.fire_now(db, task.series or "", now=now, budgets=self._budgets)
            return "over" if fired is None else fired
        self._budgets.reserve(db, kept.message_id, whose)
        message = inbox.accept(
            db,
            record,
            message_id=kept.message_id,
            event_id=kept.event_id,
            kind="chat",
            content=ChatIn.model_validate_json(kept.content),
            route=kept.route,
            created_at=kept.created_at,
            now=now,
            sender_id=kept.sender_id,
        )
        return Accepted(record, message)

    async def _prune(self) -> None:
        """Once a day, what nobody asks for any more is forgotten."""
        today = money.day_of(self._clock())
        if today == self._pruned:
            return
        before = (date.fromisoformat(today) - timedelta(self._keep_days)).isoformat()
        periods = (date.fromisoformat(today) - timedelta(PERIODS_DAYS)).isoformat()
        self._db.later(partial(usage.forget, before=before))
        self._db.later(partial(rows.forget, before=periods))
        self._pruned = today
