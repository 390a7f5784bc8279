"""Answers: what people say to a question that an agent has asked. The first one counts."""

from __future__ import annotations

import sqlite3
from typing import Final

from adapters.base import OVER, Answered, Event, Receipt
from agent.protocol.messages import Answer
from bot import access, hearing
from bot.access import Allow, Drop
from bot.actions import tell
from bot.db import inbox, questions
from bot.db import sessions as rows
from bot.db.inbox import Accepted
from bot.wirings import Wirings

NOT_OPEN: Final = "This question is not open any more."
EXPIRED: Final = "This question has expired: nobody waits for the answer any more."
ANSWERED: Final = "This question is answered already."


def accept(db: sqlite3.Connection, event: Event, wirings: Wirings, *, now: int) -> list[Accepted] | Receipt:
    """The row that tells the agent which has asked; or the receipt of an answer of somebody who may not answer it, that
    comes too late, or to no question of this place. `now` is in epoch milliseconds. Only within `Database.write`."""
    asked = questions.get(db, event.question_id)
    record = None if asked is None else rows.get(db, asked.session)
    wiring = wirings.of(event.route) if record is None else wirings.serving(event.route, record.agent)
    decided = access.decide(event, hearing.facts(db, event, wiring))
    if not isinstance(decided, Allow):
        return decided.receipt if isinstance(decided, Drop) else Receipt("dropped")
    if inbox.known(db, event.id):
        return Receipt("duplicate")
    if asked is None or record is None or asked.route != event.route:
        return Receipt("refused", NOT_OPEN)
    if asked.state == "open" and asked.expires_at <= now:
        return Receipt("refused", EXPIRED, OVER)
    text = event.text if event.choice is None else asked.option(event.choice)
    if text is None:
        return Receipt("refused", NOT_OPEN)
    if not questions.answer(db, asked.id, text, by=event.sender.id):
        return Receipt("refused", ANSWERED, Answered(asked.answer or text, asked.answered_by or ""))
    answer = Answer(question_id=asked.id, question=asked.question, answer=text, answered_by=event.sender.name)
    row = tell(db, asked.session, answer, event_id=event.id, route=asked.route, trigger=True, now=now)
    return Receipt("dropped") if row is None else [Accepted(record, row)]
