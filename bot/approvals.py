"""Approvals: what an agent may not do alone, or a stranger, becomes a card that an admin decides upon.

    asked (row and cards in one transaction) -> open -> approved -> done | failed
                                                     -> denied | expired | withdrawn (its agent is gone)

It is decided once, by whoever is entitled for its agent, with the command `approval approve` or `approval deny`, which
the buttons give. What was approved is carried out by `Approvals.run`, again after a restart until its end is written:
an effect has to bear that. Its cards say first who has decided, then what has come of it. The agent that has asked is
told as well, and the place where it came from where the approval is `announced`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Literal

from adapters.base import DIRECT
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import MAX_TEXT_CHARS, Note, Route
from bot import cards, log, surfaces
from bot.actions import tell
from bot.cards import Cards
from bot.db import approvals, audit, people, places, sessions
from bot.db.approvals import ApprovalRecord
from bot.db.audit import SERVICE, Actor
from bot.db.cards import Option
from bot.db.engine import Database
from bot.db.inbox import Accepted
from bot.errors import CommandFailed, DatabaseError, RoostError
from bot.redaction import redact
from bot.sessions import Sessions
from bot.signals import Signal
from bot.striking import struck
from container.base import BackendError

EXPIRES_MS: Final = 24 * 3_600_000
MAX_OPEN: Final = 20
"""So many a session may have open."""
MAX_OPEN_OF_AGENT: Final = 60
"""So many an agent may have open, in however many sessions."""
ASKED_AT_ONCE: Final = 5
"""So many admins are sent a card, where no place is set for approvals."""
LOOK_SECONDS: Final = 10.0
APPROVE: Final = "Approve"
DENY: Final = "Deny"
GONE: Final = "There is no approval {id}; `{listing}` shows them."
SETTLED: Final = "This was {state} already{by}."
OVER: Final = "This has expired: nobody has decided in time."
TOO_MANY: Final = (
    "There are {count} requests open in this conversation already; wait until an admin has decided."
)
TOO_MANY_OF_AGENT: Final = (
    "There are {count} requests of yours open already, in all conversations; wait until an admin has decided."
)
CARD_CHARS: Final = 30_000
"""So long the text of a card may be: what is to be done beyond that is read with `approval show`."""
CUT: Final = "(These are the first {shown:,} of {count:,} characters; `{command}` has all of them.)"
AGENT_GONE: Final = "The agent {agent} is not there any more."
NOBODY: Final = "There is nobody who could allow this: nobody owns the bot."

_log = log.get("roost.approvals")

Effect = Callable[[ApprovalRecord], Awaitable[str]]
"""Does what an approved one of its kind is for, in the way of its `choice`; returns what was done, in one sentence. It
may be called again for the same one after a crash. Raises CommandFailed with what has kept it from being done."""

Refusal = Callable[[sqlite3.Connection, ApprovalRecord, int], Sequence[str]]
"""What the end of one of its kind without an effect does, in the transaction in which it is denied, expires or is
withdrawn, at that time: returns the sessions to be delivered."""
NOTHING: Final[Mapping[str, Refusal]] = MappingProxyType({})


def ask(
    db: sqlite3.Connection,
    *,
    kind: str,
    agent: str,
    asked_by: str,
    summary: str,
    details: str,
    effect: Mapping[str, Any],
    now: int,
    session: str | None = None,
    route: Route | None = None,
    choices: Sequence[str] = (APPROVE,),
    level: Literal["admin", "owner"] = "admin",
    announced: bool = False,
    expires_ms: int = EXPIRES_MS,
    near: Route | None = None,
) -> tuple[ApprovalRecord, list[str]]:
    """Asks the admins of `agent`, in this transaction; returns the approval, and the sessions to be delivered once it
    is committed (`Cards.deliver`). The agent has to be one that there is, or "" for the service as a whole. `summary`
    is one sentence; `details` is Markdown, with everything that would be done. `session`: its agent is told what
    becomes of it. `announced`: the service itself says so at `route`. `near` is the place whose admins are asked, where
    that is not `route`. What is asked for already is not asked for twice. Raises CommandFailed when nobody could
    decide, or too much is open."""
    found = approvals.same_open(db, kind, agent, effect)
    if found is not None:
        return found, []
    if session is not None and (count := approvals.open_of(db, session)) >= MAX_OPEN:
        raise CommandFailed(TOO_MANY.format(count=count))
    if session is not None and (count := approvals.open_of_agent(db, agent)) >= MAX_OPEN_OF_AGENT:
        raise CommandFailed(TOO_MANY_OF_AGENT.format(count=count))
    to = audience(db, agent or None, level, near or route)
    if not to:
        raise CommandFailed(NOBODY)
    approval = ApprovalRecord(
        approvals.new_id(),
        kind,
        agent,
        session,
        route,
        asked_by,
        redact(summary),
        redact(details),
        effect,
        choices,
        level,
        announced and route is not None,
        now,
        now + expires_ms,
    )
    approvals.add(db, approval)
    options = buttons(approval)
    shown = [
        cards.show(
            db,
            place,
            in_words(approval, place.channel),
            options,
            subject=approval.subject,
            expires_at=approval.expires_at,
            now=now,
        )
        for place in to
    ]
    return approval, shown


def buttons(approval: ApprovalRecord) -> list[Option]:
    """How it can be decided."""
    return [
        *(Option(each, "approval approve", {"id": approval.id, "choice": each}) for each in approval.choices),
        Option(DENY, "approval deny", {"id": approval.id}),
    ]


def in_words(approval: ApprovalRecord, channel: str) -> str:
    """What an admin reads on the surface `channel` before they decide: all of it, or how to read the rest."""
    text = f"**{approval.summary}**\n\n{approval.details}" if approval.details else f"**{approval.summary}**"
    if len(text) <= CARD_CHARS:
        return text
    command = surfaces.spelled(channel, f"approval show {approval.id}")
    cut = CUT.format(shown=CARD_CHARS, count=len(text), command=command)
    return f"{text[:CARD_CHARS]}\n\n{cut}"


def audience(
    db: sqlite3.Connection, agent: str | None, level: Literal["admin", "owner"], route: Route | None
) -> list[Route]:
    """Where those are asked who may decide: in the places that are set for it, else in the direct conversations of
    those who have the role; on the channel where it came from, else on any. `agent` is None for the service as a
    whole."""
    set_for_it = [each for each in places.all_(db).values() if each.settings.get("approvals")]
    channels = sorted({each.channel for each in people.grants(db)})
    if route is not None:
        channels = sorted(channels, key=lambda each: each != route.channel)
    for channel in channels:
        named = [
            Route(channel=channel, platform_id=each.platform_id)
            for each in set_for_it
            if each.channel == channel
        ]
        if named:
            return named
        entitled = people.entitled(db, channel, agent, level)
        if entitled:
            return [Route(channel=channel, platform_id=DIRECT + each) for each in entitled[:ASKED_AT_ONCE]]
    return []


@dataclass(frozen=True)
class Step:
    """What a change of an approval has written: the sessions that have something to deliver, and what the agent that
    has asked is told. Once it is committed, `Approvals.took` has it out."""

    approval: ApprovalRecord
    kicked: Sequence[str] = ()
    told: Accepted | None = None


def decide(
    db: sqlite3.Connection,
    approval_id: str,
    choice: str | None,
    *,
    by: Actor,
    now: int,
    refusals: Mapping[str, Refusal] = NOTHING,
) -> Step:
    """Decides, in this transaction: `choice` is one of its own, None denies it. Whether `by` may was decided before.
    Raises CommandFailed."""
    found = approvals.get(db, approval_id)
    if found is None:
        raise CommandFailed(GONE.format(id=approval_id, listing="approval list"))
    if choice is not None and choice not in found.choices:
        raise CommandFailed(f'This can be allowed as {" or ".join(found.choices)}, not as "{choice[:40]}".')
    state: Literal["approved", "denied"] = "denied" if choice is None else "approved"
    who = f"{by.name} ({by.surface}:{by.id})"
    settled = approvals.settle(
        db, approval_id, state, choice=choice, by=who, now=now, decided_as=by.remembered
    )
    if settled is None:
        raise CommandFailed(OVER if found.state in ("open", "expired") else _settled(found))
    command = "approval deny" if choice is None else "approval approve"
    audit.record(
        db, by, command, found.subject, now=now, agent=found.agent or None,
        before={"kind": found.kind, "summary": found.summary, "effect": struck(dict(found.effect))},
        after={"choice": choice},
    )  # fmt: skip
    how = "Denied" if choice is None else "Approved" if choice == APPROVE else choice
    kicked = cards.close(db, found.subject, f"{how} by {by.name}.", now=now)
    if choice is not None:
        return Step(settled, kicked)
    kicked += _refuse(db, settled, refusals, now=now)
    return _tell_asker(db, Step(settled, kicked), f"An admin has denied this: {found.summary}", now=now)


def withdraw(
    db: sqlite3.Connection,
    approval: ApprovalRecord,
    why: str,
    *,
    by: Actor = SERVICE,
    now: int,
    refusals: Mapping[str, Refusal] = NOTHING,
) -> Step | None:
    """Ends an open one that cannot be decided any more, in this transaction; None when it is not open."""
    return _end_open(db, approval, "withdrawn", why, why, by=by, now=now, refusals=refusals)


def _refuse(
    db: sqlite3.Connection, settled: ApprovalRecord, refusals: Mapping[str, Refusal], *, now: int
) -> Sequence[str]:
    refusal = refusals.get(settled.kind)
    return () if refusal is None else refusal(db, settled, now)


def _settled(found: ApprovalRecord) -> str:
    state = {"done": "approved", "failed": "approved"}.get(found.state, found.state)
    return SETTLED.format(state=state, by=f" by {found.decided_by}" if found.decided_by else "")


def _tell_asker(db: sqlite3.Connection, step: Step, text: str, *, now: int) -> Step:
    """Whoever has asked: the agent reads it, and people in the place where it is announced."""
    approval, told, kicked = step.approval, None, list(step.kicked)
    record = None if approval.session is None else sessions.get(db, approval.session)
    if record is not None:
        note, key = Note(text=text[:MAX_TEXT_CHARS]), approval.subject
        row = tell(db, record.id, note, event_id=key, route=approval.route, trigger=True, now=now)
        told = None if row is None else Accepted(record, row)
    if approval.announced and approval.route is not None:
        kicked.append(cards.say(db, approval.route, text, now=now))
    return Step(approval, kicked, told)


class Approvals:
    """Carries out what was approved, and ends what nobody has decided."""

    name = "approvals"

    def __init__(
        self,
        db: Database,
        loaded: Sessions,
        boards: Cards,
        effects: Mapping[str, Effect],
        agents: Container[str],
        *,
        wake: Signal[str],
        clock: Clock,
        refusals: Mapping[str, Refusal] = NOTHING,
    ) -> None:
        """`effects` are what approvals of each kind do, and `refusals` what their end without one does; `agents` are
        the names of those that there are; `wake` is told the session whose agent has asked."""
        self._db = db
        self._sessions = loaded
        self._cards = boards
        self._effects = effects
        self.refusals = refusals
        self._agents = agents
        self._wake = wake
        self._clock = clock
        self._due = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def took(self, work: Callable[[sqlite3.Connection], Step | None]) -> Step | None:
        """Writes a step, and has out what it has written. Raises DatabaseError and what `work` raises."""
        step = await self._db.write(work)
        if step is None:
            return None
        approval = step.approval
        if step.told is not None:
            # No await may stand between the commit and this: a session takes its messages in their order.
            self._sessions.accepted(step.told.record, step.told.message)
            self._wake(step.told.record.id)
        self._cards.deliver(step.kicked)
        if approval.state == "approved":
            self._due.set()
        return step

    async def run(self) -> None:
        """Until cancelled; what is under way then is carried out by the next service."""
        try:
            while True:
                try:
                    await self.expire()
                    await self._begin()
                except DatabaseError as exc:
                    _log.error("approvals wait: %s", exc)
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._due.wait()
                except TimeoutError:
                    continue
                self._due.clear()
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def expire(self) -> None:
        """Ends what is overdue now, and what is asked for an agent that is gone. Raises DatabaseError."""
        now = self._clock()
        for found in await self._db.read(approvals.open_ones):
            if self.is_orphan(found):
                why = AGENT_GONE.format(agent=found.agent)
                await self.took(partial(withdraw, approval=found, why=why, now=now, refusals=self.refusals))
            elif found.expires_at <= now:
                await self.took(partial(_expire, approval=found, now=now, refusals=self.refusals))

    def is_orphan(self, approval: ApprovalRecord) -> bool:
        """Whether its agent is not there any more."""
        return approval.agent != "" and approval.agent not in self._agents

    async def _begin(self) -> None:
        for approval in await self._db.read(approvals.approved):
            if approval.id not in self._under_way:
                task = asyncio.create_task(self._carry_out(approval), name=f"approval {approval.id}")
                self._under_way[approval.id] = task
                task.add_done_callback(partial(self._ended, approval.id))

    def _ended(self, approval_id: str, _: asyncio.Task[None]) -> None:
        self._under_way.pop(approval_id, None)

    async def _carry_out(self, approval: ApprovalRecord) -> None:
        failpoint.hit("approval-decided")
        state: Literal["done", "failed"] = "done"
        try:
            effect = self._effects.get(approval.kind)
            if effect is None:
                raise CommandFailed(f"nothing is known of approvals of the kind {approval.kind}")
            if self.is_orphan(approval):
                raise CommandFailed(AGENT_GONE.format(agent=approval.agent))
            outcome = await effect(approval)
        except DatabaseError as exc:
            _log.error("an approval is not carried out yet: %s", exc, approval=approval.id)
            return
        except (RoostError, BackendError, OSError) as exc:
            state, outcome = "failed", str(exc)
            _log.error("what was approved could not be done: %s", exc, approval=approval.id)
        except Exception:
            state, outcome = "failed", "something unforeseen has happened; the service's log says what"
            _log.exception("what was approved has failed", approval=approval.id)
        failpoint.hit("approval-carried-out")
        now = self._clock()
        try:
            await self.took(partial(_end, approval=approval, state=state, outcome=outcome, now=now))
        except DatabaseError as exc:
            _log.error("the end of an approval could not be written: %s", exc, approval=approval.id)


def _end(
    db: sqlite3.Connection, approval: ApprovalRecord, state: Literal["done", "failed"], outcome: str, now: int
) -> Step | None:
    settled = approvals.ended(db, approval.id, state, outcome)
    if settled is None:
        return None
    audit.record(
        db,
        SERVICE,
        f"approval {state}",
        approval.subject,
        now=now,
        agent=approval.agent or None,
        after=outcome,
    )
    how = f"as: {approval.choice}" if approval.choice != APPROVE else "it"
    done = f"An admin has allowed {how}. {outcome}"
    said = done if state == "done" else f"It was allowed, and failed: {outcome}"
    shown = outcome if state == "done" else f"It failed: {outcome}"
    kicked = cards.add_outcome(db, approval.subject, shown, now=now)
    return _tell_asker(db, Step(settled, kicked), f"{approval.summary} {said}", now=now)


def _expire(
    db: sqlite3.Connection, approval: ApprovalRecord, now: int, refusals: Mapping[str, Refusal]
) -> Step | None:
    why = f"Nobody has decided in time: {approval.summary}"
    return _end_open(db, approval, "expired", cards.OVER, why, by=SERVICE, now=now, refusals=refusals)


def _end_open(
    db: sqlite3.Connection,
    approval: ApprovalRecord,
    state: Literal["expired", "withdrawn"],
    outcome: str,
    told: str,
    *,
    by: Actor,
    now: int,
    refusals: Mapping[str, Refusal],
) -> Step | None:
    settled = approvals.settle(db, approval.id, state, choice=None, by=by.name, now=now)
    if settled is None:
        return None
    action = {"expired": "approval expire", "withdrawn": "approval withdraw"}[state]
    audit.record(
        db, by, action, approval.subject, now=now, agent=approval.agent or None,
        before={"kind": approval.kind, "summary": approval.summary}, after=outcome,
    )  # fmt: skip
    kicked = cards.close(db, approval.subject, outcome, now=now)
    kicked += _refuse(db, settled, refusals, now=now)
    return _tell_asker(db, Step(settled, kicked), told, now=now)
