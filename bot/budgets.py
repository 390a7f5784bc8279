"""Budgets: what people, places, agents and the bot may still spend, asked before a turn and while it runs.

A message that is to wake a turn sets an estimate aside, in the transaction in which it is accepted; what its turn costs
is counted by the gateway's meter, and what is left is given back when it ends. The last of a budget may be used by one
turn: whoever comes then is refused, and the turn itself is stopped by the gateway once all of it is spent.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.base import DIRECT
from agent.protocol.clock import Clock
from agent.protocol.messages import Route
from bot import approvals, cards, money
from bot.config_money import BudgetConfig, sums
from bot.config_tables import AgentConfig
from bot.db import budgets as rows
from bot.db import usage
from bot.db.audit import Actor
from bot.db.budgets import State
from bot.db.cards import Option
from bot.db.engine import Database
from bot.db.usage import Tokens
from bot.gateway.refusals import Refusal
from bot.metrics import Metrics
from bot.money import MICROS, Budget, Period, Whose

LEAST_MICROS: Final = 10_000
"""At least so much is set aside for a message."""
NOTICE_PERCENT: Final = 80
ESTIMATED_MS: Final = 10_000
"""So long an estimate counts."""
USED_UP: Final = "The budget of {period} for {whose} is used up ({usd}); it begins again {again}."
SET_ASIDE: Final = (
    "What is left of the budget of {period} for {whose} is set aside for what I answer right now."
)
NEARLY: Final = "{percent} % of the budget of {period} for {named} is spent: {spent} of {usd}."
OVER: Final = (
    "**The budget of {period} for {named} is used up** ({usd}). Until it begins again {again}, what people say is"
    " refused, and kept to be answered should you extend it."
)
EXTENDED: Final = "Extended by {usd} by {by}."


@dataclass(frozen=True)
class Refused:
    """A message is refused for the sake of this budget; `text` is for whoever has said it. With `later` it is not used
    up, and what is set aside may become free again."""

    budget: Budget
    text: str
    later: bool
    ends_at: int


class Budgets:
    """All of them as they are now: those of config.toml, and before them those of the chat. What takes a connection
    belongs into a transaction that writes."""

    def __init__(
        self,
        db: Database,
        configured: list[BudgetConfig],
        agents: Mapping[str, AgentConfig],
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._db = db
        self._configured = sums(configured)
        self._agents = agents
        self._metrics = metrics
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._sums: money.Budgets = dict(self._configured)
        self._estimates: dict[str, tuple[int, int]] = {}
        self._said: list[str] = []
        self.due = asyncio.Event()
        """Set when something was said, or there may be room for a message that waits."""

    async def refresh(self) -> None:
        """Takes over what bot.db has now. Raises DatabaseError."""
        changed = await self._db.read(rows.changed)
        merged: Mapping[tuple[str, Period], int | None] = {**self._configured, **changed}
        self._sums = {key: micros for key, micros in merged.items() if micros is not None}
        self.due.set()

    @property
    def all(self) -> money.Budgets:
        """The sums by subject and period, those for each among them."""
        return self._sums

    def configured(self, subject: str, period: Period) -> int | None:
        """What config.toml has for it."""
        return self._configured.get((subject, period))

    def of(self, subject: str, period: Period) -> Budget | None:
        """What counts for an exact subject."""
        return money.of_subject(self._sums, subject, period)

    def states(self, db: sqlite3.Connection, whose: Whose, day: str) -> list[State]:
        """How far everything is used up that a turn of these falls under."""
        found = money.applying(self._sums, whose)
        return rows.states(db, found, day) if found else []

    # ---------------------------------------------------------------- before a turn

    def reserve(
        self, db: sqlite3.Connection, message_id: str, whose: Whose, route: Route | None = None
    ) -> Refused | None:
        """Sets aside what a message may cost that is about to be accepted; or why it may not be. `route` is where its
        refusal is said, and the admins there are asked. Costs next to nothing where there are no budgets."""
        if not self._sums:
            return None
        day = money.day_of(self._clock())
        states = self.states(db, whose, day)
        state = _worst(states)
        if state is None:
            subjects = dict.fromkeys(each.budget.subject for each in states)
            if subjects:
                rows.reserve(db, message_id, subjects, self.estimate(db, whose.agent))
            return None
        self._metrics.budget_refusals.labels(money.kind(state.budget.subject)).inc()
        if state.is_used_up:
            self._tell_over(db, state, whose, route, day)
        return self._refused(state, whose, day)

    def remark(self, db: sqlite3.Connection, whose: Whose) -> str | None:
        """Which budget would keep a message of these from being answered now, in a sentence; None: none would."""
        state = _worst(self.states(db, whose, money.day_of(self._clock())))
        if state is None:
            return None
        return f"the budget of {money.named(state.budget.subject)} is used up: it would be kept until there is room"

    def has_room(self, db: sqlite3.Connection, whose: Whose) -> bool:
        """Whether a message of these would be accepted now."""
        return _worst(self.states(db, whose, money.day_of(self._clock()))) is None

    def estimate(self, db: sqlite3.Connection, agent: str) -> int:
        """What a turn of this agent will cost, in micros: as much as its newest turns on average, and no more than it
        may."""
        now = self._clock()
        known, at = self._estimates.get(agent, (0, 0))
        if not at <= now < at + ESTIMATED_MS:
            known = max(LEAST_MICROS, usage.mean_micros(db, agent))
            self._estimates[agent] = (known, now)
        settings = self._agents.get(agent)
        most = None if settings is None else settings.max_budget_usd
        return known if most is None else min(known, money.to_micros(most))

    def _refused(self, state: State, whose: Whose, day: str) -> Refused:
        budget = state.budget
        said = USED_UP if state.is_used_up else SET_ASIDE
        mine = budget.subject == f"person:{whose.person}"
        text = said.format(
            period=money.now_in_words(budget.period),
            whose="you" if mine else money.whose_words(budget.subject),
            usd=money.usd(state.limit),
            again=money.again(budget.period, day),
        )
        return Refused(budget, text, not state.is_used_up, money.ends_at(budget.period, day))

    # ---------------------------------------------------------------- while it runs

    async def check(self, session: str, message_id: str | None) -> None:
        """Whether the turn that this message began may ask a model once more. What was asked before is counted.
        Raises Refusal, DatabaseError."""
        if not self._sums:
            return
        day = money.day_of(self._clock())

        def work(db: sqlite3.Connection) -> State | None:
            whose = usage.whose(db, session, message_id)
            states = [] if whose is None else self.states(db, whose, day)
            found = next((each for each in states if each.is_used_up), None)
            if found is not None and whose is not None:
                self._tell_over(db, found, whose, usage.route_of(db, session, message_id), day)
            return found

        # In order with what was charged, which a reader would not see yet.
        used_up = await self._db.write(work)
        if used_up is not None:
            budget = used_up.budget
            self._metrics.budget_refusals.labels(money.kind(budget.subject)).inc()
            text = USED_UP.format(
                period=money.now_in_words(budget.period),
                whose=money.whose_words(budget.subject),
                usd=money.usd(used_up.limit),
                again=money.again(budget.period, day),
            )
            raise Refusal(402, "billing_error", text, reason="spend")

    def charge(
        self,
        db: sqlite3.Connection,
        session: str,
        message_id: str | None,
        model: str,
        tokens: Tokens,
        usd_micros: int,
    ) -> None:
        """Counts what a request has cost, and tells of what is nearly used up."""
        now = self._clock()
        whose = usage.charge(db, session, message_id, model, tokens, usd_micros, now=now)
        if whose is None or not usd_micros:
            return
        day = money.day_of(now)
        rows.charge(db, message_id, whose.subjects, usd_micros, day=day)
        for state in self.states(db, whose, day):
            # Of what is used up people hear when the next one is refused for it.
            if state.percent >= NOTICE_PERCENT > state.noticed and not state.is_used_up:
                self._tell_nearly(db, state, day)

    # ---------------------------------------------------------------- what is said

    def _tell_nearly(self, db: sqlite3.Connection, state: State, day: str) -> None:
        """Once in a period: to the person, in the channel, or to the admins."""
        budget, now = state.budget, self._clock()
        rows.noticed(db, state, NOTICE_PERCENT)
        text = NEARLY.format(
            percent=state.percent,
            period=money.now_in_words(budget.period),
            named=money.named(budget.subject),
            spent=money.usd(state.spent),
            usd=money.usd(state.limit),
        )
        kind, _, name = budget.subject.partition(":")
        if kind in ("channel", "person"):
            channel, _, platform_id = name.partition(":")
            place = platform_id if kind == "channel" else DIRECT + platform_id
            self.say(cards.say(db, Route(channel=channel, platform_id=place), text, now=now))
            return
        for route in approvals.audience(db, name or None, "admin", None):
            self.say(self._card(db, route, text, state, day))

    def _tell_over(
        self, db: sqlite3.Connection, state: State, whose: Whose, route: Route | None, day: str
    ) -> None:
        """Once: a card for whoever may extend it, where it was refused and where admins are asked."""
        if state.noticed >= 100:
            return
        budget = state.budget
        rows.noticed(db, state, 100)
        text = OVER.format(
            period=money.now_in_words(budget.period),
            named=money.named(budget.subject),
            usd=money.usd(state.limit),
            again=money.again(budget.period, day),
        )
        agent = whose.agent if money.kind(budget.subject) == "agent" else None
        here = route or Route(channel=whose.place[0], platform_id=whose.place[1])
        to = approvals.audience(db, agent, "admin", here)
        if route is not None and route not in to:
            to = [route, *to]
        for each in to:
            self.say(self._card(db, each, text, state, day))

    def _card(self, db: sqlite3.Connection, route: Route, text: str, state: State, day: str) -> str:
        budget = state.budget
        given = {"subject": budget.subject, "period": budget.period}

        def option(micros: int, label: str) -> Option:
            arguments = {**given, "usd": f"{micros / MICROS:.6f}".rstrip("0").rstrip(".")}
            return Option(f"{label} ({money.usd(micros)})", "budget extend", arguments)

        options = [
            option(max(1, budget.usd_micros // 2), "Extend by half"),
            option(budget.usd_micros, "Extend by the same again"),
        ]
        expires_at = money.ends_at(budget.period, day)
        return cards.show(
            db, route, text, options, subject=card_subject(state), expires_at=expires_at, now=self._clock()
        )

    def extend(
        self, db: sqlite3.Connection, budget: Budget, usd_micros: int, by: Actor
    ) -> tuple[State, State]:
        """Adds so much for the period that runs, and closes the cards about it; as it was, and as it is."""
        now = self._clock()
        day = money.day_of(now)
        before = rows.state(db, budget, day)
        rows.extend(db, before, usd_micros)
        outcome = EXTENDED.format(usd=money.usd(usd_micros), by=by.name)
        for session in cards.close(db, card_subject(before), outcome, now=now):
            self.say(session)
        return before, rows.state(db, budget, day)

    def say(self, session: str) -> None:
        """Something was said for this session, in the transaction that runs. From any thread."""
        self._said.append(session)
        self.stir()

    def stir(self) -> None:
        """Something may have become possible or due. From any thread."""
        self._loop.call_soon_threadsafe(self.due.set)

    async def said(self) -> list[str]:
        """The sessions for which something was said and committed since. Raises DatabaseError."""
        # What has said it may not be committed yet; when this is, that is as well.
        count = len(self._said)
        await self._db.write(lambda db: None)
        said = self._said[:count]
        del self._said[:count]
        return said


def _worst(states: Sequence[State]) -> State | None:
    """Of those that are spent or set aside, the one that keeps somebody waiting longest."""
    full = [each for each in states if each.is_full]
    return max(full, key=lambda each: (each.is_used_up, each.budget.period == "month"), default=None)


def card_subject(state: State) -> str:
    """What all cards about a budget in one period have in common."""
    return f"budget:{state.budget.subject}:{state.budget.period}:{state.begins}"
