"""Folding: the agent's acks become the host's own truth about its messages."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.protocol.mailbox import StatusChange
from agent.protocol.messages import (
    Ack,
    ActionOut,
    Clear,
    Interrupt,
    MessageIn,
    MessageOut,
    Report,
    SetModel,
    SystemIn,
)
from bot.db import deliveries, inbox, usage
from bot.session import Session
from bot.turns import UNREADABLE


@dataclass(frozen=True)
class Fold:
    """The messages that these acks bring to their end."""

    done: tuple[tuple[MessageIn, Ack], ...]
    failed: tuple[MessageIn, ...]

    @property
    def turns(self) -> set[str | None]:
        """The turns that were completed."""
        return {ack.turn_id for _, ack in self.done}

    @property
    def begun_by(self) -> dict[str | None, MessageIn]:
        """The message that began each of them, the oldest that asked for it: what the host knows it by. An order is no
        turn."""
        found: dict[str | None, MessageIn] = {}
        for message, ack in sorted(self.done, key=lambda each: each[0].seq):
            if message.trigger and not _is_order(message):
                found.setdefault(ack.turn_id, message)
        return found

    def __bool__(self) -> bool:
        return bool(self.done or self.failed)


def _is_order(message: MessageIn) -> bool:
    content = message.content
    return isinstance(content, SystemIn) and isinstance(content.system, Clear | Interrupt | SetModel)


def fold(session: Session, acks: Sequence[Ack], now: int) -> Fold:
    """What the acks end. A container can claim anything: only a message of this session counts that was
    due and has not ended yet, and an end is for good."""
    done: list[tuple[MessageIn, Ack]] = []
    failed: list[MessageIn] = []
    for ack in acks:
        message = session.unfinished.get(ack.message_id)
        if message is None or ack.status == "processing" or (message.process_after or 0) > now:
            continue
        if ack.status == "completed":
            done.append((message, ack))
        else:
            failed.append(message)
    return Fold(tuple(done), tuple(failed))


def reporting(messages: Iterable[MessageOut]) -> set[str | None]:
    """The turns in which the agent says that it cannot work: that they end proves nothing."""
    return {
        message.turn_id
        for message in messages
        if isinstance(message.content, ActionOut) and isinstance(message.content.do, Report)
    }


def book(session: Session, folded: Fold, now: int, *, sorry: Collection[str | None] = ()) -> None:
    """The messages have ended; bot.db has it with the next commit of the session's books. In the turns of `sorry` there
    was no answer."""
    seconds = {each.id: session.marks.seconds(each.id) for each in folded.begun_by.values()}
    session.books.add(
        lambda db: record(db, session.id, folded, now, seconds), lambda: remember(session, folded)
    )
    for message, ack in folded.done:
        session.end(message, turn_id=ack.turn_id, ok=ack.turn_id not in sorry)
    for message in folded.failed:
        session.end(message, turn_id=None, ok=False)
        session.notice_waits()


def record(
    db: sqlite3.Connection, session_id: str, folded: Fold, now: int, seconds: Mapping[str, float]
) -> None:
    """Writes the ends into bot.db; a failed message is announced. `seconds` are how long turns took, by the messages
    that began them."""
    for message, ack in folded.done:
        inbox.settle(db, session_id, [message.id], turn_id=ack.turn_id, now=now)
    for message_id, took in seconds.items():
        usage.ended(db, session_id, message_id, seconds=took, now=now)
    for message in folded.failed:
        said = deliveries.add_notice(
            db, session_id, message.route, UNREADABLE, now=now, answers=message.event_id
        )
        inbox.fail(db, session_id, [message.id], error=UNREADABLE, now=now, notice=said)


def remember(session: Session, folded: Fold) -> None:
    """bot.db has it; from now on inbound.db may have it too, and the agent may prune its acks."""
    session.waiting.changes += [StatusChange(m.id, "completed", tries=m.tries) for m, _ in folded.done]
    session.waiting.changes += [StatusChange(m.id, "failed", tries=m.tries) for m in folded.failed]
    if folded.failed:
        session.notice_waits()
        session.schedules_changed()
