"""Intake: the one way in. Every event of every kind is decided upon here, and durable before it is acknowledged."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from adapters.base import AGAIN, CARD, Event, Manners, Receipt, clean
from adapters.offers import CommandInfo
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import Quote, Route
from bot import access, beforehand, engage, log, strangers
from bot.acceptance import Acceptance, Outcome, Ready, TooMuch
from bot.beforehand import MAX_QUOTE_CHARS, one_name
from bot.budgets import Budgets
from bot.commands.context import Context
from bot.commands.registry import Registry
from bot.config_tables import LimitsConfig
from bot.db import held, inbox
from bot.db import sessions as rows
from bot.db.engine import Database
from bot.db.held import Held
from bot.deferring import KeptBack
from bot.delivery import Delivery
from bot.errors import DatabaseError
from bot.fetching import Fetching
from bot.files import Readying, Refused, discard, discard_leftovers
from bot.gate import Crowded, Gate, Overload
from bot.hearing import Fits
from bot.keeping import Keeping
from bot.metrics import Metrics
from bot.notebook import Notebook
from bot.ordering import Ordering
from bot.patterns import Patterns
from bot.place_names import PlaceNames
from bot.posting import Posting
from bot.sessions import Sessions
from bot.strangers import Asked
from bot.troubles import Troubles
from bot.waiting_files import WaitingFiles, named
from bot.wirings import Wirings

FILES_AT_ONCE: Final = 2
"""Files come in on threads that the rest of the service needs as well."""
TURNED_AWAY_MS: Final = 600_000
"""A stranger who is told that they are one is told again after this time."""
SELDOM_SAID: Final = strangers.SELDOM | {access.ONLY_ADMINS}
CROWDED: Final = "Too many messages come in here at once; please wait a moment and send it again."
NOT_SAVED: Final = "Roost could not save this message; please send it again in a moment."

T = TypeVar("T")
_log = log.get("roost.intake")


class Intake:
    """What adapters call: it is their `adapters.base.Host`."""

    def __init__(
        self,
        db: Database,
        sessions: Sessions,
        posting: Posting,
        delivery: Delivery,
        registry: Registry[Context],
        wirings: Wirings,
        limits: LimitsConfig,
        *,
        budgets: Budgets,
        incoming: Path,
        notes: Notebook,
        troubles: Troubles,
        keeping: Keeping,
        place_names: PlaceNames,
        patterns: Patterns,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.notes = notes
        self._troubles = troubles
        self._keeping = keeping
        self._place_names = place_names
        self._db = db
        self._sessions = sessions
        self._posting = posting
        self._delivery = delivery
        self._cards = registry.context.cards
        self._ordering = Ordering(db, registry, wirings, clock)
        self._acceptance = Acceptance(wirings, limits, budgets, clock)
        self._patterns = patterns
        self._wirings = wirings
        self._limits = limits
        self._incoming = incoming
        self._metrics = metrics
        self._clock = clock
        self._seldom = log.Seldom()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._gates: dict[tuple[str, str], Gate] = {}
        self._overload = Overload()
        self._turned_away = Overload(TURNED_AWAY_MS, more="")
        self._taking_files = asyncio.Semaphore(FILES_AT_ONCE)
        self._fetching = Fetching(limits)
        self._waiting_files = WaitingFiles(db, self._fetching, limits, incoming=incoming)
        self._under_way: dict[str, asyncio.Event] = {}
        """By the ids of the events that are being taken in."""

    async def clean_up(self) -> None:
        """Removes the files that a killed service took in for messages that it never accepted. To be called
        before anything is received. Raises DatabaseError, OSError."""
        wanted = await self._db.read(lambda db: inbox.unfinished_ids(db) | held.message_ids(db))
        await asyncio.to_thread(discard_leftovers, self._incoming, wanted)

    async def receive(self, event: Event) -> Receipt:
        """Returns when the event is durable, or known to be nobody's business. Never raises for what a
        person did; a disk that fails is said in the receipt, so that the platform may try again."""
        failpoint.hit("event-received")
        try:
            with self._metrics.accept_seconds.time():
                receipt = await self._pass(event)
        except Crowded:
            receipt = self._overloaded(event.route, CROWDED)
        except (DatabaseError, OSError) as exc:
            if self._seldom(str(exc)):
                _log.error("an event was not saved: %s", exc, event_id=event.id)
            receipt = Receipt("refused", NOT_SAVED, AGAIN)
        self._metrics.events.labels(event.route.channel, event.kind, receipt.state).inc()
        return replace(receipt, text=self._for_sender(event, receipt.text))

    def _for_sender(self, event: Event, text: str | None) -> str | None:
        """What they are told: a bot nothing, which it could answer; a stranger that they are one once in a while,
        or whoever goes on talking would have the bot fill the place with it."""
        if event.sender.is_bot:
            return None
        if event.kind == "message" and text in SELDOM_SAID:
            who = (event.route.channel, event.sender.id)
            return self._turned_away.say(who, text, now=self._clock())
        return text

    def present(self, channel: str, platform_id: str) -> None:
        """Somebody is there again: what was kept for this place can go out."""
        self._delivery.present(channel, platform_id)
        self._begin(self._present(channel, platform_id))

    def commands(self) -> Sequence[CommandInfo]:
        """The commands that people may use in a channel."""
        return self._ordering.commands()

    def manners(self, route: Route) -> Manners:
        """How the agents of a place behave there."""
        return engage.together(self._wirings.at(route))

    def trouble(self, channel: str, text: str | None) -> None:
        """What keeps an adapter from working, in one sentence for the operator; None when it works (again)."""
        self._troubles.note(channel, text)

    def place(self, channel: str, platform_id: str, name: str | None, *, gone: bool = False) -> None:
        """What people call a place now, and whether it was deleted."""
        self._place_names.note(channel, platform_id, name, gone=gone)

    async def _present(self, channel: str, platform_id: str) -> None:
        try:
            session_ids = await self._db.read(lambda db: rows.at_place(db, channel, platform_id))
        except DatabaseError as exc:
            _log.error("what was kept for a place stays there: %s", exc)
            return
        for session_id in session_ids:
            self._delivery.kick(session_id)

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name="intake")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _pass(self, event: Event) -> Receipt:
        """Raises Crowded, DatabaseError, OSError."""
        gate, place = self._gate(event), event.route.platform_id
        try:
            await gate.enter(place)
        except BaseException:
            if event.files:
                await asyncio.to_thread(discard, event.files)
            raise
        event = _cleaned(event)
        work = self._begin(self._deal_with(event))
        work.add_done_callback(lambda _: gate.leave(place))
        # Somebody who hangs up cancels the caller: what was committed must be known to the session all the same.
        return await asyncio.shield(work)

    async def _deal_with(self, event: Event) -> Receipt:
        match event.kind:
            case "command":
                return await self._ordering.command(event)
            case "complete":
                return await self._ordering.complete(event)
            case "answer" if event.question_id.startswith(CARD):
                return await self._ordering.pressed(event)
            case "delete":
                receipt = await self._row(event)
                await self._keeping.deleted(event)
                return receipt
            case _:
                return await self._row(event)

    def _gate(self, event: Event) -> Gate:
        """Commands have one of their own: a flood can be stopped. So have files, which may take minutes to come."""
        given = event.kind in ("command", "complete") or event.question_id.startswith(CARD)
        kind = "commands" if given else "files" if event.remote else "words"
        return self._gates.setdefault((event.route.channel, kind), Gate())

    def _overloaded(self, route: Route, text: str) -> Receipt:
        return Receipt("refused", self._overload.say(route, text, now=self._clock()))

    async def _row(self, event: Event) -> Receipt:
        """What is for a session becomes a row of the inbox."""
        if event.about in self._under_way:
            # It may still be fetching its files.
            await self._under_way[event.about].wait()
        over = self._under_way[event.id] = asyncio.Event()
        try:
            return await self._row_of(event)
        finally:
            over.set()
            if self._under_way.get(event.id) is over:
                del self._under_way[event.id]

    async def _row_of(self, event: Event) -> Receipt:
        readying = Readying(self._incoming)
        outcome: Outcome | None = None
        try:
            outcome = await self._admit(event, readying)
        except Refused as exc:
            outcome = Receipt("refused", str(exc))
        finally:
            if event.files or event.remote:
                accepted = outcome.accepted if isinstance(outcome, KeptBack) else outcome
                taken = (
                    {each.message.id for each in accepted} if isinstance(accepted, list | tuple) else set()
                )
                kept = outcome.ids if isinstance(outcome, KeptBack) else ()
                await asyncio.to_thread(readying.discard, event.files, taken.union(kept))
        failpoint.hit("inbox-committed")
        return self._done(event.route, outcome)

    def _done(self, route: Route, outcome: Outcome) -> Receipt:
        """What was accepted is known to its sessions, in the same step of the event loop in which it was committed."""
        if isinstance(outcome, Receipt):
            return outcome
        if isinstance(outcome, Asked):
            self._cards.deliver(outcome.kicked)
            return outcome.receipt
        if isinstance(outcome, KeptBack) and not outcome.accepted:
            return Receipt("refused", outcome.text)
        if isinstance(outcome, TooMuch):
            return self._overloaded(route, outcome.text)
        outcome = outcome.accepted if isinstance(outcome, KeptBack) else outcome
        for each in outcome:
            self._sessions.accepted(each.record, each.message)
        for session_id in {each.record.id for each in outcome}:
            self._posting.kick(session_id)
        return Receipt("accepted")

    async def _admit(self, event: Event, readying: Readying) -> Outcome:
        """Raises Refused, DatabaseError, OSError."""
        fits = await self._patterns.fit(self._acceptance.patterns(event), event.text)
        accept = self._acceptance.accept
        if event.kind != "message" or not (event.files or event.remote or event.before is not None):
            return await self._db.write(lambda db: accept(db, event, fits))
        look = await self._db.read(lambda db: self._acceptance.look(db, event, fits))
        if look.asks:
            return await self._ask(event, fits, fetches=look.fetches)
        ready: dict[str, Ready] = {}
        if look.takers:
            before: list[Quote] = []
            if look.new_here and event.before is not None:
                before = await beforehand.read(event.before, event_id=event.id)
            ready = {agent: Ready(before=before if agent in look.new_here else ()) for agent in look.takers}
            if event.files or event.remote:
                ready = await self._with_files(event, ready, readying)
        return await self._db.write(lambda db: accept(db, event, fits, ready))

    async def _ask(self, event: Event, fits: Fits, *, fetches: bool) -> Outcome:
        """An admin is asked about its sender; what belongs to the message is kept with it where that is wanted. Raises
        DatabaseError, OSError."""
        kept = await self._waiting_files.kept(event) if fetches else named(event)
        outcome: Outcome | None = None
        try:
            accept = partial(self._acceptance.accept, event=event, fits=fits, kept=kept)
            outcome = await self._db.write(accept)
        finally:
            if not (isinstance(outcome, Asked) and outcome.kept):
                await asyncio.to_thread(discard, (), self._incoming / kept.message_id)
        return outcome

    async def let_in(self, each: Held) -> Receipt:
        """Accepts a message that has waited until an admin has let it through. Raises DatabaseError."""
        fits = await self._patterns.fit(self._acceptance.patterns(each.event), each.event.text)
        let_in = partial(self._acceptance.let_in, each=each, fits=fits)
        work = self._begin(self._let_in(each.event.route, let_in))
        return await asyncio.shield(work)

    async def _let_in(self, route: Route, let_in: Callable[[sqlite3.Connection], Outcome]) -> Receipt:
        return self._done(route, await self._db.write(let_in))

    async def _with_files(
        self, event: Event, ready: dict[str, Ready], readying: Readying
    ) -> dict[str, Ready]:
        """Each agent gets files of its own: what one does to them is nothing to another. Raises Refused, OSError."""
        # A folder like that of a message which was never accepted: the next service removes it.
        async with self._fetching.fetched(event.remote, self._incoming / inbox.new_id()) as fetched:
            files = [*event.files, *fetched]
            ids = [each.message_id for each in ready.values()]
            async with self._taking_files:
                attachments = await asyncio.to_thread(readying.take_in, files, ids, self._limits)
        failpoint.hit("files-taken-in")
        return {agent: replace(each, attachments=attachments) for agent, each in ready.items()}


def _cleaned(event: Event) -> Event:
    """The event with text that every store can hold; a name is one short line, a quotation a short text."""
    quoted = event.reply_to and (one_name(event.reply_to[0]), clean(event.reply_to[1])[:MAX_QUOTE_CHARS])
    arguments = {clean(name): clean(str(value)) for name, value in event.arguments.items()}
    return replace(
        event,
        text=clean(event.text),
        sender=replace(event.sender, name=one_name(event.sender.name)),
        reply_to=quoted,
        command=clean(event.command),
        arguments=arguments,
        completing=clean(event.completing),
    )
