"""Acceptance: facts, decisions and the rows that come of an event, in one transaction: nothing can change between them.

Several agents may serve a place. Each judges a message on its own, and whoever takes it gets a row in a session of its
own; all of these are written at once, or none, so that a message which comes again is known for one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from adapters.base import Event, IncomingFile, Receipt, RemoteFile
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import Attachment, ChatIn, Quote, Route
from bot import access, answers, cards, deferring, hearing, log, reactions, revisions, strangers
from bot.access import Allow, Ask, Drop
from bot.budgets import Refused
from bot.config_tables import LimitsConfig
from bot.db import backlog, held, inbox, overheard, people
from bot.db import budgets as budget_rows
from bot.db.held import Held
from bot.db.inbox import Accepted
from bot.db.people import Seen
from bot.db.sessions import SessionRecord
from bot.deferring import KeptBack
from bot.engage import Wiring
from bot.hearing import NOT_LOOKED, Fits, Heard
from bot.money import Whose
from bot.screening import screened
from bot.strangers import Asked, Kept
from bot.wirings import Wirings

BOTS_MS: Final = 3_600_000
BOTS_TIMES: Final = 5
"""In so long a place takes so many times what a wiring lets bots say in a row, over all its threads."""
TOO_MUCH_HERE: Final = (
    "I still have {count} messages of this conversation to answer; please wait a moment and send it again."
)
TOO_MUCH_EVERYWHERE: Final = (
    "I have too many messages to answer at the moment; please wait a moment and send it again."
)
TOO_LONG: Final = "This message has {count:,} characters; the limit is {limit:,}. Send it as a file."

_log = log.get("roost.acceptance")


@dataclass(frozen=True)
class TooMuch:
    """An event is refused because of what waits already."""

    text: str


@dataclass(frozen=True)
class Ready:
    """What was made ready for an agent that takes a message, before it is accepted: the id that its row is going to
    have, by which its files lie there already, and what was said in the thread before."""

    message_id: str = field(default_factory=inbox.new_id)
    attachments: Sequence[Attachment] = ()
    before: Sequence[Quote] = ()


@dataclass(frozen=True)
class Look:
    """What a message will come to, as far as can be said before its files are here: the agents that take it, those of
    them that are new in its thread, and otherwise why none does; `asks`: whether an admin is asked about its sender,
    and `fetches`, whether its files are kept until then: where nobody has wired a place nobody wants them yet."""

    takers: Sequence[str] = ()
    new_here: Sequence[str] = ()
    refusal: Receipt | None = None
    asks: bool = False
    fetches: bool = False


Outcome = Sequence[Accepted] | Asked | KeptBack | TooMuch | Receipt


class Reserving(Protocol):
    """Budgets, as far as acceptance has to do with them."""

    def reserve(
        self, db: sqlite3.Connection, message_id: str, whose: Whose, route: Route | None
    ) -> Refused | None:
        """Sets aside what a message may cost; or why it may not be accepted."""

    def say(self, session: str) -> None:
        """Something was said for this session."""


class Acceptance:
    """Each of its methods belongs into one transaction."""

    def __init__(self, wirings: Wirings, limits: LimitsConfig, budgets: Reserving, clock: Clock) -> None:
        self._wirings = wirings
        self._budgets = budgets
        self._limits = limits
        self._clock = clock
        self._silent = log.Seldom()

    def patterns(self, event: Event) -> list[str]:
        """Those that are looked for in what was said, before it is accepted."""
        if event.kind != "message":
            return []
        return [each.pattern for each in self._wirings.at(event.route) if each.pattern is not None]

    def look(self, db: sqlite3.Connection, event: Event, fits: Fits) -> Look:
        """The files of a stranger are not even looked at, and nothing is read for one."""
        heard = hearing.judge(db, event, self._wirings.at(event.route), fits)
        if (asked := _asked(heard)) is not None:
            return Look(asks=True, fetches=asked[1].kind == "admit")
        refusal = self._refusal(db, event, heard)
        if refusal is not None:
            return Look(refusal=refusal)
        takers = [each.wiring for each in heard if each.taken]
        new = [each.agent for each in takers if self._is_new_here(db, each, event)]
        return Look([each.agent for each in takers], new)

    def accept(
        self,
        db: sqlite3.Connection,
        event: Event,
        fits: Fits = NOT_LOOKED,
        ready: Mapping[str, Ready] | None = None,
        kept: Kept | None = None,
    ) -> Outcome:
        """`ready` has what the agents that take the message get besides its words; no other agent takes one that has
        more than these. None: it has no more. `kept` is the same for one of whose sender an admin is asked."""
        now = self._clock()
        match event.kind:
            case "edit" | "delete":
                facts = hearing.facts(db, event, self._wirings.of(event.route))
                if (changed := strangers.revise(db, event, facts, now=now)) is not None:
                    return changed
                if (waits := deferring.revise(db, event, facts)) is not None:
                    return waits
                return revisions.accept(
                    db, event, self._wirings, max_chars=self._limits.message_chars, now=now
                )
            case "reaction":
                return reactions.accept(db, event, self._wirings, now=now)
            case "answer":
                return answers.accept(db, event, self._wirings, now=now)
        heard = hearing.judge(db, event, self._wirings.at(event.route), fits)
        takers = [each for each in heard if each.taken]
        if (asked := _asked(heard)) is not None:
            agent, ask = asked
            return strangers.hold(db, event, agent, ask, kept or Kept(), now=now)
        refusal = self._refusal(db, event, heard)
        if refusal is None or not takers:
            self._overhear(db, event, [each for each in heard if not each.taken], now=now)
        return refusal or self._take(db, event, takers, ready, now=now)

    def let_in(self, db: sqlite3.Connection, each: Held, fits: Fits) -> Outcome:
        """A message that has waited, and was let through since: it is decided upon like any other, as of now."""
        ready = {each.agent: Ready(each.message_id, each.attachments, each.before)}
        outcome = self.accept(db, each.event, fits, ready)
        if isinstance(outcome, list | KeptBack):
            held.drop(db, each.event.id, each.agent)
        return outcome

    # ---------------------------------------------------------------- a message

    def _refusal(self, db: sqlite3.Connection, event: Event, heard: Sequence[Heard]) -> Receipt | None:
        """Why nobody takes the message; it is said once, however many agents there are."""
        if any(isinstance(each.decided, Allow) for each in heard) and _is_here(db, event):
            return Receipt("duplicate")
        if any(each.taken for each in heard):
            limit = self._limits.message_chars
            if len(event.text) > limit:
                return Receipt("refused", TOO_LONG.format(count=len(event.text), limit=limit))
            return None
        drops = [each.decided for each in heard if isinstance(each.decided, Drop)]
        told = next((each for each in drops if each.text), next(iter(drops), None))
        return Receipt("dropped") if told is None else told.receipt

    def _take(
        self,
        db: sqlite3.Connection,
        event: Event,
        takers: Sequence[Heard],
        ready: Mapping[str, Ready] | None,
        *,
        now: int,
    ) -> Outcome:
        if backlog.total(db) >= self._limits.backlog_total:
            return TooMuch(TOO_MUCH_EVERYWHERE)
        if event.sender.id and not event.sender.is_bot:
            seen = Seen(event.sender.name, event.sender.groups)
            people.saw(db, event.route.channel, event.sender.id, seen)
        accepted: list[Accepted] = []
        too_much: TooMuch | None = None
        kept_back: list[KeptBack] = []
        for each in takers:
            theirs = Ready() if ready is None else ready.get(each.wiring.agent)
            taken = None if theirs is None else self._for(db, event, each.wiring, theirs, now=now)
            if isinstance(taken, TooMuch):
                too_much = too_much or taken
            elif isinstance(taken, KeptBack):
                kept_back.append(taken)
            else:
                accepted += taken or ()
        failpoint.hit("inbox-mid-commit")
        if not kept_back:
            return accepted or too_much or Receipt("dropped")
        if accepted:
            # Somebody answers, and of the other one it is said beside that.
            self._budgets.say(cards.say(db, event.route, kept_back[0].text, now=now))
        ids = frozenset[str]().union(*(each.ids for each in kept_back))
        return replace(kept_back[0], ids=ids, accepted=tuple(accepted))

    def _for(
        self, db: sqlite3.Connection, event: Event, wiring: Wiring, ready: Ready, *, now: int
    ) -> Sequence[Accepted] | KeptBack | TooMuch | None:
        """The rows of one agent; None: bots have said enough, or it is kept already."""
        new_here = bool(ready.before) and self._is_new_here(db, wiring, event)
        record = hearing.begun(db, wiring, event.route, now=now)
        if event.sender.is_bot and self._too_many_bots(db, record, event.route, wiring.bot_messages):
            if self._silent(record.id):
                _log.info("bots are not heard here until a person speaks", session=record.id)
            return None
        if (count := backlog.of(db, record.id)) >= self._limits.backlog:
            return TooMuch(TOO_MUCH_HERE.format(count=count))
        refused = self._reserve(db, event, record, ready)
        if refused is not None:
            return deferring.keep_message(
                db, refused, event, record, ready.message_id, _content(event, ready), now=now
            )
        told = self._tell(db, event, wiring, record, now=now)
        # Somebody else may have been quicker, and theirs holds what was said before; so does what was overheard.
        ready = ready if new_here and not told else replace(ready, before=())
        return [*told, _accept(db, record, event, ready, now=now)]

    def _reserve(
        self, db: sqlite3.Connection, event: Event, record: SessionRecord, ready: Ready
    ) -> Refused | None:
        """Sets aside what it may cost; or why it may not be."""
        place = (event.route.channel, event.route.platform_id)
        whose = Whose(record.agent, place, f"{event.route.channel}:{event.sender.id}")
        return self._budgets.reserve(db, ready.message_id, whose, event.route)

    def _is_new_here(self, db: sqlite3.Connection, wiring: Wiring, event: Event) -> bool:
        """Whether it would be the first message of its agent here. A thread of which the agent has overheard what was
        said is not read once more."""
        heard = wiring.others == "accumulate" and bool(
            overheard.at(db, wiring.agent, where(event), since=self._clock() - overheard.KEPT_MS)
        )
        return not heard and not hearing.was_asked(db, wiring, event.route)

    def _too_many_bots(
        self, db: sqlite3.Connection, record: SessionRecord, route: Route, at_once: int
    ) -> bool:
        """Whether bots have kept a conversation going by themselves, or a place busy with ever new ones."""
        lately = inbox.bots_said(db, route, since=self._clock() - BOTS_MS)
        return lately >= BOTS_TIMES * at_once or inbox.only_bots_spoke(db, record.id, at_once)

    # ---------------------------------------------------------------- what is not for an agent

    def _overhear(self, db: sqlite3.Connection, event: Event, heard: Sequence[Heard], *, now: int) -> None:
        """Kept for the agents that want it, of people who may talk to them: it asks for nothing."""
        text = _overheard_text(event)
        if event.sender.is_bot or not text or inbox.known(db, event.id):
            return
        for each in heard:
            # Whoever is not heard may be overheard; a stranger is not.
            known = replace(each.facts, senders="anyone", addressed=False)
            if each.wiring.others == "accumulate" and isinstance(access.decide(event, known), Allow):
                overheard.keep(
                    db,
                    each.wiring.agent,
                    where(event),
                    event_id=event.id,
                    sender_id=event.sender.id,
                    sender=event.sender.name,
                    text=text,
                    created_at=event.created_at,
                    now=now,
                )

    def _tell(
        self, db: sqlite3.Connection, event: Event, wiring: Wiring, record: SessionRecord, *, now: int
    ) -> list[Accepted]:
        """What was overheard here becomes rows that ask for nothing, before the message that does. Where each question
        begins a conversation of its own the next one is to know it as well."""
        if wiring.others != "accumulate":
            return []
        here = where(event)
        said = overheard.at(db, wiring.agent, here, since=now - overheard.KEPT_MS)
        if not (event.opens and wiring.sessions == "thread"):
            overheard.told(db, wiring.agent, here)
        return [
            Accepted(
                record,
                inbox.accept(
                    db,
                    record,
                    message_id=inbox.new_id(),
                    event_id=each.event_id,
                    kind="chat",
                    content=ChatIn(sender=each.sender, text=each.text),
                    route=each.route,
                    created_at=each.created_at,
                    now=now,
                    trigger=False,
                    sender_id=each.sender_id,
                ),
            )
            for each in said
            if each.event_id != event.id and not inbox.known_in(db, record.id, each.event_id)
        ]


def _is_here(db: sqlite3.Connection, event: Event) -> bool:
    """Whether the event has come before: what waits for a budget is accepted by that, and not by coming again."""
    return inbox.known(db, event.id) or bool(budget_rows.kept_of(db, event.id, event.route.channel))


def _asked(heard: Sequence[Heard]) -> tuple[str, Ask] | None:
    """About whose agent an admin is asked first, where none takes the message."""
    if any(each.taken for each in heard):
        return None
    asking = ((each.wiring.agent, each.decided) for each in heard if isinstance(each.decided, Ask))
    return next(asking, None)


def where(event: Event) -> Route:
    """Where a message stands: what opens a thread stands in the place itself. Pure."""
    return _place(event.route) if event.opens else event.route


def _place(route: Route) -> Route:
    """The place of a thread."""
    return Route(channel=route.channel, platform_id=route.platform_id)


def _overheard_text(event: Event) -> str:
    """Struck out before it is cut: half a secret has no known shape. Files are named and not fetched."""
    files: list[IncomingFile | RemoteFile] = [*event.files, *event.remote]
    names = [f"[file] {each.name}" for each in files]
    # A regular expression of a known shape is slow on a very long text, and this is cut anyway.
    text = event.text[: 4 * overheard.MAX_CHARS]
    return screened("\n".join(part for part in (text, *names) if part.strip()))


def _accept(
    db: sqlite3.Connection, record: SessionRecord, event: Event, ready: Ready, *, now: int
) -> Accepted:
    message = inbox.accept(
        db,
        record,
        message_id=ready.message_id,
        event_id=event.id,
        kind="chat",
        content=_content(event, ready),
        route=event.route,
        created_at=event.created_at,
        now=now,
        sender_id=event.sender.id,
    )
    return Accepted(record, message)


def _content(event: Event, ready: Ready) -> ChatIn:
    return ChatIn(
        sender=event.sender.name,
        text=event.text,
        attachments=list(ready.attachments),
        reply_to=event.reply_to and Quote(sender=event.reply_to[0], text=event.reply_to[1]),
        bot=event.sender.is_bot,
        before=list(ready.before),
    )
