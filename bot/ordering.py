"""Ordering: the commands that people give, by whatever surface, and what is suggested to them while they type one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from adapters.base import OVER, Event, Question, Receipt, Sender
from adapters.offers import CommandInfo
from agent.protocol.clock import Clock
from agent.protocol.mailbox import MailboxError
from agent.protocol.messages import Route
from bot import access, cards, hearing, log
from bot.access import Allow, Drop, Facts, Level
from bot.commands.context import Context
from bot.commands.registry import C, Command, Invocation, Registry, Reply
from bot.db import cards as card_rows
from bot.db import people
from bot.db.cards import CardRecord, Option
from bot.db.engine import Database
from bot.errors import CommandFailed, DatabaseError, RoostError
from bot.wirings import Wirings
from container.base import BackendError

IN_THE_WAY: Final = "Roost could not do this: {reason}."
NO_CARD: Final = "There is nothing to press here any more."
SETTLED: Final = "This is settled already: {outcome}"
PRESSED: Final = "“{label}” was pressed."
DISMISSED: Final = "Nothing was done."
UNDER_WAY: Final = "Somebody has just pressed this."
BUTTONS_MS: Final = 900_000
"""So long the buttons beneath what a command says can be pressed."""

_log = log.get("roost.ordering")


class Refused(CommandFailed):
    """Raised when somebody may not give this command; the text is what they are told, and may be empty."""

    def __init__(self, decided: Drop) -> None:
        super().__init__(decided.text or "")
        self.decided = decided


async def carry_out(
    registry: Registry[C],
    found: tuple[Command[C, Any], Sequence[str]],
    event: Event,
    facts: Facts,
) -> Reply:
    """The one way to a command: decides whether whoever gives it may, and runs it. `facts` are those of the place, with
    the command's level. Raises Refused, CommandFailed and whatever the command raises."""
    command, words = found
    _insist(access.decide(event, facts.somewhere()))
    prepared = registry.prepare(command, words, event.arguments, event.route.channel)
    about = await registry.about(prepared, invocation(event, facts), here=facts.agent)
    exact = replace(facts.about(about.agent), command_level=about.level or command.level)
    allowed = _insist(access.decide(event, exact))
    return await registry.run(prepared, invocation(event, exact), allowed)


def _insist(decided: Allow | access.Ask | Drop) -> Allow:
    if isinstance(decided, Allow):
        return decided
    raise Refused(decided if isinstance(decided, Drop) else Drop("stranger"))


def invocation(event: Event, facts: Facts) -> Invocation:
    """Who gives a command, and where. The command line has no place."""
    place = None if event.route.channel == hearing.CONTROL else event.route
    return Invocation(
        event.sender,
        facts.role,
        event.route.channel,
        place,
        guest=facts.guest,
        standing=facts.standing,
        direct=event.direct,
    )


class Ordering:
    """Decides whether whoever gives a command may give it, and has it run."""

    def __init__(self, db: Database, registry: Registry[Context], wirings: Wirings, clock: Clock) -> None:
        self._db = db
        self._registry = registry
        self._wirings = wirings
        self._clock = clock
        self._pressing: set[str] = set()
        """The cards of which a command is under way that is given once."""

    def commands(self) -> Sequence[CommandInfo]:
        """The commands that people may use in a channel."""
        return self._registry.infos

    async def command(self, event: Event) -> Receipt:
        """Runs it; what keeps it from running is said in the receipt. Raises DatabaseError."""
        found = self._registry.find(event.command, event.arguments.get("text", ""))
        facts = await self._facts(event, None if found is None else found[0].level)
        if found is None:
            decided = access.decide(event, facts.somewhere())
            return self._refusal(event, facts, decided) if isinstance(decided, Drop) else Receipt("dropped")
        try:
            reply = await carry_out(self._registry, found, event, facts)
            ask = await self._buttons(event, reply) if reply.buttons else None
        except DatabaseError:
            raise
        except Refused as exc:
            return self._refusal(event, facts, exc.decided)
        except RoostError as exc:
            return Receipt("refused", str(exc))
        except (BackendError, MailboxError, OSError) as exc:
            _log.exception("a command failed", event_id=event.id)
            return Receipt("refused", IN_THE_WAY.format(reason=exc))
        return Receipt("accepted", reply.text, reply.data, ask)

    async def pressed(self, event: Event) -> Receipt:
        """Somebody has pressed a button of a card: they give its command. Raises DatabaseError."""
        card = await self._db.read(partial(card_rows.get, card_id=event.question_id))
        option = None if card is None or event.choice is None else _option(card, event.choice)
        if card is None or option is None:
            return Receipt("refused", NO_CARD)
        given = replace(
            event, kind="command", command=option.command, arguments=dict(option.arguments), text=""
        )
        if card.state == "closed" or card.expires_at <= self._clock():
            # Only who could have pressed it with effect learns what has become of it.
            if not await self._might_press(card, event):
                return Receipt("refused", NO_CARD)
            outcome = card.outcome or cards.OVER
            return Receipt("refused", SETTLED.format(outcome=outcome), OVER if card.outcome is None else None)
        if not option.command:
            return await self._dismiss(card, option, event)
        if card.notice and option.after is None:
            return await self.command(given)
        return await self._once(card, option, given)

    async def complete(self, event: Event) -> Receipt:
        """Suggestions for who may run the command, and for nobody else a word: they have only typed so far. Raises
        DatabaseError."""
        found = self._registry.find(event.command)
        facts = await self._facts(event, None if found is None else found[0].level)
        somewhere = facts.somewhere()
        if found is None or not isinstance(access.decide(event, somewhere), Allow):
            return Receipt("dropped", data=[])
        given = dict(event.arguments)
        typed = given.pop(event.completing, "")
        suggested = await self._registry.complete(
            found[0], event.completing, typed, given, invocation(event, facts)
        )
        return Receipt("accepted", data=suggested)

    async def _facts(self, event: Event, level: Level | None) -> Facts:
        wirings, nobody = self._wirings.at(event.route), self._wirings.of(event.route)

        def gather(db: sqlite3.Connection) -> Facts:
            return hearing.facts(db, event, hearing.meant(db, event.route, wirings) or nobody, level)

        return await self._db.read(gather)

    async def _buttons(self, event: Event, reply: Reply) -> Question:
        now = self._clock()
        return await self._db.write(
            lambda db: cards.offer(
                db,
                event.route,
                reply.buttons,
                subject=f"event:{event.id}",
                expires_at=now + BUTTONS_MS,
                now=now,
            )
        )

    async def _dismiss(self, card: CardRecord, option: Option, event: Event) -> Receipt:
        """Nothing is done. Whoever might have done it may say so."""
        if not await self._might_press(card, event):
            return Receipt("refused", NO_CARD)
        outcome, now = option.after or DISMISSED, self._clock()
        kicked = await self._db.write(partial(cards.close, subject=card.subject, outcome=outcome, now=now))
        self._registry.context.cards.deliver(kicked)
        return Receipt("accepted", outcome)

    async def _might_press(self, card: CardRecord, event: Event) -> bool:
        """Whether somebody could have one of its commands given, whatever it is about."""
        for option in card.options:
            found = self._registry.find(option.command)
            if found is None:
                continue
            given = replace(event, kind="command", command=option.command)
            facts = await self._facts(given, found[0].level)
            if isinstance(access.decide(given, facts.somewhere()), Allow):
                return True
        return False

    async def _once(self, card: CardRecord, option: Option, given: Event) -> Receipt:
        """The command of a card that is for one doing: of two people who press at the same time one is too late."""
        if card.id in self._pressing:
            return Receipt("refused", UNDER_WAY)
        self._pressing.add(card.id)
        try:
            # What was read before may be older than the end of somebody else's.
            found = await self._db.read(partial(card_rows.get, card_id=card.id))
            if found is None or found.state == "closed":
                return Receipt("refused", NO_CARD if found is None else SETTLED.format(outcome=found.outcome))
            receipt = await self.command(given)
            if receipt.state == "accepted":
                outcome, now = option.after or PRESSED.format(label=option.label), self._clock()
                kicked = await self._db.write(
                    partial(cards.close, subject=card.subject, outcome=outcome, now=now)
                )
                self._registry.context.cards.deliver(kicked)
        finally:
            self._pressing.discard(card.id)
        return receipt

    def _refusal(self, event: Event, facts: Facts, decided: Drop) -> Receipt:
        """Somebody who has given half a command is told how the whole of it goes."""
        usage = None
        if decided.reason == "unknown_command":
            usage = self._registry.usage(event.command, facts.standing.anywhere, event.route.channel)
        return Receipt("refused", usage) if usage else decided.receipt


def _option(card: CardRecord, choice: int) -> Option | None:
    return card.options[choice] if 0 <= choice < len(card.options) else None


def operators(command: str, arguments: dict[str, str], level: Level) -> tuple[Event, Facts]:
    """A command that is given by whoever may open the control socket, or read the data folder: they own the service."""
    event = Event(
        id="",
        kind="command",
        route=Route(channel=hearing.CONTROL, platform_id=hearing.CONTROL),
        sender=Sender("operator", "operator"),
        created_at=0,
        direct=True,
        command=command,
        arguments=arguments,
    )
    return event, Facts(people.OWNER, None, level)
