"""Salvage: before a damaged outbound.db is put aside, what still reads well in it becomes the host's truth.

What was not delivered is kept as dead letters, and the turns that wrote it have ended: nothing is lost, and nothing
is asked again that was answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.base import Outgoing
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import ActionOut, AskQuestion, ChatOut, MessageIn, MessageOut
from agent.protocol.snapshot import Missing, Snapshot, SnapshotError
from bot import destinations, folding, log, outgoing
from bot.booking import Burial, ReplyBooking, buried
from bot.db import dead_letters, deliveries, inbox
from bot.db.engine import Database
from bot.letter_files import LetterFiles
from bot.metrics import Metrics
from bot.session import Session

DAMAGED: Final = (
    "The files of this conversation were damaged."
    " I have put them aside for an admin and go on with a fresh memory."
)
KEPT: Final = " {count} of my messages were not delivered yet: an admin finds them among the dead letters."
REASON: Final = "outbound.db was put aside: {why}"
NOTHING: Final = Snapshot((), (), None, (), 0)

_log = log.get("roost.salvage")


@dataclass(frozen=True)
class _Undelivered:
    """A reply that no channel has seen whole: the parts before `part` were sent."""

    message: MessageOut
    part: int
    attempts: int


class Salvage:
    """To be asked with the session's lock held, while no runner lives and no reply is on its way."""

    def __init__(
        self, db: Database, files: LetterFiles, *, max_file_bytes: int, metrics: Metrics, clock: Clock
    ) -> None:
        self._db = db
        self._files = files
        self._max_file_bytes = max_file_bytes
        self._metrics = metrics
        self._clock = clock

    async def keep(self, session: Session, why: str) -> None:
        """Returns when all of it is durable, in one transaction with what the channel is told. Raises
        DatabaseError."""
        try:
            found = await session.rescue()
        except SnapshotError as exc:
            if not isinstance(exc, Missing):
                _log.error("nothing can be read of what is put aside: %s", exc, session=session.id)
            found = NOTHING
        asked = dict(session.unfinished)
        await session.books.commit()
        left = await self._undelivered(session, found.messages)
        self._fold(session, found)
        burials = await self._bury(session, left, asked, REASON.format(why=why))
        text = DAMAGED + (KEPT.format(count=len(burials)) if burials else "")
        route, now = session.place, self._clock()
        session.books.add(
            lambda db: deliveries.add_notice(db, session.id, route, text, now=now), session.notice_waits
        )
        await session.books.commit()
        failpoint.hit("notice-recorded")
        if burials:
            _log.error("%d replies are kept as dead letters: %s", len(burials), why, session=session.id)
            await buried(session, burials, self._files, self._metrics)

    def _fold(self, session: Session, found: Snapshot) -> None:
        now = self._clock()
        folded = folding.fold(session, found.acks, now)
        if folded:
            folding.book(session, folded, now)
            self._metrics.turns.labels("done").inc(len({ack.turn_id for _, ack in folded.done}))

    async def _undelivered(self, session: Session, messages: Sequence[MessageOut]) -> list[_Undelivered]:
        ids = [message.id for message in messages]
        handled = await self._db.read(lambda db: deliveries.handled(db, session.id, ids))
        left = [message for message in messages if message.id not in handled]
        begun = await self._db.read(
            lambda db: [deliveries.progress(db, session.id, each.id) for each in left]
        )
        return [
            _Undelivered(message, at.next_part, at.attempts) for message, at in zip(left, begun, strict=True)
        ]

    async def _bury(
        self, session: Session, left: Sequence[_Undelivered], asked: Mapping[str, MessageIn], why: str
    ) -> list[Burial]:
        burials: list[Burial] = []
        room = dead_letters.MAX_BYTES
        for each in left:
            message = each.message
            refusal = destinations.refusal(session, message, asked)
            if refusal is not None:
                _log.error("a reply was refused: %s", refusal, session=session.id, message_out=message.id)
                continue
            event = await self._event_of(session, message, asked)
            most = self._max_file_bytes if room > 0 else 0
            reply = await self._reply(session, message, answers=event, max_file_bytes=most)
            if reply is None:
                continue
            room -= sum(len(file.data) for file in reply.files)
            session.marks.given_up(message.id, why)
            booking = ReplyBooking(session, reply, message.seq, self._files, self._metrics, self._clock)
            burials.append(await booking.bury(each.part, attempts=each.attempts, reason=why, tell=False))
            session.expected.discard(message.id)
        return burials

    async def _reply(
        self, session: Session, message: MessageOut, *, answers: str | None, max_file_bytes: int
    ) -> Outgoing | None:
        """What people were to be shown; None for what an agent wanted done, which it may ask for again."""
        match message.content:
            case ChatOut() as said:
                return await outgoing.prepare(
                    session, message, said, answers=answers, max_file_bytes=max_file_bytes
                )
            case ActionOut(do=AskQuestion() as asked):
                return await outgoing.question(session, message, asked, answers=answers)
        return None

    async def _event_of(
        self, session: Session, message: MessageOut, asked: Mapping[str, MessageIn]
    ) -> str | None:
        asking = message.in_reply_to
        if asking is None or asking in asked:
            return None if asking is None else asked[asking].event_id
        return await self._db.read(lambda db: inbox.event_of(db, session.id, asking))
