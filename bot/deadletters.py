"""Dead letters: what an admin does with a reply that could not be delivered."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from agent.protocol import failpoint
from agent.protocol.clock import Clock
from bot.db import audit, dead_letters, sessions
from bot.db.audit import Actor
from bot.db.dead_letters import Letter
from bot.db.engine import Database
from bot.delivery import Delivery
from bot.errors import CommandFailed
from bot.letter_files import LetterFiles
from bot.metrics import Metrics
from bot.sessions import Sessions

REPLAYED_AT_ONCE: Final = 100


class DeadLetters:
    """Replays and drops them. The sending itself happens in the lane of each letter's session."""

    def __init__(
        self,
        db: Database,
        loaded: Sessions,
        delivery: Delivery,
        files: LetterFiles,
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._db = db
        self._sessions = loaded
        self._delivery = delivery
        self._files = files
        self._metrics = metrics
        self._clock = clock

    async def clean_up(self) -> None:
        """Removes the files that a killed service copied for letters that it never kept, or left when they were
        over. To be called before anything is delivered. Raises DatabaseError, OSError."""
        alive = await self._db.read(dead_letters.alive)
        self._metrics.letters.set(len(alive))
        await self._files.clean_up(alive)

    async def replay(self, letter: Letter, *, by: Actor) -> None:
        """Has a letter sent again. Raises CommandFailed when it is not kept any more, DatabaseError."""
        now = self._clock()

        def begin(db: sqlite3.Connection) -> Letter | None:
            if dead_letters.replay(db, letter.id, now=now, by=by.ref):
                _audit(db, by, "deadletter replay", letter, now)
                return None
            return dead_letters.by_prefix(db, letter.id)[0]

        _refuse(await self._db.write(begin))
        await self._send({letter.session})

    async def replay_all(self, *, by: Actor) -> list[Letter]:
        """Has the oldest kept letters sent again, REPLAYED_AT_ONCE at most. Raises DatabaseError."""
        now = self._clock()

        def begin(db: sqlite3.Connection) -> list[Letter]:
            found = dead_letters.replay_oldest(db, REPLAYED_AT_ONCE, now=now, by=by.ref)
            for letter in found:
                _audit(db, by, "deadletter replay", letter, now)
            return found

        letters = await self._db.write(begin)
        await self._send({letter.session for letter in letters})
        return letters

    async def drop(self, letter: Letter, *, by: Actor) -> None:
        """Lets go of a letter for good. Raises CommandFailed when it is not kept any more, DatabaseError."""
        now = self._clock()

        def end(db: sqlite3.Connection) -> Letter | None:
            found = dead_letters.by_prefix(db, letter.id)[0]
            if found.state != "kept":
                return found
            dead_letters.drop(db, letter.id, now=now, by=by.ref)
            _audit(db, by, "deadletter drop", letter, now)
            return None

        _refuse(await self._db.write(end))
        self._metrics.dead_letters.labels("dropped").inc()
        self._metrics.letters.set(len(await self._db.read(dead_letters.alive)))
        failpoint.hit("letter-dropped")
        await self._files.remove([letter.id])

    async def _send(self, session_ids: Iterable[str]) -> None:
        failpoint.hit("replay-begun")
        for session_id in session_ids:
            session = await self._sessions.get(session_id)
            session.replay_waits()
            self._delivery.kick(session_id)


def _audit(db: sqlite3.Connection, by: Actor, action: str, letter: Letter, now: int) -> None:
    record = sessions.get(db, letter.session)
    agent = None if record is None or record.agent == sessions.HOUSE else record.agent
    before = {"kind": letter.kind, "reason": letter.reason, **letter.route.model_dump()}
    audit.record(db, by, action, f"deadletter:{letter.id}", now=now, agent=agent, before=before)


def _refuse(found: Letter | None) -> None:
    """Says why nothing can be done with a letter. Raises CommandFailed."""
    if found is None:
        return
    if found.state == "replaying":
        raise CommandFailed(f"Dead letter {found.id} is being sent again already.")
    at = datetime.fromtimestamp((found.changed_at or 0) / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    done = "was sent again already" if found.state == "replayed" else "was dropped"
    raise CommandFailed(f"Dead letter {found.id} {done}, {at}, by {found.changed_by}.")
