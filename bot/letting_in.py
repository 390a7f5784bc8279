"""Letting in: carries out what was decided about strangers. Roles and wirings are made in one transaction with the word
that their messages are to be accepted; each message is accepted in a transaction of its own, by the way of all others,
and is then not kept any more. So a service that is killed in between goes on where it was.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from adapters.base import Receipt
from agent.protocol.clock import Clock
from agent.protocol.messages import Route
from bot import cards, log, place_editing, strangers
from bot.approvals import Effect, Refusal
from bot.cards import Cards
from bot.db import audit, held, inbox, people, places
from bot.db.approvals import ApprovalRecord
from bot.db.audit import SERVICE
from bot.db.engine import Database
from bot.db.held import Held
from bot.errors import DatabaseError
from bot.strangers import ALLOW, LET_IN, WIRE
from bot.wirings import Wirings

LOOK_SECONDS: Final = 30.0
MEMBER_NOW: Final = "They are a member for the agent {agent} now."
WIRED_NOW: Final = "The agent {agent} answers everybody there now who mentions the bot."
NOT_ANSWERED: Final = "{count} of their messages could not be taken: {why}"

ANSWERED: Final[Mapping[str, str]] = MappingProxyType({"engage": "mention-sticky", "strangers": "answer"})
"""How a place is wired that an owner has opened to everybody."""

LetIn = Callable[[Held], Awaitable[Receipt]]
"""Accepts a message that was let through, and drops the row by which it was kept. Raises DatabaseError."""

_log = log.get("roost.strangers")


class LettingIn:
    """The effects of approvals of the kinds "admit" and "contact"."""

    name = "strangers"

    def __init__(
        self, db: Database, wirings: Wirings, boards: Cards, let_in: LetIn, *, incoming: Path, clock: Clock
    ) -> None:
        """`incoming` is where the files lie of what waits."""
        self._db = db
        self._wirings = wirings
        self._cards = boards
        self._let_in = let_in
        self._incoming = incoming
        self._clock = clock
        self._gone: list[str] = []
        """The ids by which files were known of what waits no more."""

    @property
    def effects(self) -> Mapping[str, Effect]:
        """By the kinds of their approvals."""
        return {strangers.ADMIT: self.admit, strangers.CONTACT: self.contact}

    @property
    def refusals(self) -> Mapping[str, Refusal]:
        """The same for what is not allowed."""
        return {strangers.ADMIT: self._refused, strangers.CONTACT: self._refused}

    async def run(self) -> None:
        """Removes the files of what waits no more, until cancelled; the next service removes what is left then."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.tidy()
            except (DatabaseError, OSError) as exc:
                _log.error("files of strangers could not be removed: %s", exc)

    async def tidy(self) -> None:
        """The same once. Raises DatabaseError, OSError."""
        gone, self._gone = self._gone, []
        if not gone:
            return
        try:
            # It was noted in a transaction that may have failed.
            # What was let in may wait for a budget, or for its turn.
            waiting = await self._db.read(lambda db: held.message_ids(db) | inbox.unfinished_ids(db))
        except DatabaseError:
            self._gone += gone
            raise
        for message_id in gone:
            if message_id not in waiting:
                await asyncio.to_thread(shutil.rmtree, self._incoming / message_id, ignore_errors=True)

    async def admit(self, approval: ApprovalRecord) -> str:
        """What was said is answered; where they are allowed for good, they are a member for the agent. Raises
        DatabaseError."""
        now = self._clock()

        def work(db: sqlite3.Connection) -> None:
            if approval.choice == ALLOW:
                _make_member(db, approval, now=now)
            held.admit(db, approval.id)

        await self._db.write(work)
        answered = await self._answer(approval)
        member = MEMBER_NOW.format(agent=approval.agent) if approval.choice == ALLOW else ""
        return " ".join(part for part in (member, answered) if part)

    async def contact(self, approval: ApprovalRecord) -> str:
        """They are let in, or the place is wired and all that was said there is answered. Raises DatabaseError."""
        now, everybody = self._clock(), approval.choice == WIRE
        person = None if everybody else str(approval.effect["person"])

        def work(db: sqlite3.Connection) -> None:
            if everybody:
                _wire(db, approval, now=now)
            elif approval.choice == LET_IN:
                _make_member(db, approval, now=now)
            held.admit(db, approval.id, sender_id=person)

        await self._db.write(work)
        await self._wirings.refresh(self._db)
        answered = await self._answer(approval)
        done = WIRED_NOW if everybody else MEMBER_NOW
        return " ".join(part for part in (done.format(agent=approval.agent), answered) if part)

    async def _answer(self, approval: ApprovalRecord) -> str:
        """What is said of it to the admins, beside what they know. Raises DatabaseError."""
        waiting = await self._db.read(partial(held.waiting, approval_id=approval.id))
        refused: list[str] = []
        for each in waiting:
            receipt = await self._let_in(each) if each.admitted else Receipt("dropped")
            if receipt.state != "accepted":
                self._cards.deliver(await self._db.write(partial(self._drop, each=each, text=receipt.text)))
            if receipt.state == "refused":
                refused.append(receipt.text or "")
        if refused:
            return NOT_ANSWERED.format(count=len(refused), why=refused[0])
        return ""

    def _drop(self, db: sqlite3.Connection, each: Held, text: str | None) -> list[str]:
        """It is not taken in spite of that, and its sender learns why."""
        held.drop(db, each.event.id, each.agent)
        if each.attachments:
            self._gone.append(each.message_id)
        return [] if text is None else [cards.say(db, each.event.route, text, now=self._clock())]

    def _refused(self, db: sqlite3.Connection, approval: ApprovalRecord, now: int) -> list[str]:
        self._gone += [each.message_id for each in held.waiting(db, approval.id) if each.attachments]
        return strangers.refused(db, approval, now)


def _make_member(db: sqlite3.Connection, approval: ApprovalRecord, *, now: int) -> None:
    """Done once, also where it is carried out again; whoever has become more meanwhile stays that."""
    channel, person, agent = str(approval.effect["channel"]), str(approval.effect["person"]), approval.agent
    if people.granted(db, channel, person, agent) is not None:
        return
    people.grant(db, channel, person, "member", now=now, agent=agent, by=approval.decided_by)
    audit.record(
        db, SERVICE, "role grant", f"person:{channel}:{person}", now=now, agent=agent,
        before={"role": None}, after={"role": "member", "by": approval.decided_by, "approval": approval.id},
    )  # fmt: skip


def _wire(db: sqlite3.Connection, approval: ApprovalRecord, *, now: int) -> None:
    """Nobody had wired the place; whoever has done so meanwhile is not overruled."""
    channel, platform_id = str(approval.effect["channel"]), str(approval.effect["place"])
    place = Route(channel=channel, platform_id=platform_id)
    if places.get(db, channel, platform_id).wired:
        return
    place_editing.take_over(db, place, (), default_too=False, now=now)
    settings = place_editing.wire(db, place, approval.agent, ANSWERED, now=now)
    audit.record(
        db, SERVICE, "channel wire", f"place:{channel}:{platform_id}", now=now, agent=approval.agent,
        after={"agent": approval.agent, **settings, "by": approval.decided_by, "approval": approval.id},
    )  # fmt: skip
