"""Booking: what is written into bot.db about each step of a reply on its way out, and of a dead letter on its way
out once more. Every step returns when it is durable."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from adapters.base import Outgoing, Part
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import MessageIn
from bot import actions, log
from bot.db import dead_letters, deliveries
from bot.db import sessions as rows
from bot.db.dead_letters import Letter, LetterFile
from bot.db.deliveries import PartKind
from bot.ledger import Write
from bot.letter_files import LetterFiles
from bot.metrics import Metrics
from bot.session import Session

NOT_DELIVERED: Final = "A reply could not be delivered here ({reason})."

_log = log.get("roost.booking")


def change(said: Outgoing) -> PartKind | None:
    """What it does to a message that is there already, if it does."""
    if said.reaction is not None:
        return "reaction"
    return None if said.edit is None else "edit"


def kind(part: Part) -> PartKind:
    """What the part is, for whoever wants to edit it."""
    said = part.outgoing
    if (changes := change(said)) is not None:
        return changes
    if part.file is not None:
        return "file"
    if said.question is not None:
        return "question"
    return "text" if said.card is None else "card"


def done_in_words(said: Outgoing) -> str | None:
    """What the agent is told when it is out; None for what is no action, or has another answer."""
    if said.notice:
        return None
    if said.edit is not None:
        return f"Message #{said.edit.number} is edited."
    if said.reaction is not None:
        return f"{said.reaction.emoji} is on message #{said.reaction.number}."
    return None


def is_action(said: Outgoing) -> bool:
    """Whether the agent is to be told when it cannot be done."""
    return not said.notice and (said.question is not None or change(said) is not None)


class Booking(Protocol):
    """The books of one reply. Each raises DatabaseError."""

    async def sent(self, part: Part, *, last: bool, platform_id: str | None) -> None:
        """The platform has taken a part."""

    async def waits(self, part: int, *, attempts: int, next_at: int, reason: str) -> None:
        """A part was refused, and is tried again at `next_at`."""

    async def given_up(self, part: int, *, attempts: int, reason: str, tell: bool = True) -> None:
        """It ends here. The channel hears of it if it can hear anything: `tell`."""


@dataclass(frozen=True)
class Burial:
    """A reply that becomes a dead letter with the next commit; `beyond` are the older ones that make room."""

    letter: Letter
    beyond: list[str] = field(default_factory=list)


class ReplyBooking:
    """A reply of an agent, or a notice; `seq` is 0 for one of ours."""

    def __init__(
        self, session: Session, reply: Outgoing, seq: int, files: LetterFiles, metrics: Metrics, clock: Clock
    ) -> None:
        self._session = session
        self._reply = reply
        self._seq = seq
        self._files = files
        self._metrics = metrics
        self._clock = clock

    async def sent(self, part: Part, *, last: bool, platform_id: str | None) -> None:
        """See Booking. The agent is told of an action in the same transaction. Until the next part is out, it is one
        that waits: nobody may take the reply for sent."""
        self._add(part.index, "sent", last=last, platform_id=platform_id, part_kind=kind(part))
        if not last:
            self._add(part.index + 1, "waiting", next_at=self._clock())
        done = done_in_words(self._reply)
        if last and done is not None:
            self._tell(done, ok=True)
        await self._session.books.commit()

    async def waits(self, part: int, *, attempts: int, next_at: int, reason: str) -> None:
        """See Booking."""
        self._add(part, "waiting", attempts=attempts, next_at=next_at, error=reason)
        await self._session.books.commit()

    async def given_up(self, part: int, *, attempts: int, reason: str, tell: bool = True) -> None:
        """See Booking. It becomes a dead letter in the same transaction."""
        burial = await self.bury(part, attempts=attempts, reason=reason, tell=tell)
        await self._session.books.commit()
        _log.error("a dead letter is kept: %s", reason, session=self._session.id, letter=burial.letter.id)
        await buried(self._session, [burial], self._files, self._metrics)

    async def bury(self, part: int, *, attempts: int, reason: str, tell: bool) -> Burial:
        """The same, but for the commit, which is left to the caller: its files are on the disk."""
        session, reply, now = self._session, self._reply, self._clock()
        letter = self._letter(part, attempts, reason, now)
        try:
            await self._files.write(letter.id, reply.files)
        except OSError:
            # Its text is kept all the same; a replay will say what is missing.
            _log.exception(
                "the files of a dead letter could not be kept", session=session.id, letter=letter.id
            )
        failpoint.hit("letter-files-kept")
        burial = Burial(letter)
        said = replace(reply, files=())

        def keep(db: sqlite3.Connection) -> None:
            burial.beyond[:] = dead_letters.keep(db, letter, said)
            if tell and not reply.notice and change(reply) is None:
                deliveries.add_notice(
                    db, session.id, reply.route, NOT_DELIVERED.format(reason=reason), now=now,
                    answers=reply.answers, notice_id=dead_letters.notice_id(letter.id),
                )  # fmt: skip

        self._add(part, "failed", last=True, attempts=attempts, error=reason)
        session.books.add(keep, session.notice_waits)
        if is_action(reply):
            self._tell(f"The channel did not take it: {reason}.", ok=False)
        return burial

    def refused(self, reason: str, *, in_line: bool) -> None:
        """It may not be sent at all: it rides with the next commit, and is no dead letter. A number out of line
        is not one to count on from."""
        self._add(0, "failed", last=True, error=reason, seen=in_line)

    def _add(
        self,
        part: int,
        state: str,
        *,
        last: bool = False,
        attempts: int = 0,
        next_at: int | None = None,
        platform_id: str | None = None,
        error: str | None = None,
        part_kind: PartKind | None = None,
        seen: bool = True,
    ) -> None:
        session, reply, seq, now = self._session, self._reply, self._seq, self._clock()

        def write(db: sqlite3.Connection) -> None:
            deliveries.record(
                db, session.id, reply.id, part=part, seq=seq, state=state, last=last, now=now, attempts=attempts,
                next_at=next_at, platform_id=platform_id, error=error, turn_id=reply.turn_id, route=reply.route,
                kind=part_kind or change(reply),
                edits=None if reply.edit is None or reply.notice else reply.edit.number,
            )  # fmt: skip
            if seen:
                rows.saw_seq(db, session.id, seq)

        session.books.add(write, (lambda: session.saw_out_seq(seq)) if seen else None)

    def _tell(self, text: str, *, ok: bool) -> None:
        session, out_id, seq, now = self._session, self._reply.id, self._seq, self._clock()
        told: list[MessageIn | None] = []

        def write(db: sqlite3.Connection) -> None:
            told[:] = [actions.tell_outcome(db, session, out_id, seq, ok=ok, text=text, now=now)]

        def remember() -> None:
            for row in told:
                if row is not None:
                    session.add(row)

        session.books.add(write, remember)

    def _letter(self, part: int, attempts: int, reason: str, now: int) -> Letter:
        reply = self._reply
        return Letter(
            id=dead_letters.new_id(),
            session=self._session.id,
            out_id=reply.id,
            seq=self._seq,
            kind="notice" if reply.notice else "reply",
            route=reply.route,
            answers=reply.answers,
            turn_id=reply.turn_id,
            files=tuple(LetterFile(file.name, file.media_type, len(file.data)) for file in reply.files),
            part=part,
            reason=reason,
            attempts=attempts,
            created_at=now,
        )


async def buried(session: Session, burials: Sequence[Burial], files: LetterFiles, metrics: Metrics) -> None:
    """To be called when these letters are durable. Raises DatabaseError."""
    metrics.dead_letters.labels("kept").inc(len(burials))
    beyond = [letter_id for burial in burials for letter_id in burial.beyond]
    for letter_id in beyond:
        _log.error("a dead letter is dropped: the session has too many", session=session.id, letter=letter_id)
        metrics.dead_letters.labels("dropped").inc()
    metrics.letters.set(len(await session.books.db.read(dead_letters.alive)))
    await files.remove(beyond)


class ReplayBooking:
    """A dead letter that is being sent again. To the agent the reply stays what it was told: failed, until the
    last part of it is out."""

    def __init__(
        self, session: Session, letter: Letter, files: LetterFiles, metrics: Metrics, clock: Clock
    ) -> None:
        self._session = session
        self._letter = letter
        self._files = files
        self._metrics = metrics
        self._clock = clock

    async def sent(self, part: Part, *, last: bool, platform_id: str | None) -> None:
        """See Booking."""
        letter, reply, now = self._letter, part.outgoing, self._clock()

        def write(db: sqlite3.Connection) -> None:
            deliveries.record(
                db, letter.session, letter.out_id, part=part.index, seq=letter.seq, state="sent", last=last, now=now,
                platform_id=platform_id, turn_id=letter.turn_id, route=letter.route, kind=kind(part),
                edits=None if reply.edit is None else reply.edit.number,
            )  # fmt: skip
            if not last:
                # The reply has ended long ago: a service that met it without an end would send it as a new one.
                deliveries.record(
                    db, letter.session, letter.out_id, part=part.index + 1, seq=letter.seq, state="failed", last=True,
                    now=now, error=letter.reason, turn_id=letter.turn_id,
                )  # fmt: skip
            dead_letters.went_on(db, letter.id, part.index + 1)

        await self._commit(write)

    async def waits(self, part: int, *, attempts: int, next_at: int, reason: str) -> None:
        """See Booking."""
        letter, now = self._letter, self._clock()
        await self._commit(
            lambda db: dead_letters.wait(
                db, letter.id, attempts=attempts, next_at=next_at, reason=reason, now=now
            )
        )

    async def given_up(self, part: int, *, attempts: int, reason: str, tell: bool = True) -> None:
        """See Booking. It is kept as before; the channel was told the first time."""
        now = self._clock()
        await self._commit(
            lambda db: dead_letters.keep_again(db, self._letter.id, attempts=attempts, reason=reason, now=now)
        )
        _log.error("a dead letter is kept: %s", reason, session=self._letter.session, letter=self._letter.id)
        self._metrics.dead_letters.labels("kept").inc()

    async def finished(self) -> None:
        """All of it is out. Raises DatabaseError."""
        letter, now = self._letter, self._clock()
        await self._commit(lambda db: dead_letters.replayed(db, letter, now=now))
        failpoint.hit("letter-replayed")
        self._metrics.dead_letters.labels("replayed").inc()
        self._metrics.letters.set(len(await self._session.books.db.read(dead_letters.alive)))
        await self._files.remove([letter.id])

    async def _commit(self, write: Write) -> None:
        self._session.books.add(write)
        await self._session.books.commit()
