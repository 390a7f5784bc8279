"""A session: one conversation of one agent, and the host's end of its mailbox."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from adapters.base import Outgoing, Settled
from agent.protocol import snapshot
from agent.protocol.clock import Clock, now_ms, steady_ms
from agent.protocol.mailbox import StatusChange
from agent.protocol.messages import (
    Destination,
    MessageIn,
    MessageOut,
    Receipt,
    Route,
    Schedule,
    Withdrawn,
    afterwards,
    overheard,
)
from agent.protocol.room import ASKED_BYTES, ASKED_ROWS
from agent.protocol.snapshot import Snapshot
from bot.allowance import Allowance
from bot.db.engine import Database
from bot.db.pool import POOL
from bot.db.sessions import SessionRecord
from bot.folder import Folder, Outbox
from bot.ledger import Ledger
from bot.marks import Marks
from bot.patience import Patience

REFUSALS_TOLD: Final = 10
REFUSALS_MS: Final = 3_600_000
"""So many refused messages are told to the agent in so long; the rest is only counted."""
ACTIONS_DONE: Final = 600
ACTIONS_MS: Final = 3_600_000
"""So many actions that no platform slows down are done in so long: each is a row at least, and some are many."""

P = ParamSpec("P")
T = TypeVar("T")


class Session:
    """Loaded while it has anything to do. All file work happens on the mail executor."""

    def __init__(
        self,
        record: SessionRecord,
        root: Path,
        incoming: Path,
        destinations: Callable[[], Sequence[Destination]],
        executor: Executor,
        db: Database,
        *,
        clock: Clock = now_ms,
    ) -> None:
        self.id = record.id
        self.agent = record.agent
        self.home: Route = record.route
        self.boot_id = record.boot_id
        """Under which boot of the machine inbound.db was made; None: it was never made."""
        self._destinations = destinations
        self.lock = asyncio.Lock()
        """Whoever posts, wakes, ends or freezes holds it. Delivery never asks for it, and a reply is never
        waited for with it: a channel that hangs must not keep messages from the agent."""
        self.books = Ledger(db)
        """What delivery has still to write into bot.db."""
        self.marks = Marks(record.id, db, clock=clock)
        """When what happened to its messages."""
        self.unfinished: dict[str, MessageIn] = {}
        self.waiting = Outbox()
        self.newest_in_seq = record.last_in_seq
        self.newest_out_seq = record.last_out_seq
        self.handled: dict[str, Receipt] | None = None
        """message_outs in outbound.db that are dealt with; None until bot.db was asked once."""
        self.allowance: Allowance | None = None
        """What is left to it of what it may say in a minute."""
        self.prepared: tuple[MessageOut, Outgoing] | None = None
        """The latest reply that was made fit to be shown, without its files; most often it is the one that waits."""
        self.expected: set[str] = set()
        """message_outs of turns that have ended, by which bot.db knows that they are still to be sent."""
        self.receipted: set[str] = set()
        self.rejected: set[str | None] = set()
        """Rows that were refused and reported; they stay in the file and are met again."""
        self.has_notices = False
        """Whether bot.db may hold something that the service has to say here."""
        self.has_replays = False
        """Whether bot.db may hold a dead letter that is to be sent again."""
        self.endings: list[Settled] = []
        """Events that have come to their end, to be announced when everything that answers them is out."""
        self.interrupted_by: int | None = None
        """The seq of the interrupt that the running turn has not heeded yet."""
        self.held: set[str | None] = set()
        """The turns of which a reply waits for its time or for another try."""
        self.tool_until: int | None = None
        """Until when the agent has said to be waiting for a tool, on the steady clock."""
        self._tool_deadline: int | None = None
        self.said_full = False
        """Whether the channel was told that messages wait for room on the disk."""
        self.doubted = False
        """Its agent says that inbound.db or outbound.db is damaged."""
        self.unusable = False
        """It is outbound.db, which reads well: it is put aside when everything in it is out."""
        self.damage: str | None = None
        """Why outbound.db must be put aside before the session can go on."""
        self.sending = False
        """Whether replies are on their way out; what is damaged is put aside when they have arrived."""
        self.behind = False
        """Whether so much waits for its delivery that the agent is asked for nothing more."""
        self.said_behind = False
        """Whether the channel was told so."""
        self.put_off = False
        """Whether the channel was told that no container can be started for now."""
        self.recover = False
        """outbound.db waits to be rolled back by its own agent."""
        self.recoveries = 0
        """How often it was found waiting for that in a row."""
        self.schedule_changes = 0
        """How often its schedules have changed, as far as is known."""
        self.schedules_as_of = -1
        """Of which count inbound.db has them, or will with the next post; -1: what lies there may be old."""
        self.outboxes = 0
        """How often outbound.db was put aside: what was read of an earlier one says nothing about this one."""
        self.patience = Patience()
        """What has become of the latest looks at outbound.db."""
        self.in_vain = 0
        """How often in a row a look at outbound.db has shown nothing new."""
        self._shown: object = None
        self.actions: deque[int] = deque(maxlen=ACTIONS_DONE)
        """When the latest actions were done, on the steady clock."""
        self.refusals: list[int] = []
        """When the agent was told of the latest refused messages, on the steady clock."""
        self.read_after = 0.0
        """When outbound.db may be read again, on the loop's clock."""
        self.asked_at: Route | None = None
        """Where it was asked for something last."""
        self._folder = Folder(root, incoming, record.route, destinations)
        self.root = root
        self.workspace = self._folder.workspace
        self._executor = executor
        self._serial = threading.Lock()
        self._looking = asyncio.Lock()
        """One snapshot at a time: a sweep may want one while the lane takes its own."""

    @property
    def destinations(self) -> Sequence[Destination]:
        """The named places that it may write to now."""
        return self._destinations()

    @property
    def place(self) -> Route:
        """Where the service itself says something to those who use it: where the oldest was asked that waits, or what
        was asked last. What is shared by several places has none of its own."""
        oldest = self.oldest()
        return self.asked_at or self.home if oldest is None else oldest.route

    @property
    def is_open(self) -> bool:
        """Whether inbound.db is open."""
        return self._folder.is_open

    @property
    def at_rest(self) -> bool:
        """Nobody to answer, nothing to say, nothing that waits for its time. What asks for no turn and what
        waits for the next post does not count: it is found again when somebody is woken."""
        return not (
            self.oldest()
            or self.endings
            or self.has_notices
            or self.has_replays
            or self.held
            or self.books
            or self.recover
            or self.damage
            or self.doubted
            or self.unusable
        )

    @property
    def pooled(self) -> bool:
        """Whether it waits for a conversation that nobody has begun yet."""
        return self.home.channel == POOL

    def move_in(self, home: Route) -> None:
        """A conversation has taken it: its replies go there, which its agent is told with the next post."""
        if home != self.home:
            self.home = home
            self._folder.move_in(home)

    @property
    def moved(self) -> bool:
        """Whether its agent has still to be told that it may write to other places than before."""
        return self._folder.is_open and not self._folder.is_addressed

    def add(self, message: MessageIn) -> None:
        """A message was accepted; it goes to the container with the next post."""
        if message.seq > self.newest_in_seq:
            self.newest_in_seq = message.seq
            self.unfinished[message.id] = message
            self.waiting.messages.append(message)
            if message.trigger:
                self.asked_at = message.route
            if not overheard(message):
                self.marks.begin(message)
            if isinstance(told := afterwards(message), Withdrawn):
                self.marks.withdrawn(told.seq)

    def oldest(self, *, posted: bool = False) -> MessageIn | None:
        """The oldest message that asks for a turn and has not come to its end; of those that were `posted`."""
        waiting = {each.id for each in self.waiting.messages} if posted else ()
        asking = (each for each in self.unfinished.values() if each.trigger and each.id not in waiting)
        return next(asking, None)

    def let_through(self, message: MessageIn) -> None:
        """The wait for its next try is over, whatever the clock will say from now on."""
        self.unfinished[message.id] = message.model_copy(update={"process_after": None})
        self.waiting.changes.append(StatusChange(message.id, "pending", tries=message.tries))

    def was_posted(self, message: MessageIn) -> bool:
        """Whether a container can have seen the message."""
        return all(message.id != each.id for each in self.waiting.messages)

    async def withdraw(self, messages: Sequence[MessageIn]) -> None:
        """They have come to their end without anybody's having begun with them; their files go, too. Raises OSError."""
        ids = {message.id for message in messages}
        self.waiting.messages = [each for each in self.waiting.messages if each.id not in ids]
        for message in messages:
            self.end(message, turn_id=None, ok=True)
            # A killed service may have posted it.
            self.waiting.changes.append(StatusChange(message.id, "completed", tries=message.tries))
        await self._run(self._folder.discard, list(ids))

    def end(self, message: MessageIn, *, turn_id: str | None, ok: bool) -> None:
        """A message has come to its end, to be announced when everything that answers it is out."""
        if self.unfinished.pop(message.id, None) is not None and not overheard(message):
            self.endings.append(Settled(message.route, message.event_id, turn_id, ok))
            self.marks.ended(message)
        if self.interrupted_by is not None and message.seq >= self.interrupted_by:
            self.interrupted_by = None

    def take_settled(self, ended: Collection[Settled]) -> list[Settled]:
        """Those of `ended` of which everything is out; they are taken away."""

        def is_out(ending: Settled) -> bool:
            return ending.turn_id not in self.held and (ending.ok or not self.has_notices)

        # One turn can end thousands, so none may be looked for among all the others.
        events = {ending.event_id for ending in ended}
        settled: list[Settled] = []
        left: list[Settled] = []
        for ending in self.endings:
            (settled if ending.event_id in events and is_out(ending) else left).append(ending)
        self.endings = left
        self.marks.forget(settled)
        return settled

    def receipt(self, receipt: Receipt) -> None:
        """Tells the agent what became of a message, with the next post and only once."""
        if receipt.message_out_id not in self.receipted:
            self.receipted.add(receipt.message_out_id)
            self.waiting.receipts.append(receipt)

    def forget_pruned(self, present: Collection[str]) -> None:
        """The agent has pruned what is not `present` any more: its receipts have served."""
        gone = self.receipted.difference(present)
        if gone:
            self.waiting.forget(gone)
            self.receipted -= gone
        if self.handled is not None:
            self.handled = {out_id: receipt for out_id, receipt in self.handled.items() if out_id in present}

    def waits_for_tool(self, deadline: int | None, *, now: int) -> None:
        """The agent says that it waits for a tool until `deadline`; both in epoch milliseconds."""
        if deadline != self._tool_deadline:
            self._tool_deadline = deadline
            self.tool_until = None if deadline is None else steady_ms() + deadline - now

    def saw(self, found: snapshot.Snapshot) -> None:
        """Remembers what outbound.db holds, to tell whether the next look is in vain."""
        shown = (found.size, len(found.messages), found.messages[-1:], found.acks, found.tool_deadline)
        self.in_vain = self.in_vain + 1 if shown == self._shown else 0
        self._shown = shown

    def weigh(self, found: Snapshot) -> bool:
        """Takes note of how much in outbound.db waits for its delivery; True when it is no more too much."""
        handled = self.handled or {}
        waiting = sum(message.id not in handled for message in found.messages)
        was = self.behind
        self.behind = waiting > ASKED_ROWS or (waiting > 0 and found.size > ASKED_BYTES)
        self.said_behind = self.said_behind and self.behind
        return was and not self.behind

    def may_be_told(self) -> bool:
        """Whether the agent is to hear of one more refused message: it could have them refused without end, and
        every word to it is a row."""
        now = steady_ms()
        self.refusals = [at for at in self.refusals if now - at < REFUSALS_MS]
        if len(self.refusals) >= REFUSALS_TOLD:
            return False
        self.refusals.append(now)
        return True

    def may_act(self) -> bool:
        """Whether one more action is to be done that costs its agent nothing."""
        now = steady_ms()
        if len(self.actions) == ACTIONS_DONE and now - self.actions[0] < ACTIONS_MS:
            return False
        self.actions.append(now)
        return True

    def saw_out_seq(self, seq: int) -> None:
        """A seq of the agent's was validated and booked."""
        self.newest_out_seq = max(self.newest_out_seq, seq)

    def notice_waits(self) -> None:
        """bot.db holds something that the service has to say here."""
        self.has_notices = True

    def replay_waits(self) -> None:
        """bot.db holds a dead letter that is to be sent again."""
        self.has_replays = True

    def schedules_changed(self) -> None:
        """bot.db has others than the agent was told of; it hears of them with the next post."""
        self.schedule_changes += 1

    async def open(self) -> None:
        """Opens inbound.db and brings it up to date. Raises MailboxError, OSError."""
        self.receipted |= await self._mail(self._folder.open, list(self.unfinished.values()))

    async def rebuild(self, receipts: Sequence[Receipt], schedules: Sequence[Schedule]) -> list[str]:
        """Makes the folder and inbound.db anew from what bot.db holds, and returns the ids of the messages
        in it. Raises MailboxError, OSError."""
        # Taken before the thread begins: what is accepted meanwhile waits for the next post.
        messages, batch, self.waiting = list(self.unfinished.values()), self.waiting, Outbox()
        try:
            self.receipted = await self._mail(
                self._folder.rebuild, messages, [*receipts, *batch.receipts], schedules
            )
        except BaseException:
            self.waiting = batch.before(self.waiting)
            raise
        self.doubted = False
        ids = [message.id for message in messages]
        self.marks.posted(ids)
        return ids

    async def post(self, *, outdated: bool = False, superseded: bool = False) -> list[str]:
        """Writes what waits, and returns the ids of the messages in it. What an `outdated` runner may not know to read
        waits for the next one, and where it is `superseded`, what may be about the next one. Raises MailboxError,
        OSError; then all of it still waits."""
        batch, self.waiting = self.waiting, Outbox()
        if outdated or superseded:
            batch, self.waiting = batch.split(outdated=outdated)
        if not batch and not self.moved:
            return []
        try:
            await self._mail(self._folder.post, batch)
        except BaseException:
            self.waiting = batch.before(self.waiting)
            raise
        ids = [message.id for message in batch.messages]
        self.marks.posted(ids)
        return ids

    async def snapshot(self) -> snapshot.Snapshot:
        """What the container has written so far. Raises SnapshotError."""
        # What lay on a disk while the session was asleep is looked at twice; later ones have to be fast.
        async with self._looking:
            first = self.handled is None
            return await self._run(
                lambda: snapshot.read(
                    self.workspace.outbox, deadline_seconds=self.patience.read_seconds, thorough=first
                )
            )

    async def read_file(self, message_id: str, name: str, *, max_bytes: int) -> bytes:
        """A file that the container sends. Raises SnapshotError."""
        return await self._run(
            lambda: snapshot.read_file(self.workspace.outbox, message_id, name, max_bytes=max_bytes)
        )

    async def rescue(self) -> Snapshot:
        """What still reads well of an outbound.db that is to be put aside. No runner may live. Raises
        SnapshotError."""
        return await self._run(lambda: snapshot.rescue(self.workspace.outbox))

    async def put_aside(self, name: str) -> list[Path]:
        """Moves a damaged outbound.db out of the way; it is kept for whoever wants to look. No runner may live.
        Returns those that have been kept long enough. Raises OSError."""
        self.outboxes += 1
        await self._run(self._folder.put_aside, name)
        self.damage, self.recover, self.recoveries = None, False, 0
        self.unusable = self.behind = False
        self.patience.restored()
        return await self._run(self._folder.too_old)

    async def lost(self) -> bool:
        """Whether the session's folder was taken away, or what the agent had in it."""
        return await self._run(self._folder.lost)

    async def is_full(self) -> bool:
        """Whether the agent has no room left to write."""
        try:
            return await self._run(self._folder.is_full)
        except OSError:
            return False

    async def close(self) -> None:
        """Closes inbound.db. Twice is fine."""
        await self._mail(self._folder.close)

    async def _mail(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs what uses inbound.db. A cancelled caller leaves its call running: the next one waits for it."""

        def alone() -> T:
            with self._serial:
                return call(*args, **kwargs)

        return await self._run(alone)

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: call(*args, **kwargs))
