"""Deferring: a message that a budget has refused is kept, and answered once there is room again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from typing import Final

from adapters.base import Event, Receipt
from agent.protocol.messages import ChatIn, ContentIn, Route, TaskIn
from bot import access, cards
from bot.access import Allow, Facts
from bot.budgets import Budgets, Refused
from bot.db import budgets as rows
from bot.db.budgets import Kept
from bot.db.inbox import Accepted
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
    """A message was refused by a budget; what its sender is told. `ids` are those of the messages that are kept for it,
    whose files stay where they are. Of several agents some may have `accepted` it."""

    text: str
    ids: frozenset[str] = frozenset()
    accepted: tuple[Accepted, ...] = ()


def keep_message(
    db: sqlite3.Connection,
    refused: Refused,
    event: Event,
    record: SessionRecord,
    message_id: str,
    content: ChatIn,
    *,
    now: int,
) -> KeptBack | None:
    """Keeps it in this transaction, and says so; a bot's is not kept. None: it is kept already."""
    room = _has_room(db, refused.budget.subject) and not event.sender.is_bot
    if not room:
        return KeptBack(refused.text + (IN_A_MOMENT if refused.later else AGAIN))
    person = f"{event.route.channel}:{event.sender.id}"
    kept = _kept(
        refused, record, event.route, message_id, event.id, content, person=person, sender_id=event.sender.id,
        created_at=event.created_at, now=now,
    )  # fmt: skip
    if not rows.keep(db, kept):
        return None
    return KeptBack(refused.text + (AS_SOON_AS if refused.later else AN_ADMIN_CAN), frozenset({message_id}))


def revise(db: sqlite3.Connection, event: Event, facts: Facts) -> Receipt | None:
    """What waits is changed, or taken back, by whoever has said it. None: nothing waits that the event is about."""
    found = rows.kept_of(db, event.about, event.route.channel)
    if not found:
        return None
    theirs = event.sender.id in ("", found[0].sender_id)
    if not theirs or not isinstance(access.decide(event, replace(facts, accepted=True)), Allow):
        return Receipt("dropped")
    for each in found:
        if event.kind == "delete":
            rows.let_go(db, each.message_id)
        else:
            content = ChatIn.model_validate_json(each.content).model_copy(update={"text": event.text})
            rows.reword(db, each.message_id, content.model_dump_json())
    return Receipt("accepted")


def keep_task(
    db: sqlite3.Connection,
    budgets: Budgets,
    refused: Refused,
    found: SeriesRecord,
    record: SessionRecord,
    message_id: str,
    person: str,
    place: Route,
    *,
    now: int,
) -> None:
    """The same for a schedule that has come due: it is run once, however often it was due, and said once."""
    if not _has_room(db, refused.budget.subject):
        return
    content = TaskIn(prompt=found.prompt, series=found.id)
    event_id = f"series:{found.id}"
    kept = _kept(
        refused, record, place, message_id, event_id, content, person=person, created_at=now, now=now
    )
    if rows.keep(db, kept):
        said = NOT_RUN_YET if refused.later else NOT_RUN
        text = said.format(id=found.id, text=refused.text)
        budgets.say(cards.say(db, place, text, now=now, session=record.id))


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
