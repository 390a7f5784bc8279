"""What an agent asks of the host, and how it is told what became of it.

An action is either something to be sent, which takes the road of every reply, or it is done here: its effect, its
books and the word to the agent are one transaction, so that it is done once, whenever the service is killed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, Protocol

from adapters.base import CARD, Edit, Outgoing, Reaction
from adapters.terminal.text import plain
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import (
    ActionOut,
    ActionResult,
    AddReaction,
    AnySystem,
    AskQuestion,
    ChangeTask,
    Edited,
    EditMessage,
    MessageIn,
    MessageOut,
    Reacted,
    Receipt,
    Report,
    Route,
    ScheduleTask,
    SystemIn,
    UpdateTask,
    Withdrawn,
)
from agent.protocol.requests import AnyRequest
from bot import destinations, log, outgoing, tasks
from bot.config_tables import SchedulesConfig
from bot.db import deliveries, inbox, problems, questions, targets
from bot.db import sessions as rows
from bot.db.targets import Own, Theirs
from bot.errors import CommandFailed
from bot.metrics import Metrics
from bot.redaction import redact
from bot.session import Session
from bot.signals import Signal

MAX_UNREAD: Final = 1_000
"""An agent that leaves so much unread is not told any more what became of its actions and messages."""
MAX_QUESTION_MS: Final = 24 * 3_600_000
"""No question stays open for longer, whatever its agent says."""
MAX_ERROR_CHARS: Final = 500
UNKNOWN: Final = "There is no message #{number} in this conversation that this could be done to."
NOT_YET: Final = "Message #{number} is not delivered yet."
NOT_DELIVERED: Final = "Message #{number} was not delivered."
NOT_OWN: Final = "Message #{number} is somebody else's: you can only edit your own messages."
NO_TEXT: Final = "Message #{number} has no text that could be replaced."
NO_MESSAGE: Final = "#{number} is the number of an action, not of a message."
NO_ID: Final = "Message #{number} cannot be found again on its platform."
NOT_THERE: Final = "This conversation may not write any more where message #{number} is."
NO_EMOJI: Final = "This is no emoji."
TAKEN: Final = "There is a question of this id already."
TOO_MANY: Final = "This conversation has asked for too much in the last hour."

_log = log.get("roost.actions")

Effect = Callable[[sqlite3.Connection, int], str]
"""What is to be done at a time on the clock; returns what the agent is told. Raises CommandFailed before it has
changed anything."""


class Asks(Protocol):
    """Who makes approvals of what an agent may not do alone (bot.requests.Requests)."""

    def ask(
        self, db: sqlite3.Connection, session: Session, message: MessageOut, asked: AnyRequest, *, now: int
    ) -> tuple[str, list[str]]:
        """Asks, in this transaction; what the agent is told, and the sessions that have something to be delivered.
        Raises CommandFailed before it has changed anything."""


class Actions:
    """Carries out what can be done at once, and makes of the rest what is to be sent."""

    def __init__(
        self,
        schedules: SchedulesConfig,
        requests: Asks,
        *,
        planned: Signal[str],
        said: Signal[str],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """`planned` is told the session whose schedules were changed, `said` one that has something to deliver."""
        self._requests = requests
        self._said = said
        self._schedules = schedules
        self._planned = planned
        self._metrics = metrics
        self._clock = clock
        self._seldom = log.Seldom()

    async def perform(
        self, session: Session, message: MessageOut, asked: ActionOut, *, answers: str | None
    ) -> Outgoing | Receipt:
        """What is to be sent, or the receipt of what is done. Raises DatabaseError."""
        match asked.do:
            case AskQuestion() as question:
                return await self._ask(session, message, question, answers)
            case EditMessage() as edit:
                return await self._edit(session, message, edit, answers)
            case AddReaction() as reaction:
                return await self._react(session, message, reaction, answers)
            case ScheduleTask() | UpdateTask() | ChangeTask() as task:
                return await self._plan(session, message, task)
            case Report() as report:
                return await self._report(session, message, report)
            case request:
                return await self._request(session, message, request)

    # ---------------------------------------------------------------- to be sent

    async def _ask(
        self, session: Session, message: MessageOut, asked: AskQuestion, answers: str | None
    ) -> Outgoing | Receipt:
        if asked.question_id.startswith(CARD):
            return await self._refuse(session, message, TAKEN)
        now, ours = self._clock(), [True]
        expires_at = min(asked.expires_at, now + MAX_QUESTION_MS)
        kept = asked.model_copy(update={"expires_at": expires_at})

        def keep(db: sqlite3.Connection) -> None:
            ours[:] = [questions.ask(db, session.id, message.id, message.route, kept, now=now)]

        session.books.add(keep)
        await session.books.commit()
        failpoint.hit("action-begun")
        if not ours[0]:
            return await self._refuse(session, message, TAKEN)
        return await outgoing.question(session, message, asked, answers=answers)

    async def _edit(
        self, session: Session, message: MessageOut, asked: EditMessage, answers: str | None
    ) -> Outgoing | Receipt:
        found = await self._find(session, message, asked.message)
        if isinstance(found, str):
            return await self._refuse(session, message, found)
        target, route = found
        if isinstance(target, Theirs):
            return await self._refuse(session, message, NOT_OWN.format(number=asked.message))
        if not target.ids:
            return await self._refuse(session, message, NO_TEXT.format(number=asked.message))
        edit = Edit(target.ids, asked.message)
        return await outgoing.edit(session, message, asked.text, edit, route=route, answers=answers)

    async def _react(
        self, session: Session, message: MessageOut, asked: AddReaction, answers: str | None
    ) -> Outgoing | Receipt:
        emoji = plain(asked.emoji).strip()
        if not emoji or len(emoji.split()) != 1 or redact(emoji) != emoji:
            return await self._refuse(session, message, NO_EMOJI)
        found = await self._find(session, message, asked.message)
        if isinstance(found, str):
            return await self._refuse(session, message, found)
        target, route = found
        if isinstance(target, Theirs):
            reaction = Reaction(emoji, asked.message, event=target.event_id)
        elif target.first is None:
            return await self._refuse(session, message, NO_ID.format(number=asked.message))
        else:
            reaction = Reaction(emoji, asked.message, message=target.first)
        return outgoing.reaction(message, reaction, route=route, answers=answers)

    async def _find(
        self, session: Session, message: MessageOut, number: int
    ) -> tuple[Own | Theirs, Route] | str:
        """What the number means and where that is, or why nothing can be done to it. Raises DatabaseError."""

        def look(db: sqlite3.Connection) -> tuple[Own | Theirs | None, bool]:
            target = targets.find(db, session.id, number, by=message.id)
            if target is None or target.route is None:
                return target, False
            # A place that was taken from the session since is out of its reach, with all that stands there.
            known = [target.route] if targets.came_from(db, session.id, target.route) else []
            return target, destinations.allowed(session.home, session.destinations, known, target.route)

        target, allowed = await session.books.db.read(look)
        why = _why_not(target)
        if why is None and not allowed:
            why = NOT_THERE
        if target is None or target.route is None or why is not None:
            return (why or UNKNOWN).format(number=number)
        return target, target.route

    # ---------------------------------------------------------------- done here

    async def _plan(
        self, session: Session, message: MessageOut, asked: ScheduleTask | UpdateTask | ChangeTask
    ) -> Receipt:
        if not session.may_act():
            return await self._refuse(session, message, TOO_MANY)

        def effect(db: sqlite3.Connection, now: int) -> str:
            return tasks.carry_out(db, session.id, asked, self._schedules, now=now, place=message.route)

        return await self._carry_out(session, message, effect, lambda: self._planned(session.id))

    async def _request(self, session: Session, message: MessageOut, asked: AnyRequest) -> Receipt:
        if not session.may_act():
            return await self._refuse(session, message, TOO_MANY)
        kicked: list[str] = []

        def effect(db: sqlite3.Connection, now: int) -> str:
            text, kicked[:] = self._requests.ask(db, session, message, asked, now=now)
            return text

        def then() -> None:
            for each in kicked:
                self._said(each)

        return await self._carry_out(session, message, effect, then)

    async def _report(self, session: Session, message: MessageOut, asked: Report) -> Receipt:
        if not session.may_act():
            return await self._refuse(session, message, TOO_MANY)
        problem, detail = redact(asked.problem), redact(asked.detail)

        def effect(db: sqlite3.Connection, now: int) -> str:
            problems.report(db, session.agent, session.id, problem, detail, turn_id=message.turn_id, now=now)
            return "An admin can see it."

        def tell() -> None:
            self._metrics.reports.labels(session.agent).inc()
            self._metrics.agent_problem.labels(session.agent).set(1)
            if self._seldom(f"{session.agent} {problem}"):
                line = " ".join(plain(f"{problem}. {detail}").split())
                _log.error("an agent has a problem: %s", line, session=session.id, agent=session.agent)

        return await self._carry_out(session, message, effect, tell)

    async def _refuse(self, session: Session, message: MessageOut, why: str) -> Receipt:
        """An agent could have itself refused without end, and every word to it is a row."""

        def effect(db: sqlite3.Connection, now: int) -> str:
            raise CommandFailed(why)

        to_tell = session.may_act() or session.may_be_told()
        return await self._carry_out(session, message, effect, lambda: None, to_tell=to_tell)

    async def _carry_out(
        self,
        session: Session,
        message: MessageOut,
        effect: Effect,
        then: Callable[[], None],
        *,
        to_tell: bool = True,
    ) -> Receipt:
        """Raises DatabaseError; then it is carried out with the next commit, and once all the same."""
        now = self._clock()
        failed: list[str] = []
        told: list[MessageIn | None] = []
        done: list[bool] = []

        def write(db: sqlite3.Connection) -> None:
            for each in (failed, told, done):
                each.clear()
            if deliveries.ended(db, session.id, message.id):
                return
            try:
                text = effect(db, now)
            except CommandFailed as exc:
                text = str(exc)
                failed.append(text[:MAX_ERROR_CHARS])
            failpoint.hit("action-mid-commit")
            deliveries.record(
                db, session.id, message.id, part=0, seq=message.seq, state="failed" if failed else "sent",
                last=True, now=now, error=failed[0] if failed else None, kind="action",
                # What is refused to an agent is no failure of what it was asked: its answer says more.
                turn_id=None if failed else message.turn_id,
            )  # fmt: skip
            rows.saw_seq(db, session.id, message.seq)
            done.append(not failed)
            if to_tell:
                row = tell_outcome(db, session, message.id, message.seq, ok=not failed, text=text, now=now)
                told.append(row)

        def remember() -> None:
            session.saw_out_seq(message.seq)
            for row in told:
                if row is not None:
                    session.add(row)
            if any(done):
                then()

        session.books.add(write, remember)
        await session.books.commit()
        failpoint.hit("action-performed")
        return Receipt(
            message_out_id=message.id,
            seq=message.seq,
            status="failed" if failed else "sent",
            error=failed[0] if failed else None,
            at=now,
        )


def tell_outcome(
    db: sqlite3.Connection, session: Session, out_id: str, seq: int, *, ok: bool, text: str, now: int
) -> MessageIn | None:
    """Tells the agent what became of an action, once; None when it was told before, or reads nothing any more."""
    if len(session.unfinished) >= MAX_UNREAD:
        return None
    result = ActionResult(message_id=out_id, ok=ok, text=text)
    return tell(db, session.id, result, event_id=f"action:{session.id}:{seq}", now=now)


def tell(
    db: sqlite3.Connection,
    session_id: str,
    system: AnySystem,
    *,
    event_id: str,
    route: Route | None = None,
    trigger: bool = False,
    now: int,
) -> MessageIn | None:
    """Puts a row of the host's own into the session's inbox; None when that event was there before or
    the session is not. Only a `trigger` wakes anybody."""
    record = rows.get(db, session_id)
    if record is None or inbox.known_in(db, session_id, event_id):
        return None
    return inbox.accept(
        db,
        record,
        message_id=inbox.new_id(),
        event_id=event_id,
        kind="system",
        content=SystemIn(system=system),
        route=route or record.route,
        created_at=now,
        now=now,
        trigger=trigger,
        about=system.seq if isinstance(system, Edited | Withdrawn | Reacted) else None,
    )


def _why_not(target: Own | Theirs | None) -> str | None:
    """Why nothing can be done to it; None when something can."""
    match target:
        case None:
            return UNKNOWN
        case Own(state="waiting"):
            return NOT_YET
        case Own(state="failed"):
            return NOT_DELIVERED
        case Own(route=None):
            return NO_ID
        case Own(is_message=False):
            return NO_MESSAGE
    return None
