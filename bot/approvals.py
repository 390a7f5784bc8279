"""Approvals: what an agent may not do alone, or a stranger, becomes a card that an admin decides upon.

    asked (row and cards in one transaction) -> open -> approved -> done | failed
                                                     -> denied | expired

It is decided once, by whoever is entitled for its agent, with the command `approval approve` or `approval deny`, which
the buttons give. What was approved is carried out by `Approvals.run`, again after a restart until its end is written:
an effect has to bear that. Whoever has asked is told either way.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal

from adapters.base import DIRECT
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import Note, Route
from bot import cards, log
from bot.actions import tell
from bot.cards import Cards
from bot.db import approvals, audit, people, places
from bot.db.approvals import ApprovalRecord
from bot.db.audit import SERVICE, Actor
from bot.db.cards import Option
from bot.db.engine import Database
from bot.errors import CommandFailed, DatabaseError, RoostError
from bot.signals import Signal
from bot.striking import struck
from container.base import BackendError

EXPIRES_MS: Final = 24 * 3_600_000
MAX_OPEN: Final = 20
"""So many a session may have open."""
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
NOBODY: Final = "There is nobody who could allow this: nobody owns the bot."

_log = log.get("roost.approvals")

Effect = Callable[[ApprovalRecord], Awaitable[str]]
"""Does what an approved one of its kind is for, in the way of its `choice`; returns what was done, in one sentence. It
may be called again for the same one after a crash. Raises CommandFailed with what has kept it from being done."""


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
    expires_ms: int = EXPIRES_MS,
    near: Route | None = None,
) -> tuple[ApprovalRecord, list[str]]:
    """Asks the admins of `agent`, in this transaction; returns the approval, and the sessions to be delivered once it
    is committed (`Cards.deliver`). `summary` is one sentence; `details` is Markdown, with everything that would be
    done. `near` is the place whose admins are asked, where that is not `route`. What is asked for already is not asked
    for twice. Raises CommandFailed when nobody could decide, or too much
    is open."""
    found = approvals.same_open(db, kind, agent, effect)
    if found is not None:
        return found, []
    if session is not None and (count := approvals.open_of(db, session)) >= MAX_OPEN:
        raise CommandFailed(TOO_MANY.format(count=count))
    to = audience(db, agent, level, near or route)
    if not to:
        raise CommandFailed(NOBODY)
    approval = ApprovalRecord(
        approvals.new_id(),
        kind,
        agent,
        session,
        route,
        asked_by,
        summary,
        effect,
        choices,
        level,
        now,
        now + expires_ms,
    )
    approvals.add(db, approval)
    text = f"**{summary}**\n\n{details}" if details else f"**{summary}**"
    options = [
        *(Option(each, "approval approve", {"id": approval.id, "choice": each}) for each in choices),
        Option(DENY, "approval deny", {"id": approval.id}),
    ]
    shown = [
        cards.show(
            db, place, text, options, subject=approval.subject, expires_at=approval.expires_at, now=now
        )
        for place in to
    ]
    return approval, shown


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


def decide(
    db: sqlite3.Connection, approval_id: str, choice: str | None, *, by: Actor, now: int
) -> tuple[ApprovalRecord, list[str]]:
    """Decides, in this transaction: `choice` is one of its own, None denies it. Whether `by` may was decided before.
    Returns it as it is now, and the sessions to be delivered. Raises CommandFailed."""
    found = approvals.get(db, approval_id)
    if found is None:
        raise CommandFailed(GONE.format(id=approval_id, listing="approval list"))
    if choice is not None and choice not in found.choices:
        raise CommandFailed(f'This can be allowed as {" or ".join(found.choices)}, not as "{choice[:40]}".')
    state: Literal["approved", "denied"] = "denied" if choice is None else "approved"
    settled = approvals.settle(
        db, approval_id, state, choice=choice, by=by.id, now=now, decided_as=by.remembered
    )
    if settled is None:
        raise CommandFailed(OVER if found.state in ("open", "expired") else _settled(found))
    how = "Denied" if choice is None else "Approved" if choice == APPROVE else choice
    command = "approval deny" if choice is None else "approval approve"
    audit.record(
        db, by, command, found.subject, now=now, agent=found.agent,
        before={"kind": found.kind, "summary": found.summary, "effect": struck(dict(found.effect))},
        after={"choice": choice},
    )  # fmt: skip
    kicked = cards.close(db, found.subject, f"{how} by {by.name}.", now=now)
    if choice is None:
        _tell_asker(db, settled, f"An admin has denied this: {found.summary}", now=now)
    return settled, kicked


def _settled(found: ApprovalRecord) -> str:
    state = {"done": "approved", "failed": "approved"}.get(found.state, found.state)
    return SETTLED.format(state=state, by=f" by {found.decided_by}" if found.decided_by else "")


def _tell_asker(db: sqlite3.Connection, approval: ApprovalRecord, text: str, *, now: int) -> None:
    if approval.session is not None:
        note, key = Note(text=text), approval.subject
        tell(db, approval.session, note, event_id=key, route=approval.route, trigger=True, now=now)


class Approvals:
    """Carries out what was approved, and ends what nobody has decided."""

    name = "approvals"

    def __init__(
        self, db: Database, boards: Cards, effects: Mapping[str, Effect], *, wake: Signal[str], clock: Clock
    ) -> None:
        """`effects` are what approvals of each kind do; `wake` is told the session whose agent has asked."""
        self._db = db
        self._cards = boards
        self._effects = effects
        self._wake = wake
        self._clock = clock
        self._due = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def decided(self, approval: ApprovalRecord) -> None:
        """Something was decided, and the decision is committed."""
        if approval.state == "approved":
            self._due.set()
        elif approval.session is not None:
            self._wake(approval.session)

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
        """Ends what is overdue now. Raises DatabaseError."""
        now = self._clock()
        for found in await self._db.read(partial(approvals.overdue, now=now)):
            self._cards.deliver(await self._db.write(partial(_expire, approval=found, now=now)))
            if found.session is not None:
                self._wake(found.session)

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
            await self._db.write(partial(_end, approval=approval, state=state, outcome=outcome, now=now))
        except DatabaseError as exc:
            _log.error("the end of an approval could not be written: %s", exc, approval=approval.id)
        if approval.session is not None:
            self._wake(approval.session)


def _end(
    db: sqlite3.Connection, approval: ApprovalRecord, state: Literal["done", "failed"], outcome: str, now: int
) -> None:
    if approvals.ended(db, approval.id, state, outcome):
        how = f"as: {approval.choice}" if approval.choice != APPROVE else "it"
        said = (
            f"An admin has allowed {how}. {outcome}"
            if state == "done"
            else f"It was allowed, and failed: {outcome}"
        )
        _tell_asker(db, approval, f"{approval.summary} {said}", now=now)


def _expire(db: sqlite3.Connection, approval: ApprovalRecord, now: int) -> list[str]:
    settled = approvals.settle(db, approval.id, "expired", choice=None, by=SERVICE.id, now=now)
    if settled is None:
        return []
    audit.record(db, SERVICE, "approval expire", approval.subject, now=now, agent=approval.agent)
    _tell_asker(db, approval, f"Nobody has decided in time: {approval.summary}", now=now)
    return cards.close(db, approval.subject, cards.OVER, now=now)
