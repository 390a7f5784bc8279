"""Answers: what people say to a question that an agent has asked. The first one counts."""

from __future__ import annotations

import sqlite3
from typing import Final

from adapters.base import OVER, Answered, Event, Receipt
from agent.protocol.messages import Answer
from bot import access, hearing
from bot.access import Allow, Drop
from bot.actions import tell
from bot.db import audit, deliveries, inbox, questions
from bot.db import sessions as rows
from bot.db.audit import Actor
from bot.db.deliveries import More
from bot.db.inbox import Accepted
from bot.db.questions import Open
from bot.errors import CommandFailed
from bot.screening import screened
from bot.wirings import Wirings

NOT_OPEN: Final = "This question is not open any more."
EXPIRED: Final = "This question has expired: nobody waits for the answer any more."
SETTLED: Final = "Answered by {by}: {answer}"
CANCELLED: Final = "Cancelled by {by}: nobody answers."
ANSWERED: Final = "This question is answered already."


def instead(
    db: sqlite3.Connection, found: Open, text: str | None, *, by: Actor, event_id: str, now: int
) -> Accepted | None:
    """The same for an answer by a command, None being that nobody answers, in this transaction and with its row in the
    audit: the question is shown as settled where it was asked. Raises CommandFailed when it is not open any more."""
    asked = found.question
    if asked.state == "open" and asked.expires_at <= now:
        raise CommandFailed(EXPIRED)
    done = (
        questions.cancel(db, asked.id, by=by.id)
        if text is None
        else questions.answer(db, asked.id, text, by=by.id)
    )
    if not done:
        raise CommandFailed(NOT_OPEN)
    action = "question cancel" if text is None else "question answer"
    audit.record(
        db, by, action, f"question:{asked.id}", now=now, agent=found.agent,
        before={"question": asked.question}, after=None if text is None else {"answer": text},
    )  # fmt: skip
    settled = CANCELLED.format(by=by.name) if text is None else SETTLED.format(by=by.name, answer=text)
    shown = "\n\n".join(part for part in (asked.title, asked.question, settled) if part)
    more = More(replaces=(found.out_id,))
    deliveries.add_notice(db, asked.session, asked.route, screened(shown), now=now, more=more)
    answer = Answer(question_id=asked.id, question=asked.question, answer=text, answered_by=by.name)
    record = rows.get(db, asked.session)
    row = tell(db, asked.session, answer, event_id=event_id, route=asked.route, trigger=True, now=now)
    return None if record is None or row is None else Accepted(record, row)


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
        if asked.answer is None:
            # An admin has cancelled it.
            return Receipt("refused", NOT_OPEN)
        return Receipt("refused", ANSWERED, Answered(asked.answer or text, asked.answered_by or ""))
    answer = Answer(question_id=asked.id, question=asked.question, answer=text, answered_by=event.sender.name)
    row = tell(db, asked.session, answer, event_id=event.id, route=asked.route, trigger=True, now=now)
    return Receipt("dropped") if row is None else [Accepted(record, row)]
