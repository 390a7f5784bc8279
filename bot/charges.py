"""Charges: what requests to models cost is put down to the turn that they were made for.

The gateway meters every request, and that is the truth. Where no gateway stands between, because a provider touches
nothing outside of its session, a runner says itself what it has used; that is a claim, and what it costs is what
somebody has listed for its model, else nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from agent.protocol.messages import MessageIn, Route, Used
from bot import log, money
from bot.budgets import Budgets
from bot.db.engine import Database
from bot.db.usage import Tokens
from bot.errors import DatabaseError
from bot.folding import Fold
from bot.gateway.prices import Prices
from bot.gateway.usage import Usage
from bot.metrics import Metrics
from bot.money import MICROS
from bot.session import Session
from bot.sessions import Sessions

TALLIES: Final = 10_000
"""Of so many turns it is known at once what they have cost so far."""

_log = log.get("roost.charges")


@dataclass(frozen=True)
class Tally:
    """What a turn has cost so far."""

    tokens: Tokens
    usd_micros: int


def tokens_of(usage: Usage) -> Tokens:
    """The same as it is kept."""
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    return Tokens(usage.input_tokens, usage.output_tokens, written, usage.cache_read_tokens)


class Charges:
    """Of all sessions."""

    def __init__(
        self,
        db: Database,
        budgets: Budgets,
        sessions: Sessions,
        prices: Prices,
        *,
        believes: Callable[[str], bool],
        shows: Callable[[Route], bool],
        metrics: Metrics,
    ) -> None:
        """`believes` says whether what an agent's runner says of itself is all that there is to know, `shows` whether
        people in a place are shown what an answer has cost."""
        self._db = db
        self._budgets = budgets
        self._sessions = sessions
        self._prices = prices
        self._believes = believes
        self._shows = shows
        self._metrics = metrics
        self._tallies: OrderedDict[tuple[str, str], Tally] = OrderedDict()

    def turn(self, session_id: str) -> str | None:
        """The message for whose turn a request is that comes now: the oldest that is not answered. None while nothing
        is to be answered."""
        session = self._sessions.loaded(session_id)
        oldest = None if session is None else session.oldest()
        return None if oldest is None else oldest.id

    async def check(self, session_id: str, message_id: str | None) -> None:
        """Whether that turn may ask a model once more. Raises Refusal, DatabaseError."""
        await self._budgets.check(session_id, message_id)

    def add(
        self,
        session_id: str,
        message_id: str | None,
        tokens: Tokens,
        usd_micros: int,
        *,
        agent: str,
        model: str,
    ) -> None:
        """A request has ended, which was made for the turn of that message; None: for none."""
        self._note(session_id, message_id, tokens, usd_micros, agent)
        try:
            self._db.later(
                partial(
                    self._budgets.charge,
                    session=session_id,
                    message_id=message_id,
                    model=model,
                    tokens=tokens,
                    usd_micros=usd_micros,
                )
            )
        except DatabaseError as exc:
            _log.error("what a request has cost could not be written: %s", exc, session=session_id)

    def claimed(self, session: Session, folded: Fold, claims: Sequence[Used]) -> None:
        """What a runner says that these turns have used, where that is believed: it is written with their end."""
        if not claims or not self._believes(session.agent):
            return
        said = {each.turn_id: each for each in claims}
        for turn_id, message in folded.begun_by.items():
            claim = said.get(turn_id or "")
            if claim is not None:
                self._count(session, message, claim)

    def _count(self, session: Session, message: MessageIn, claim: Used) -> None:
        model = claim.model or ""
        price = self._prices.given(model)
        tokens = Tokens(
            claim.input_tokens, claim.output_tokens, claim.cache_write_tokens, claim.cache_read_tokens
        )
        counted = Usage(
            tokens.input_tokens, tokens.output_tokens, tokens.cache_write_tokens, 0, tokens.cache_read_tokens
        )
        micros = 0 if price is None else price.micros(counted)
        self._note(session.id, message.id, tokens, micros, session.agent)
        session.books.add(
            partial(
                self._budgets.charge,
                session=session.id,
                message_id=message.id,
                model=model or "unknown",
                tokens=tokens,
                usd_micros=micros,
            )
        )

    def tally(self, session_id: str, message_id: str) -> Tally | None:
        """What the turn of a message has cost so far, as far as that is known at once."""
        return self._tallies.get((session_id, message_id))

    def footer(self, session: Session, turn_id: str, route: Route) -> str | None:
        """One line about a turn beneath its answer in a place; None where none is wanted, or nothing is known."""
        found = self.tally(session.id, turn_id) if self._shows(route) else None
        if found is None:
            return None
        parts = [f"{money.tokens(found.tokens.all)} tokens"]
        if found.usd_micros:
            parts.append(money.usd(found.usd_micros))
        return " · ".join([*parts, f"{session.marks.seconds(turn_id):.1f} s"])

    def _note(
        self, session_id: str, message_id: str | None, tokens: Tokens, usd_micros: int, agent: str
    ) -> None:
        counted = self._metrics.usage_tokens
        for kind in ("input", "output", "cache_write", "cache_read"):
            counted.labels(agent, kind).inc(getattr(tokens, f"{kind}_tokens"))
        self._metrics.usage_usd.labels(agent).inc(usd_micros / MICROS)
        if message_id is None:
            return
        key = (session_id, message_id)
        before = self._tallies.pop(key, Tally(Tokens(), 0))
        self._tallies[key] = Tally(before.tokens.plus(tokens), before.usd_micros + usd_micros)
        if len(self._tallies) > TALLIES:
            self._tallies.popitem(last=False)
