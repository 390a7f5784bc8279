"""An ack is a claim: what it ends is decided here."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from agent.protocol.mailbox import StatusChange
from agent.protocol.messages import Ack, AckStatus
from bot.db import deliveries, inbox
from bot.folding import fold, record, remember
from bot.turns import UNREADABLE, Again, again
from bot.turns import remember as remember_try
from tests.fakes.rooms import accept, room

NOW = 1_000


def ack(message_id: str, status: AckStatus = "completed") -> Ack:
    return Ack(message_id=message_id, status=status, status_changed=1, turn_id="turn")


async def test_an_ack_ends_a_message_of_the_session_that_is_due(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        one, two, three = [await accept(session, text) for text in ("one", "two", "three")]
        acks = [
            ack(one.id),
            ack(two.id, "processing"),
            ack(three.id, "failed"),
            ack("unknown"),
        ]
        folded = fold(session, acks, NOW)
        assert [message for message, _ in folded.done] == [one]
        assert list(folded.failed) == [three]


async def test_a_message_in_backoff_is_not_ended(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        message = await accept(session, "one")
        decided = Again(1, NOW + 1)
        await session.books.db.write(lambda db: again(db, message, decided))
        remember_try(session, message, decided)
        assert not fold(session, [ack(message.id)], NOW)
        assert fold(session, [ack(message.id)], NOW + 1)


async def test_an_end_is_for_good_and_a_failure_is_said(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        done, failed = await accept(session, "done"), await accept(session, "failed")
        folded = fold(session, [ack(done.id), ack(failed.id, "failed")], NOW)
        turned = fold(session, [ack(done.id, "failed"), ack(failed.id)], NOW)
        db = session.books.db
        await db.write(lambda db: record(db, session.id, folded, NOW, {}))
        remember(session, folded)
        await db.write(lambda db: inbox.settle(db, session.id, [failed.id], turn_id=None, now=NOW))
        await db.write(
            lambda db: inbox.fail(db, session.id, [m.id for m in turned.failed], error="", now=NOW)
        )
        assert await db.read(inbox.counts) == {"accepted": 0, "posted": 0, "done": 1, "failed": 1}
        (notice,) = await db.read(lambda db: deliveries.notices(db, session.id))
        assert (notice.text, notice.answers) == (UNREADABLE, failed.event_id)
        assert session.has_notices
        assert session.waiting.changes == [
            StatusChange(done.id, "completed"),
            StatusChange(failed.id, "failed"),
        ]


async def test_an_ack_of_another_session_ends_nothing(tmp_path: Path) -> None:
    def foreign(db: sqlite3.Connection) -> None:
        inbox.settle(db, "another", ["message-one"], turn_id=None, now=NOW)

    async with room(tmp_path) as session:
        await accept(session, "one")
        await session.books.db.write(foreign)
        assert (await session.books.db.read(inbox.counts))["accepted"] == 1
