"""Marks: what happened to the messages of a session, and when, kept in memory until it rides with a commit.

All times are the host's own. They are taken from the monotonic clock and counted from the wall clock's time at
which the message became known, so that they are exact to each other and a clock that is set spoils nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.base import Outgoing, Settled
from agent.protocol.bell import Activity, AgentFrame, Changed, LiveText
from agent.protocol.clock import Clock, now_ms
from agent.protocol.messages import Ack, MessageIn, MessageOut
from bot.db import traces
from bot.db.deliveries import Notice
from bot.db.engine import Database
from bot.db.inbox import Entry
from bot.db.traces import Mark, Step

MAX_MARKS: Final = 200
"""Of one message, in one life of the service."""
TAKEN_OVER: Final = "a service that was started in between took it over"


@dataclass
class _Way:
    """One message's. `lasting` is False for one that has ended as far as the session knows."""

    accepted_us: int
    from_us: int
    from_ns: int
    seq: int | None = None
    lasting: bool = True
    turn_id: str | None = None
    last_ns: int = 0
    count: int = 0
    claimed_ns: int | None = None
    ack_at: int | None = None
    lost_at: int | None = None
    """The ack of a container that has ended lies there until the next one deletes it."""
    delta_ns: int | None = None
    measured: bool = False
    new: list[Mark] = field(default_factory=list)

    def mark(
        self, step: Step, ns: int, what: str = "", *, out: str | None = None, says: int | None = None,
        until: int | None = None,
    ) -> int:  # fmt: skip
        """Returns the microseconds since the message was accepted. What was learned late happened no earlier
        than what is known already."""
        self.last_ns = max(ns, self.last_ns)
        at_us = self.from_us + (self.last_ns - self.from_ns) // 1000
        self.count += 1
        if self.count <= MAX_MARKS:
            self.new.append(Mark(step, at_us, what, out, says, until))
        return at_us - self.accepted_us


@dataclass
class _Reply:
    """A reply that is on its way out, and the messages that it answers."""

    ways: list[str]
    name: str
    is_listed: bool = False
    """It is one of those that were seen in outbound.db."""
    sent: bool = False
    held_back: str | None = None


class Marks:
    """Those of one session. Belongs to the event loop; nothing here waits."""

    def __init__(self, session_id: str, db: Database, *, clock: Clock = now_ms) -> None:
        self._session_id = session_id
        self._db = db
        self._clock = clock
        self._ways: dict[str, _Way] = {}
        self._by_event: dict[str, str] = {}
        self._turns: dict[str, list[str]] = {}
        self._replies: dict[str, _Reply] = {}
        self._asleep: list[str] = []
        """Posted, and nobody woken for them yet."""
        self._ended: set[str] = set()
        self._rung_ns: int | None = None
        self._news_ns: int | None = None
        self._before: set[str] = set()
        """Events whose notices were waiting when the session was loaded."""
        self._is_first = True
        """Whether the replies that wait to be sent were not looked at yet."""

    # ---------------------------------------------------------------- in

    def begin(self, message: MessageIn, accepted_at: int | None = None) -> None:
        """A message was accepted: just now, or at that time on the clock."""
        way = self._begin(message.id, accepted_at)
        way.seq = message.seq
        self._by_event[message.event_id] = message.id

    def resume(self, entries: Iterable[Entry], notices: Iterable[Notice], *, since: int) -> None:
        """The session was loaded with these unfinished, and these to be said; what was accepted before `since`
        is from the time of an earlier service."""
        self._before = {notice.answers for notice in notices if notice.answers is not None}
        for entry in entries:
            self.begin(entry.message, entry.accepted_at)
            if entry.state == "posted":
                self._asleep.append(entry.message.id)
            if entry.accepted_at < since:
                self._ways[entry.message.id].mark("restarted", time.monotonic_ns(), TAKEN_OVER)

    def posted(self, message_ids: Iterable[str]) -> None:
        """They are in inbound.db."""
        now = time.monotonic_ns()
        for message_id in message_ids:
            if message_id in self._ways:
                self._ways[message_id].mark("posted", now)
                self._asleep.append(message_id)

    def woken(self, how: str) -> None:
        """Somebody was called to look at the inbox."""
        now, asleep, self._asleep = time.monotonic_ns(), self._asleep, []
        for message_id in asleep:
            if message_id in self._ways:
                self._ways[message_id].mark("woken", now, how)

    def try_lost(self, message_id: str, why: str, *, until: int | None) -> None:
        """The message is tried again at that time; None: that was the last try."""
        way = self._ways.get(message_id)
        if way is not None:
            way.mark("try lost", time.monotonic_ns(), why, until=until)
            way.claimed_ns = way.delta_ns = None
            way.lost_at = way.ack_at
            self._asleep.append(message_id)
            self._save([message_id])

    # ---------------------------------------------------------------- behind the wall

    def heard(self, frame: AgentFrame) -> float | None:
        """The agent said something. Returns the seconds since its message was accepted when these are the
        first words of an answer."""
        now = time.monotonic_ns()
        if isinstance(frame, Changed):
            self._rung_ns = now
        if not isinstance(frame, Activity | LiveText):
            return None
        way = self._ways.get(frame.turn_id)
        if way is None:
            return None
        if way.claimed_ns is None:
            way.mark("claimed", now)
            way.claimed_ns = now
        if isinstance(frame, Activity) or way.delta_ns is not None:
            return None
        way.delta_ns = now
        return way.mark("first delta", now) / 1_000_000

    def look(self) -> None:
        """outbound.db is about to be read: what rang before that is seen in it."""
        self._news_ns, self._rung_ns = self._rung_ns, None

    def acks(self, acks: Iterable[Ack]) -> None:
        """What it says about the messages: whose turn they belong to, and that somebody works on them."""
        for ack in acks:
            way = self._ways.get(ack.message_id)
            if way is None:
                continue
            if way.turn_id is None and ack.turn_id is not None:
                way.turn_id = ack.turn_id
                self._turns.setdefault(ack.turn_id, []).append(ack.message_id)
            way.ack_at = ack.status_changed
            if way.claimed_ns is None and way.ack_at != way.lost_at:
                self._claim(way, ack)

    def _claim(self, way: _Way, ack: Ack) -> None:
        """Nobody has said that live: it was in a hurry, or the message joined a turn that ran already."""
        now, what = self._news_ns or time.monotonic_ns(), "known by its ack"
        leader = self._ways.get(ack.turn_id or "")
        if leader is not None and leader is not way and leader.claimed_ns is not None:
            now, what = leader.claimed_ns, f"in the turn of #{leader.seq}"
        way.mark("claimed", now, what, says=ack.status_changed)
        way.claimed_ns = now
        if leader is not None and leader is not way and leader.delta_ns is not None:
            way.delta_ns = leader.delta_ns
            way.mark("first delta", leader.delta_ns, what)

    # ---------------------------------------------------------------- out

    def seen(self, messages: Iterable[MessageOut]) -> None:
        """These replies are in the snapshot and wait to be sent, and no others."""
        now, waiting = time.monotonic_ns(), {message.id: message for message in messages}
        # What a container takes back before it was sent is not remembered: it may do so for ever.
        for out_id in [key for key, reply in self._replies.items() if reply.is_listed and key not in waiting]:
            self._let_go(self._replies.pop(out_id))
        for message in waiting.values():
            if message.id in self._replies:
                continue
            reply = _Reply(self._asked(message), f"reply #{message.seq}", is_listed=True)
            self._replies[message.id] = reply
            for way in self._of(reply):
                if self._news_ns is not None:
                    way.mark("answered", self._news_ns, reply.name, out=message.id, says=message.created_at)
                else:
                    what = f"{reply.name}, found by looking"
                    way.mark("answered", now, what, out=message.id, says=message.created_at)
                way.mark("seen", now, reply.name, out=message.id)
        self._is_first = False

    def _asked(self, message: MessageOut) -> list[str]:
        """The messages that a reply answers, as far as its container tells the truth."""
        turn = self._turns.get(message.turn_id or "", [])
        named = (message.turn_id, message.in_reply_to)
        asked = list(dict.fromkeys([*(key for key in named if key in self._ways), *turn]))
        if not asked and message.in_reply_to is not None:
            asked = [message.in_reply_to]
        return [key for key in asked if key is not None]

    def sent(self, outgoing: Outgoing, part: int) -> None:
        """A part is handed to the adapter."""
        reply = self._reply(outgoing)
        if not reply.sent:
            reply.sent = True
            what = reply.name if part == 0 else f"{reply.name} from part {part + 1} on"
            for way in self._of(reply):
                way.mark("sent", time.monotonic_ns(), what, out=outgoing.id)

    def withdrawn(self, seq: int) -> None:
        """The message of this number was deleted where it was said."""
        for way in self._ways.values():
            if way.seq == seq:
                way.mark("withdrawn", time.monotonic_ns(), "it was deleted where it was said")

    def put_off(self, outgoing: Outgoing, part: int, attempts: int, why: str, *, until: int) -> None:
        """The platform did not take a part; it is tried again at that time."""
        reply = self._reply(outgoing)
        for way in self._of(reply):
            what = f"{reply.name}, part {part + 1}, attempt {attempts}: {why}"
            way.mark("put off", time.monotonic_ns(), what, out=outgoing.id, until=until)
        self._save(reply.ways)

    def held_back(self, outgoing: Outgoing, why: str) -> None:
        """The reply waits for something that is looked at again and again, and said once."""
        reply = self._reply(outgoing)
        if reply.held_back != why:
            reply.held_back = why
            for way in self._of(reply):
                way.mark("put off", time.monotonic_ns(), f"{reply.name}: {why}", out=outgoing.id)

    def given_up(self, out_id: str, why: str) -> None:
        """A reply will not be sent, for good."""
        reply = self._replies.pop(out_id, None)
        if reply is not None:
            for way in self._of(reply):
                way.mark("given up", time.monotonic_ns(), f"{reply.name}: {why}", out=out_id)
            self._save(reply.ways)
            self._let_go(reply)

    def acknowledged(self, outgoing: Outgoing, parts: int) -> list[float]:
        """The adapter has taken the last part. To be called right before that is committed: the trace rides
        along. Returns how many seconds the messages waited that this was the first answer to."""
        now, reply = time.monotonic_ns(), self._reply(outgoing)
        del self._replies[outgoing.id]
        waited = []
        for way in self._of(reply):
            what = reply.name if parts == 1 else f"{reply.name} with its {parts} parts"
            passed_us = way.mark("acknowledged", now, what, out=outgoing.id)
            if way.lasting and not way.measured:
                way.measured = True
                waited.append(passed_us / 1_000_000)
        self._save(reply.ways)
        self._let_go(reply)
        return waited

    # ---------------------------------------------------------------- the end

    def ended(self, message: MessageIn) -> None:
        """It is done, or given up; what answers it may still be on its way."""
        if message.id in self._ways:
            self._ended.add(message.id)

    def save_ended(self) -> None:
        """What is not written of those rides with the next commit."""
        self._save(self._ended)

    def save(self) -> None:
        """The same for all: the session is let go."""
        self._save(list(self._ways))

    def forget(self, settled: Sequence[Settled]) -> None:
        """Everything that answers these is out."""
        for ending in settled:
            key = self._by_event.pop(ending.event_id, "")
            self._save([key])
            self._ended.discard(key)
            way = self._ways.pop(key, None)
            if way is not None and way.turn_id in self._turns:
                self._turns[way.turn_id].remove(key)
                if not self._turns[way.turn_id]:
                    del self._turns[way.turn_id]

    def seconds(self, message_id: str) -> float:
        """For how long it has been worked on, from when somebody was known to; 0 for one that is not known."""
        way = self._ways.get(message_id)
        if way is None:
            return 0.0
        return max(0, time.monotonic_ns() - (way.claimed_ns or way.from_ns)) / 1_000_000_000

    def of(self, message: MessageIn) -> list[Mark]:
        """What is not written yet of a message."""
        keys = {message.id, message.event_id}
        return [mark for key in keys if key in self._ways for mark in self._ways[key].new]

    # ----------------------------------------------------------------

    def _begin(self, key: str, accepted_at: int | None) -> _Way:
        now = self._clock() * 1000
        accepted = now if accepted_at is None else accepted_at * 1000
        way = self._ways[key] = _Way(accepted, max(now, accepted), time.monotonic_ns())
        return way

    def _of(self, reply: _Reply) -> list[_Way]:
        return [self._ways.get(key) or self._take_up(key) for key in reply.ways]

    def _take_up(self, key: str) -> _Way:
        """An answer to a message that has ended: here by a later answer, or under an earlier service."""
        way = self._begin(key, None)
        way.lasting = False
        if self._is_first or key in self._before:
            way.mark("restarted", way.from_ns, TAKEN_OVER)
        return way

    def _let_go(self, reply: _Reply) -> None:
        for key in reply.ways:
            if key in self._ways and not self._ways[key].lasting:
                del self._ways[key]

    def _reply(self, outgoing: Outgoing) -> _Reply:
        """What the service itself says was never seen in a snapshot."""
        if outgoing.id not in self._replies:
            event_id = outgoing.answers
            ways = [] if event_id is None else [self._by_event.get(event_id, event_id)]
            self._replies[outgoing.id] = _Reply(ways, "a notice" if outgoing.notice else "a reply")
        return self._replies[outgoing.id]

    def _save(self, keys: Iterable[str]) -> None:
        new: dict[str, list[Mark]] = {}
        for key in keys:
            way = self._ways.get(key)
            if way is not None and way.new:
                new[key], way.new = way.new, []
        session_id = self._session_id
        if new:
            self._db.later(lambda db: traces.save(db, session_id, new))
