"""Cards: what the service itself shows with buttons. A button is a command: pressing it gives that command, in the name
of whoever presses, and `access.decide` has the same say as if it had been typed.

A card is written in the transaction of whatever it is about, and delivered like every other message, so that it is
shown once whenever the service is killed. When its subject is settled, by whatever route, all cards about it lose their
buttons and say so.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from adapters.base import Question
from agent.protocol.clock import Clock
from agent.protocol.messages import Card, Route
from bot import log
from bot.db import cards, deliveries
from bot.db import sessions as rows
from bot.db.cards import CardRecord, Option
from bot.db.deliveries import Buttons, More
from bot.db.engine import Database
from bot.delivery import Delivery
from bot.errors import DatabaseError
from bot.sessions import Sessions

OVER: Final = "Nobody has decided in time."
LOOK_SECONDS: Final = 10.0
KEPT_MS: Final = 90 * 24 * 3_600_000

_log = log.get("roost.cards")


def say(
    db: sqlite3.Connection,
    route: Route,
    text: str,
    *,
    now: int,
    card: Card | None = None,
    session: str | None = None,
) -> str:
    """Has the service say something in a place, in this transaction; returns the session whose delivery is to be kicked
    once it is committed (`Cards.deliver`). `session` is the one that it belongs to, where it belongs to one."""
    sender = session or rows.resolve(db, rows.HOUSE, route, now).id
    deliveries.add_notice(db, sender, route, text, now=now, more=None if card is None else More(card=card))
    return sender


def show(
    db: sqlite3.Connection,
    route: Route,
    text: str,
    options: Sequence[Option],
    *,
    subject: str,
    expires_at: int,
    now: int,
    session: str | None = None,
) -> str:
    """The same with buttons, until `expires_at`. `subject` is what all cards about one thing have in common; `text` is
    Markdown, and stays when the buttons have gone."""
    sender = session or rows.resolve(db, rows.HOUSE, route, now).id
    card_id = cards.new_id()
    buttons = Buttons(card_id, tuple(each.label for each in options), expires_at)
    notice = deliveries.add_notice(db, sender, route, text, now=now, more=More(buttons=buttons))
    record = CardRecord(card_id, subject, sender, notice, route, text, options, "open", None, expires_at)
    cards.add(db, record, now=now)
    return sender


def close(db: sqlite3.Connection, subject: str, outcome: str, *, now: int) -> list[str]:
    """Takes the buttons of every card about the subject away, in this transaction, and puts `outcome` beneath the text;
    returns the sessions whose delivery is to be kicked."""
    return _replaced(db, cards.close(db, subject, outcome), now=now)


def add_outcome(db: sqlite3.Connection, subject: str, more: str, *, now: int) -> list[str]:
    """What has come of a thing is put behind the outcome of its closed cards, in this transaction; returns the sessions
    whose delivery is to be kicked."""
    changed: list[CardRecord] = []
    for card in cards.about(db, subject):
        if card.state == "closed" and card.notice:
            outcome = f"{card.outcome} {more}" if card.outcome else more
            cards.put(db, card, outcome)
            changed.append(replace(card, outcome=outcome))
    return _replaced(db, changed, now=now)


def offer(
    db: sqlite3.Connection,
    route: Route,
    options: Sequence[Option],
    *,
    subject: str,
    expires_at: int,
    now: int,
) -> Question:
    """Buttons for `Receipt.ask`, beneath what a command says to one person: no notice shows them, and one of them is
    pressed once."""
    sender = rows.resolve(db, rows.HOUSE, route, now).id
    record = CardRecord(cards.new_id(), subject, sender, "", route, "", options, "open", None, expires_at)
    cards.add(db, record, now=now)
    return Question(record.id, "", "", [each.label for each in options], expires_at=expires_at)


def _replaced(db: sqlite3.Connection, closed: Sequence[CardRecord], *, now: int) -> list[str]:
    """An edit for each that a notice has shown. It comes behind that notice in its lane, so that nothing has to be
    known of how far that one is."""
    shown = [card for card in closed if card.notice]
    for card in shown:
        more = More(replaces=card.shown_by)
        text = "\n\n".join(part for part in (card.text, card.outcome) if part)
        edit = cards.edited(db, card)
        deliveries.add_notice(db, card.session, card.route, text, now=now, more=more, notice_id=edit)
    return [card.session for card in shown]


class Cards:
    """Has delivered what was written, and closes what is overdue."""

    name = "cards"

    def __init__(self, db: Database, sessions: Sessions, delivery: Delivery, clock: Clock) -> None:
        self._db = db
        self._sessions = sessions
        self._delivery = delivery
        self._clock = clock

    def deliver(self, session_ids: Iterable[str]) -> None:
        """What was said for these sessions is committed, and can go out."""
        for session_id in dict.fromkeys(session_ids):
            session = self._sessions.loaded(session_id)
            if session is not None:
                session.notice_waits()
            self._delivery.kick(session_id)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.expire()
            except DatabaseError as exc:
                _log.error("cards that are overdue stay open: %s", exc)
            await asyncio.sleep(LOOK_SECONDS)

    async def expire(self) -> None:
        """Closes what is overdue now. Raises DatabaseError."""
        now = self._clock()
        if not await self._db.read(lambda db: cards.overdue(db, now) or cards.forgotten(db, now - KEPT_MS)):
            return

        def work(db: sqlite3.Connection) -> list[str]:
            over = [cards.take(db, each.id, OVER) for each in cards.overdue(db, now)]
            cards.forget(db, now - KEPT_MS)
            return _replaced(db, [each for each in over if each is not None], now=now)

        self.deliver(await self._db.write(work))
