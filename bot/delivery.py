"""Delivery: what a container wrote goes to the channel that asked, is recorded, and is told to the agent.

Replies are read as hostile bytes, checked against the routes that the session may address, and sent part by
part; each part is recorded when the platform has taken it, so that a retry goes on where it stopped. Acks are
folded on the way: they ride with the first record and need no sync of their own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from adapters.base import Outgoing, Settled
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import (
    ActionOut,
    ActionResult,
    AskQuestion,
    ChatOut,
    MessageIn,
    MessageOut,
    Receipt,
    Route,
    Used,
)
from agent.protocol.snapshot import Busy, HotJournal, Missing, Snapshot, SnapshotError
from bot import backlog, destinations, folding, log, outgoing
from bot.actions import MAX_UNREAD, Actions, tell
from bot.allowance import Allowance, Rate
from bot.db import deliveries, inbox, problems
from bot.db.engine import Database
from bot.errors import DatabaseError
from bot.folding import Fold
from bot.lanes import Lanes
from bot.metrics import Metrics
from bot.presence import Presence
from bot.sending import Aside, Sending
from bot.session import Session
from bot.sessions import Sessions, UnknownSession
from bot.signals import Signal

MAX_RECOVERIES: Final = 3
"""How often an agent is started to recover outbound.db before it counts as damaged."""
MAX_AHEAD_MS: Final = 24 * 3_600_000
"""A reply may ask to be sent so much later. One that asks for more is sent at once: it would keep its session awake
for ever."""
RECEIPTS_TOGETHER: Final = 100
"""So many that the agent was not told of are reason enough for a post of their own."""
VAIN_LOOKS: Final = 20
FIRST_PAUSE_SECONDS: Final = 0.002
RETRY_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 60.0
"""What waits for a time on the clock is looked at again after this long at the latest."""

TOO_MUCH: Final = "this conversation says too much"
NOTHING: Final = Snapshot((), (), None, (), 0)

_log = log.get("roost.delivery")


class Metered(Protocol):
    """What turns cost, as far as delivery has to do with it."""

    def claimed(self, session: Session, folded: Fold, claims: Sequence[Used]) -> None:
        """What a runner says of turns that have ended."""

    def footer(self, session: Session, turn_id: str, route: Route) -> str | None:
        """One line about a turn beneath its answer in a place; None where none is wanted, or nothing is known."""


class Delivery:
    """One lane per session: order within it, and a stuck channel holds up nobody else."""

    name = "delivery"

    def __init__(
        self,
        db: Database,
        sessions: Sessions,
        sending: Sending,
        presence: Presence,
        actions: Actions,
        charges: Metered,
        *,
        max_file_bytes: int,
        rate: Rate,
        wake: Signal[str],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._db = db
        self._sessions = sessions
        self._sending = sending
        self._presence = presence
        self._actions = actions
        self._charges = charges
        self._max_file_bytes = max_file_bytes
        self._rate = rate
        self._wake = wake
        self._metrics = metrics
        self._clock = clock
        self._seldom = log.Seldom()
        self._lanes: Lanes[str] = Lanes("delivery", self._work, self._failed)

    async def run(self) -> None:
        """Until cancelled."""
        await self._lanes.run()

    def kick(self, session_id: str) -> None:
        """The session's outbound.db has something new, or a notice waits."""
        self._lanes.kick(session_id)

    def kick_at(self, session_id: str, at: int) -> None:
        """The same at a time on the clock."""
        # The clock may be set meanwhile.
        self._lanes.kick_later(session_id, min(LOOK_SECONDS, max(0, at - self._clock()) / 1000))

    def present(self, channel: str, platform_id: str) -> None:
        """Somebody is there again; whoever has something for this place is to be kicked."""
        self._sending.present(channel, platform_id)

    async def settle(self, session_id: str) -> None:
        """Returns when nothing is being delivered for the session."""
        await self._lanes.settle(session_id)

    def idle(self, session_id: str) -> bool:
        """Whether there is nothing to be done for the session, as far as is known."""
        return self._lanes.idle(session_id)

    async def collect(self, session: Session) -> None:
        """Folds what an ended container got done; its replies follow in the session's lane. To be called with
        the session's lock held."""
        # What is damaged is read once more, in another way, before it is put aside.
        snapshot = None if session.damage is not None else await self._read(session)
        if snapshot is not None:
            self._fold(session, snapshot)
        self._lanes.kick(session.id)

    async def _work(self, session_id: str) -> None:
        with log.context(session=session_id):
            try:
                session = await self._sessions.get(session_id)
            except UnknownSession:
                return
            await self._see_to(session)

    async def _see_to(self, session: Session) -> None:
        # What the disk refused the last time comes first: nothing is sent while the books cannot be kept.
        await session.books.commit()
        snapshot = None if session.damage is not None else await self._read(session)
        asked = dict(session.unfinished)
        ended: list[Settled] = []
        if snapshot is not None:
            self._miss(session, snapshot)
            self._fold(session, snapshot)
            # What ends from here on may have answers that this snapshot does not show.
            ended = list(session.endings)
            session.sending = True
            try:
                await self._send_replies(session, snapshot, asked)
            finally:
                session.sending = False
                if session.damage is not None:
                    self._wake(session.id)
            if session.weigh(snapshot) or len(session.waiting.receipts) >= RECEIPTS_TOGETHER:
                # The agent may wait to hear of it before it goes on.
                self._wake(session.id)
            if session.unusable and not session.held:
                session.damage = "its agent cannot use it"
                self._wake(session.id)
        session.marks.save_ended()
        await session.books.commit()
        if session.has_notices:
            await self._presence.catch_up(session)
        waits = await backlog.send(session, self._sending)
        if waits is not None:
            self.kick_at(session.id, waits)
        self._announce(session, ended)

    async def _read(self, session: Session) -> Snapshot | None:
        """What the container wrote; None when it cannot be read now, which has its remedy already."""
        loop, outbox = asyncio.get_running_loop(), session.outboxes
        # An agent may ring without end, with nothing to show or a file that grows: the time belongs to others.
        await asyncio.sleep(session.read_after - loop.time())
        began = loop.time()
        session.marks.look()
        try:
            snapshot = await session.snapshot()
        except Missing:
            return NOTHING
        except Busy as exc:
            wait = session.patience.failed(exc)
            if session.patience.at_an_end:
                self._damaged(session, f"{exc}, {session.patience.costly} times in a row")
            else:
                self._lanes.kick_later(session.id, wait)
        except SnapshotError as exc:
            if session.outboxes != outbox:
                self._lanes.kick(session.id)
            elif isinstance(exc, HotJournal) and session.recoveries < MAX_RECOVERIES:
                # Only its own agent may roll it back.
                session.recover = True
                self._wake(session.id)
            else:
                self._damaged(session, str(exc))
        else:
            failpoint.hit("outbound-read")
            session.recover, session.recoveries = False, 0
            session.patience.restored()
            session.saw(snapshot)
            if session.weigh(snapshot):
                self._wake(session.id)
            return snapshot
        finally:
            pause = max(_pause(session.in_vain), session.patience.pause_seconds)
            session.read_after = max(2 * loop.time() - began, began + pause)
        return None

    def _damaged(self, session: Session, why: str) -> None:
        self._metrics.violations.labels("outbound").inc()
        session.damage = why
        self._wake(session.id)

    def _fold(self, session: Session, snapshot: Snapshot) -> None:
        now = self._clock()
        session.marks.acks(snapshot.acks)
        folded = folding.fold(session, snapshot.acks, now)
        if folded:
            sorry = {each.turn_id for each in snapshot.messages if _is_apology(each)}
            folding.book(session, folded, now, sorry=sorry)
            self._charges.claimed(session, folded, snapshot.used)
            self._cure(session, folded.turns - folding.reporting(snapshot.messages))
            failpoint.hit("acks-folded")
            self._expect(session, snapshot, folded.turns)
            self._metrics.turns.labels("done").inc(len(folded.turns))
            for message in folded.begun_by.values():
                self._metrics.turn_seconds.observe(session.marks.seconds(message.id))
        session.waits_for_tool(snapshot.tool_deadline, now=now)

    def _cure(self, session: Session, worked: Collection[str | None]) -> None:
        """A turn that went well is the end of what kept the agent from working."""
        cured: list[bool] = []

        def write(db: sqlite3.Connection) -> None:
            cured[:] = [problems.works_again(db, session.agent, worked)]

        session.books.add(write, lambda: self._works_again(session) if any(cured) else None)

    def _works_again(self, session: Session) -> None:
        self._metrics.agent_problem.labels(session.agent).set(0)
        _log.info("an agent works again", session=session.id, agent=session.agent)

    def _expect(self, session: Session, snapshot: Snapshot, turns: Collection[str | None]) -> None:
        """A turn that has ended is not answered before all that it wrote is sent: bot.db learns of both at once."""
        known, now = session.handled or {}, self._clock()
        replies = [each for each in snapshot.messages if each.turn_id in turns and each.id not in known]
        session.expected.update(reply.id for reply in replies)
        session.books.add(lambda db: deliveries.expect(db, session.id, replies, now=now))

    def _miss(self, session: Session, snapshot: Snapshot) -> None:
        """Whoever took away a file, or a row of it, has taken away what was still to be sent."""
        gone, now = session.expected.difference(each.id for each in snapshot.messages), self._clock()
        if gone:
            _log.error("%d replies were gone before they could be sent", len(gone), session=session.id)
            session.expected -= gone
            session.books.add(lambda db: deliveries.gone(db, session.id, gone, now=now))

    async def _send_replies(
        self, session: Session, snapshot: Snapshot, asked: Mapping[str, MessageIn]
    ) -> None:
        """Sends what is new, in order, until one has to wait."""
        present = {message.id for message in snapshot.messages}
        if session.handled is None:
            session.handled = await self._db.read(
                lambda db: deliveries.handled(db, session.id, list(present))
            )
        session.marks.seen(each for each in snapshot.messages if each.id not in session.handled)
        session.forget_pruned(present)
        self._report(session, snapshot)
        held: set[str | None] = set()
        stuck = False
        last = {each.turn_id: each.id for each in snapshot.messages if isinstance(each.content, ChatOut)}
        for message in snapshot.messages:
            if message.id in session.handled:
                session.expected.discard(message.id)
                session.receipt(session.handled[message.id])
            elif stuck or session.damage is not None:
                held.add(message.turn_id)
            elif (due_at := message.deliver_after) is not None and 0 < due_at - self._clock() <= MAX_AHEAD_MS:
                held.add(message.turn_id)
                self.kick_at(session.id, due_at)
            elif (
                again := await self._deliver(session, message, asked, closes=message.id in last.values())
            ) is not None:
                held.add(message.turn_id)
                stuck = not isinstance(again, Aside)
        session.held = held
        if session.waiting.is_long:
            self._wake(session.id)

    def _report(self, session: Session, snapshot: Snapshot) -> None:
        """Rows that are not what an agent writes are counted once, however often they are read."""
        new = [row for row in snapshot.rejected if row.id not in session.rejected]
        session.rejected = {row.id for row in snapshot.rejected}
        if new:
            self._metrics.violations.labels("row").inc(len(new))
            if self._seldom(f"{session.id} rows"):
                _log.warning("rows were refused: %s", new[0].reason, session=session.id, rows=len(new))

    async def _deliver(
        self, session: Session, message: MessageOut, asked: Mapping[str, MessageIn], *, closes: bool
    ) -> int | None:
        """Brings one message to its end; or returns until when it has to wait, and what comes after it too. `closes`:
        it is the last that its turn has said."""
        session.allowance = session.allowance or Allowance(self._rate)
        if wait := session.allowance.wait_ms():
            session.marks.held_back(Outgoing(message.id, message.route, ""), TOO_MUCH)
            return self._wait(session, self._clock() + wait)
        refusal = destinations.refusal(session, message, asked, await self._begun_at(session, message))
        if refusal is not None:
            session.allowance.said(outgoing.size(message))
            await self._refuse(session, message, refusal)
            return None
        waits = await self._sending.waits(session, message) if _is_shown(message) else None
        if waits is not None:
            # Before anything is read or looked through for it: it may be met here again and again.
            return self._wait(session, waits)
        answers = await self._event_of(session, message.in_reply_to, asked)
        outcome: Receipt | int
        match message.content:
            case ChatOut() as said:
                prepared: Outgoing | Receipt = await outgoing.prepare(
                    session, message, said, answers=answers, max_file_bytes=self._max_file_bytes
                )
            case ActionOut() as action:
                prepared = await self._actions.perform(session, message, action, answers=answers)
        if isinstance(prepared, Outgoing):
            outcome = await self._send(session, message, prepared, closes=closes)
        else:
            outcome = prepared
        if isinstance(outcome, int):
            return self._wait(session, outcome)
        files = prepared.files if isinstance(prepared, Outgoing) else ()
        session.allowance.said(outgoing.size(message) + sum(len(file.data) for file in files))
        self._done(session, outcome)
        if message.kind == "action":
            # Somebody waits to hear what became of it.
            self._wake(session.id)
        return None

    async def _send(
        self, session: Session, message: MessageOut, reply: Outgoing, *, closes: bool
    ) -> Receipt | int:
        if message.turn_id in session.unfinished:
            # A question, or a message beside the answer, in the middle of a turn.
            await self._presence.catch_up(session)
        ends = tuple(each.event_id for each in session.endings if each.turn_id == message.turn_id)
        with log.context(message=message.in_reply_to):
            footer = None
            if closes and ends and message.turn_id is not None:
                footer = self._charges.footer(session, message.turn_id, message.route)
            reply = replace(reply, ends=ends, created_at=message.created_at, footer=footer)
            return await self._sending.send(session, reply, seq=message.seq)

    def _wait(self, session: Session, until: int) -> int:
        self.kick_at(session.id, until)
        return until

    async def _event_of(
        self, session: Session, message_id: str | None, asked: Mapping[str, MessageIn]
    ) -> str | None:
        if message_id is None:
            return None
        if message_id in asked:
            return asked[message_id].event_id
        return await self._db.read(lambda db: inbox.event_of(db, session.id, message_id))

    async def _begun_at(self, session: Session, message: MessageOut) -> Route | None:
        """Where the turn was asked for that has ended with this reply, which waits since: it may go there still, though
        the question waits for nothing any more. Only a turn whose end was booked with the reply counts, so that an
        agent cannot name an old one for a place that it may not write to by now."""
        if message.route == session.home or message.turn_id is None or message.id not in session.expected:
            return None
        return await self._db.read(lambda db: inbox.asked_at(db, session.id, message.turn_id))

    async def _refuse(self, session: Session, message: MessageOut, why: str) -> None:
        """The agent is told; nobody else has to know."""
        self._metrics.violations.labels("route").inc()
        to_tell = session.may_be_told()
        if to_tell:
            _log.error("a reply was refused: %s", why, session=session.id, message_out=message.id)
        now, event_id = self._clock(), f"refused:{session.id}:{message.seq}"
        told = ActionResult(message_id=message.id, ok=False, text=f"Your message was not delivered: {why}.")
        receipt = self._sending.refused(session, message, why, in_line=destinations.in_line(session, message))
        rows: list[MessageIn | None] = []
        if to_tell and len(session.unfinished) < MAX_UNREAD:
            session.books.add(lambda db: rows.append(tell(db, session.id, told, event_id=event_id, now=now)))
        await session.books.commit()
        for row in rows:
            if row is not None:
                session.add(row)
        self._done(session, receipt)
        self._wake(session.id)

    def _done(self, session: Session, receipt: Receipt) -> None:
        session.prepared = None
        session.expected.discard(receipt.message_out_id)
        if session.handled is not None:
            session.handled[receipt.message_out_id] = receipt
        session.receipt(receipt)

    def _announce(self, session: Session, ended: list[Settled]) -> None:
        """Tells the channels which of these have come to their end, as far as everything that answers them is
        out."""
        settled = session.take_settled(ended)
        for ending in settled:
            self._presence.settled(session, ending)
        if settled and session.oldest() is None:
            self._presence.working(session, settled[-1].route, on=False)

    def _failed(self, session_id: str, error: Exception) -> None:
        if isinstance(error, DatabaseError):
            if self._seldom(str(error)):
                _log.error("delivery waits: %s", error, session=session_id)
        elif self._seldom(f"{session_id} {error!r}"):
            _log.error("delivery failed; trying again", exc_info=error, session=session_id)
        self._lanes.kick_later(session_id, RETRY_SECONDS)


def _is_shown(message: MessageOut) -> bool:
    """Whether it is nothing without its channel; other actions are carried out, whoever is there."""
    content = message.content
    return isinstance(content, ChatOut) or isinstance(content.do, AskQuestion)


def _pause(in_vain: int) -> float:
    """How long, in seconds, outbound.db is left alone after so many looks in a row that showed nothing new."""
    over: int = min(max(0, in_vain - VAIN_LOOKS), 8)
    return FIRST_PAUSE_SECONDS * 2**over if over else 0.0


def _is_apology(message: MessageOut) -> bool:
    return isinstance(message.content, ChatOut) and message.content.failed
