"""Sending one reply: part by part, each recorded, retried with patience and given up loudly."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from adapters.base import Absent, Adapter, Outgoing, Part, SendFailed, clean
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import MessageOut, Receipt
from bot import log
from bot.absences import Absences
from bot.booking import Booking, ReplayBooking, ReplyBooking
from bot.db import dead_letters, deliveries
from bot.db.dead_letters import Letter
from bot.db.deliveries import Progress
from bot.gates import Gates
from bot.letter_files import LetterFiles
from bot.metrics import Metrics
from bot.session import Session

LAST_SEND_SECONDS: Final = 5.0
"""How long the service stays for a part that is on its way when it is told to stop."""
MAX_REASON_CHARS: Final = 500
PAUSED: Final = "the channel asked for a pause"
NOBODY: Final = "nobody is there"
NO_ANSWER: Final = "the platform did not answer in time"
UNREADABLE: Final = "its files cannot be read any more"

T = TypeVar("T")

_log = log.get("roost.sending")


@dataclass(frozen=True)
class Policy:
    """How often a part is sent, the wait between in milliseconds, which doubles every time, and how long the
    platform may take over one part."""

    max_attempts: int = 5
    base_ms: int = 1_000
    send_seconds: float = 60.0


class Aside(int):
    """A time on the clock at which to try again, and until then what stands behind may go first."""


@dataclass(frozen=True)
class _End:
    """Nothing is left to be sent: all of it is out, or it was given up for a reason."""

    platform_id: str | None = None
    error: str | None = None


class Sending:
    """Hands replies to the adapters and keeps the books."""

    def __init__(
        self,
        adapters: Mapping[str, Adapter],
        policy: Policy,
        files: LetterFiles,
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._adapters = adapters
        self._policy = policy
        self._files = files
        self._metrics = metrics
        self._clock = clock
        self._began_at = clock()
        self._gates = Gates()
        self._absent = Absences(clock)
        self._on_their_way: set[asyncio.Task[Any]] = set()
        self._finishing = False

    async def finish(self) -> None:
        """Begins to send nothing more, and returns when what is on its way has arrived, or after a while: an
        adapter that is gone does not hear any more that its platform has taken a part."""
        self._finishing = True
        if self._on_their_way:
            await asyncio.wait(self._on_their_way, timeout=LAST_SEND_SECONDS)

    def present(self, channel: str, platform_id: str) -> None:
        """Somebody is there again to take what is sent."""
        self._absent.over(channel, platform_id)

    async def waits(self, session: Session, message: MessageOut) -> int | None:
        """The time on the clock before which a reply needs not even be prepared, if there is one. Raises
        DatabaseError."""
        reply = Outgoing(message.id, message.route, "", turn_id=message.turn_id)
        if (until := self._absent.until(message.route)) is not None:
            session.marks.held_back(reply, NOBODY)
            return until
        if left := self._gates.left(message.route):
            session.marks.held_back(reply, PAUSED)
            return self._clock() + left
        if message.seq > session.newest_out_seq:
            return None
        at = await session.books.db.read(lambda db: deliveries.progress(db, session.id, message.id))
        return at.next_at if at.error is None and at.waits(self._clock()) else None

    async def send(self, session: Session, reply: Outgoing, *, seq: int) -> Receipt | int:
        """Sends what is still to be sent of a reply. Returns its receipt, or the time on the clock at which
        to try again. Raises DatabaseError."""
        at = Progress()
        if reply.notice or seq <= session.newest_out_seq:
            # It was begun before, by this service or an earlier one.
            at = await session.books.db.read(lambda db: deliveries.progress(db, session.id, reply.id))
        if at.error is not None:
            return self._receipt(reply.id, seq, error=at.error)
        if at.next_at is not None and at.waits(self._clock()):
            return at.next_at
        booking = ReplyBooking(session, reply, seq, self._files, self._metrics, self._clock)
        end = await self._send_rest(session, reply, at, booking)
        if isinstance(end, int):
            return end
        self._metrics.replies.labels(reply.route.channel, "failed" if end.error else "sent").inc()
        return self._receipt(reply.id, seq, platform_id=end.platform_id, error=end.error)

    async def replay(self, session: Session, letter: Letter) -> int | None:
        """Sends what was not sent of a dead letter. Returns the time on the clock at which to try again, if
        there is need to. Raises DatabaseError."""
        at = Progress(letter.part, letter.attempts, letter.next_at, letter.changed_at or 0)
        if at.next_at is not None and at.waits(self._clock()):
            return at.next_at
        booking = ReplayBooking(session, letter, self._files, self._metrics, self._clock)
        try:
            content = await session.books.db.read(lambda db: dead_letters.content(db, letter.id))
            files = await self._files.read(letter)
        except (OSError, ValueError):
            _log.exception("a dead letter cannot be read", session=session.id, letter=letter.id)
            await booking.given_up(letter.part, attempts=0, reason=UNREADABLE)
            return None
        if content is None:
            return None
        end = await self._send_rest(session, replace(content, files=files), at, booking)
        if isinstance(end, int):
            return end
        if end.error is None:
            await booking.finished()
        return None

    def refused(self, session: Session, message: MessageOut, why: str, *, in_line: bool) -> Receipt:
        """Books a reply that may not be sent at all."""
        reply = Outgoing(message.id, message.route, "", turn_id=message.turn_id)
        booking = ReplyBooking(session, reply, message.seq, self._files, self._metrics, self._clock)
        session.marks.given_up(message.id, why)
        booking.refused(why, in_line=in_line)
        return self._receipt(message.id, message.seq, error=why)

    async def _send_rest(
        self, session: Session, reply: Outgoing, at: Progress, booking: Booking
    ) -> _End | int:
        """Raises DatabaseError."""
        adapter = self._adapters.get(reply.route.channel)
        if adapter is None:
            why = f"there is no channel {reply.route.channel}"
            return await self._give_up(session, reply, booking, at, why, tell=False)
        reply = replace(reply, session=session.id)
        try:
            parts = adapter.render(reply)
        except SendFailed as exc:
            return await self._give_up(session, reply, booking, at, clean(str(exc))[:MAX_REASON_CHARS])
        except Exception as exc:
            # Another try would end the same way, and the replies behind this one have to go on.
            _log.exception("a reply could not be rendered", session=session.id, message_out=reply.id)
            return await self._give_up(session, reply, booking, at, type(exc).__name__)
        platform_id: str | None = None
        since = self._since(reply, at)
        for part in parts[at.next_part :]:
            if self._finishing:
                return self._clock() + int(LAST_SEND_SECONDS * 1000)
            if left := self._gates.left(reply.route):
                session.marks.held_back(reply, PAUSED)
                return self._clock() + left
            at = replace(at, next_part=part.index)
            came = self._absent.comings
            try:
                last = part.index == len(parts) - 1
                platform_id = await self._to_its_end(
                    self._send(session, adapter, replace(part, since=since), booking, last=last)
                )
            except Absent as exc:
                session.marks.held_back(reply, NOBODY)
                until = self._clock() + int((exc.retry_after or 60.0) * 1000)
                if exc.others_may_pass:
                    return Aside(until)
                self._absent.begin(reply.route, until, came=came)
                return until
            except SendFailed as exc:
                return await self._not_sent(session, reply, booking, at, exc)
            at, since = Progress(), None
        return _End(platform_id)

    def _since(self, reply: Outgoing, at: Progress) -> int | None:
        """Since when the next part may be on the platform without our knowing; None when it cannot be. What an
        earlier service has met it may have sent, and not lived to book."""
        now = self._clock()
        if at.attempts == 0 and reply.created_at >= self._began_at:
            return None
        return max(0, min(reply.created_at or now, now))

    async def _send(
        self, session: Session, adapter: Adapter, part: Part, booking: Booking, *, last: bool
    ) -> str | None:
        """Raises SendFailed, DatabaseError."""
        session.marks.sent(part.outgoing, part.index)
        try:
            failpoint.hit("before-send")
            async with asyncio.timeout(self._policy.send_seconds) as patience:
                platform_id = await adapter.send(part)
        except SendFailed:
            raise
        except TimeoutError as exc:
            # Nobody knows whether it was taken, as when a line breaks.
            why = NO_ANSWER if patience.expired() else type(exc).__name__
            raise SendFailed(why, retry_after=0) from exc
        except Exception as exc:
            _log.exception("an adapter failed", session=session.id, message_out=part.outgoing.id)
            raise SendFailed(type(exc).__name__, retry_after=0) from exc
        failpoint.hit("after-send")
        if last:
            for seconds in session.marks.acknowledged(part.outgoing, part.index + 1):
                self._metrics.answer_seconds.observe(seconds)
        await booking.sent(part, last=last, platform_id=platform_id)
        failpoint.hit("sent-recorded")
        return platform_id

    async def _not_sent(
        self, session: Session, reply: Outgoing, booking: Booking, at: Progress, failure: SendFailed
    ) -> _End | int:
        now, reason = self._clock(), clean(str(failure))[:MAX_REASON_CHARS]
        if failure.retry_after is None:
            return await self._give_up(session, reply, booking, replace(at, attempts=at.attempts + 1), reason)
        pause = int(failure.retry_after * 1000)
        if pause > 0:
            already = self._gates.left(reply.route)
            self._gates.shut(reply.route, pause, everywhere=failure.everywhere)
            if already:
                # Somebody else was told so while this part was on its way, and has paid for it with an attempt.
                return now + max(already, pause)
        at = replace(at, attempts=at.attempts + 1)
        if at.attempts >= self._policy.max_attempts:
            return await self._give_up(session, reply, booking, at, reason)
        next_at = now + max(pause, int(self._policy.base_ms * 2 ** (at.attempts - 1)))
        session.marks.put_off(reply, at.next_part, at.attempts, reason, until=next_at)
        await booking.waits(at.next_part, attempts=at.attempts, next_at=next_at, reason=reason)
        failpoint.hit("retry-recorded")
        return next_at

    async def _give_up(
        self,
        session: Session,
        reply: Outgoing,
        booking: Booking,
        at: Progress,
        reason: str,
        *,
        tell: bool = True,
    ) -> _End:
        _log.error("a reply is given up: %s", reason, session=session.id, message_out=reply.id)
        session.marks.given_up(reply.id, reason)
        await booking.given_up(at.next_part, attempts=at.attempts, reason=reason, tell=tell)
        failpoint.hit("reply-given-up")
        return _End(error=reason)

    def _receipt(
        self, out_id: str, seq: int, *, platform_id: str | None = None, error: str | None = None
    ) -> Receipt:
        return Receipt(
            message_out_id=out_id,
            seq=seq or 1,
            status="failed" if error else "sent",
            platform_message_id=platform_id,
            error=error,
            at=self._clock(),
        )

    async def _to_its_end(self, sending: Coroutine[Any, Any, T]) -> T:
        """Awaits what must not be cut in two: a part that the platform has taken and nobody has booked is sent
        again. Whoever is cancelled meanwhile is so afterwards."""
        task = asyncio.create_task(sending, name="send")
        self._on_their_way.add(task)
        task.add_done_callback(self._on_their_way.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task], timeout=LAST_SEND_SECONDS)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
