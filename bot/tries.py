"""Tries: who is to blame when a container ends before its work is done, and when to give up."""

from __future__ import annotations

from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import MessageIn
from bot import log, turns
from bot.db.engine import Database
from bot.delivery import Delivery
from bot.metrics import Metrics
from bot.session import Session
from bot.turns import GAVE_UP, Again, Policy

_log = log.get("roost.tries")


class Tries:
    """Keeps the count."""

    def __init__(
        self, db: Database, delivery: Delivery, policy: Policy, *, metrics: Metrics, clock: Clock
    ) -> None:
        self._db = db
        self._delivery = delivery
        self._policy = policy
        self._metrics = metrics
        self._clock = clock

    def waits_ms(self, message: MessageIn) -> int:
        """For how long the message is still held back."""
        return turns.waits_ms(message, now=self._clock(), policy=self._policy)

    async def used_up(self, session: Session, *, why: str, clean: bool = False, text: str = GAVE_UP) -> None:
        """A container that was to see to it has failed: the oldest message that it can have seen has used up
        a try; `why` goes into its trace. After the last one it is given up, and `text` is said. To be called
        with the session's lock held. Raises DatabaseError."""
        oldest, now = session.oldest(), self._clock()
        if oldest is None or not session.was_posted(oldest) or self.waits_ms(oldest):
            return
        if session.behind:
            # It was not even to be begun with.
            return
        decided = turns.verdict(oldest, clean=clean, now=now, policy=self._policy)
        session.marks.try_lost(oldest.id, why, until=decided.at if isinstance(decided, Again) else None)
        _log.warning("a try is used up: %s", why, session=session.id, message=oldest.id, tries=decided.tries)
        if isinstance(decided, Again):
            await self._db.write(lambda db: turns.again(db, oldest, decided))
            failpoint.hit("try-counted")
            turns.remember(session, oldest, decided)
        else:
            await self.give_up(session, [oldest], text.format(tries=decided.tries))

    async def give_up(self, session: Session, messages: list[MessageIn], text: str) -> None:
        """The messages have failed, and `text` is said where they came from. To be called with the session's
        lock held. Raises DatabaseError."""
        if not messages:
            return
        now = self._clock()
        # What a person has stopped is nothing to look into.
        tell = _log.info if text == turns.STOPPED else _log.error
        for message in messages:
            tell("a message is given up: %s", text, session=session.id, message=message.id)
        await self._db.write(lambda db: turns.give_up(db, session, messages, text, now=now))
        failpoint.hit("turn-given-up")
        turns.forget(session, messages)
        self._metrics.turns.labels("failed").inc()
        self._delivery.kick(session.id)
