"""Deferring: a message that a budget has refused is kept, and answered once there is room again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from adapters.base import Event, Receipt
from agent.protocol.messages import ChatIn, ContentIn, Route, TaskIn
from bot import cards
from bot.budgets import Budgets, Refused
from bot.db import budgets as rows
from bot.db.budgets import Kept
from bot.db.series import SeriesRecord
from bot.db.sessions import SessionRecord

KEPT_OF_ONE: Final = 20
"""So many wait for one budget, and KEPT in all: whoever comes then is asked to say it again."""
KEPT: Final = 1_000
AN_ADMIN_CAN: Final = (
    " An admin can extend it: your message is kept, and answered if that happens before then. Otherwise please send it"
    " again."
)
AS_SOON_AS: Final = " Your message is kept, and answered if there is something left."
AGAIN: Final = " Please send it again then."
IN_A_MOMENT: Final = " Please send it again in a moment."
NOT_RUN: Final = "The schedule {id} was not run: {text} It is run once if an admin extends it before then."
NOT_RUN_YET: Final = "The schedule {id} waits. {text} It is run once if there is something left."


@dataclass(frozen=True)
class KeptBack:
    """A message was refused by a budget; what its sender is told. Its files stay where it is `kept`."""

    text: str
    kept: bool


def keep_message(
    db: sqlite3.Connection,
    refused: Refused,
    event: Event,
    record: SessionRecord,
    message_id: str,
    content: ChatIn,
    *,
    now: int,
) -> KeptBack | Receipt:
    """Keeps it in this transaction, and says so; a bot's is not kept."""
    room = _has_room(db, refused.budget.subject) and not event.sender.is_bot
    if not room:
        return KeptBack(refused.text + (IN_A_MOMENT if refused.later else AGAIN), kept=False)
    person = f"{event.route.channel}:{event.sender.id}"
    kept = _kept(
        refused, record, event.route, message_id, event.id, content, person=person, sender_id=event.sender.id,
        created_at=event.created_at, now=now,
    )  # fmt: skip
    if not rows.keep(db, kept):
        return Receipt("duplicate")
    return KeptBack(refused.text + (AS_SOON_AS if refused.later else AN_ADMIN_CAN), kept=True)


def keep_task(
    db: sqlite3.Connection,
    budgets: Budgets,
    refused: Refused,
    found: SeriesRecord,
    record: SessionRecord,
    message_id: str,
    person: str,
    *,
    now: int,
) -> None:
    """The same for a schedule that has come due: it is run once, however often it was due, and said once."""
    if not _has_room(db, refused.budget.subject):
        return
    content = TaskIn(prompt=found.prompt, series=found.id)
    event_id = f"series:{found.id}"
    kept = _kept(
        refused, record, record.route, message_id, event_id, content, person=person, created_at=now, now=now
    )
    if rows.keep(db, kept):
        said = NOT_RUN_YET if refused.later else NOT_RUN
        text = said.format(id=found.id, text=refused.text)
        budgets.say(cards.say(db, record.route, text, now=now, session=record.id))


def _kept(
    refused: Refused,
    record: SessionRecord,
    route: Route,
    message_id: str,
    event_id: str,
    content: ContentIn,
    *,
    person: str,
    sender_id: str | None = None,
    created_at: int,
    now: int,
) -> Kept:
    return Kept(
        message_id=message_id,
        event_id=event_id,
        session=record.id,
        agent=record.agent,
        kind="task" if isinstance(content, TaskIn) else "chat",
        route=route,
        content=content.model_dump_json(),
        sender_id=sender_id,
        person=person,
        subject=refused.budget.subject,
        created_at=created_at,
        at=now,
        expires_at=refused.ends_at,
    )


def _has_room(db: sqlite3.Connection, subject: str) -> bool:
    own, every = rows.kept_count(db, subject)
    return own < KEPT_OF_ONE and every < KEPT
