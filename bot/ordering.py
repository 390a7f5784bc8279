"""Ordering: the commands that people give in a channel, and what is suggested to them while they type one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.base import Event, Receipt
from adapters.offers import CommandInfo
from agent.protocol.mailbox import MailboxError
from bot import access, hearing, log
from bot.access import Drop, Facts, Level
from bot.commands.context import Context
from bot.commands.registry import Invocation, Registry
from bot.db.engine import Database
from bot.errors import DatabaseError, RoostError
from bot.wirings import Wirings
from container.base import BackendError

IN_THE_WAY: Final = "Roost could not do this: {reason}."

_log = log.get("roost.ordering")


class Ordering:
    """Decides whether whoever gives a command may give it, and has it run."""

    def __init__(self, db: Database, registry: Registry[Context], wirings: Wirings) -> None:
        self._db = db
        self._registry = registry
        self._wirings = wirings

    def commands(self) -> Sequence[CommandInfo]:
        """The commands that people may use in a channel."""
        return self._registry.infos

    async def command(self, event: Event) -> Receipt:
        """Runs it; what keeps it from running is said in the receipt. Raises DatabaseError."""
        found = self._registry.find(event.command, event.arguments.get("text", ""))
        facts = await self._facts(event, None if found is None else found[0].level)
        decided = access.decide(event, facts)
        if isinstance(decided, Drop):
            return self._refusal(event, facts, decided)
        if found is None:
            return Receipt("dropped")
        try:
            reply = await self._registry.run(*found, event.arguments, _invocation(event, facts))
        except DatabaseError:
            raise
        except RoostError as exc:
            return Receipt("refused", str(exc))
        except (BackendError, MailboxError, OSError) as exc:
            _log.exception("a command failed", event_id=event.id)
            return Receipt("refused", IN_THE_WAY.format(reason=exc))
        return Receipt("accepted", reply.text, reply.data)

    async def complete(self, event: Event) -> Receipt:
        """Suggestions for who may run the command, and for nobody else a word: they have only typed so far. Raises
        DatabaseError."""
        found = self._registry.find(event.command)
        facts = await self._facts(event, None if found is None else found[0].level)
        if found is None or isinstance(access.decide(event, facts), Drop):
            return Receipt("dropped", data=[])
        given = dict(event.arguments)
        typed = given.pop(event.completing, "")
        suggested = await self._registry.complete(
            found[0], event.completing, typed, given, _invocation(event, facts)
        )
        return Receipt("accepted", data=suggested)

    async def _facts(self, event: Event, level: Level | None) -> Facts:
        wiring = self._wirings.of(event.route)
        return await self._db.read(lambda db: hearing.facts(db, event, wiring, level))

    def _refusal(self, event: Event, facts: Facts, decided: Drop) -> Receipt:
        """Somebody who has given half a command is told how the whole of it goes."""
        usage = None
        if decided.reason == "unknown_command":
            usage = self._registry.usage(event.command, facts.standing, event.route.channel)
        return Receipt("refused", usage) if usage else decided.receipt


def _invocation(event: Event, facts: Facts) -> Invocation:
    return Invocation(event.sender, facts.standing, event.route.channel, event.route, guest=facts.guest)
