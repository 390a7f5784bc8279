"""What commands work with: the few parts of the service that they may touch."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from agent.protocol.clock import Clock, now_ms
from agent.protocol.messages import Route
from bot import hearing
from bot.access import may
from bot.admission import Admission
from bot.agent_editing import AgentEditing
from bot.approvals import Approvals
from bot.backup.daily import Backups
from bot.budgets import Budgets
from bot.cards import Cards
from bot.commands.registry import Invocation
from bot.containers import Containers
from bot.db import sessions as rows
from bot.db.engine import Database
from bot.db.inbox import Entry
from bot.db.reader import Readable
from bot.db.sessions import SessionRecord
from bot.db.traces import Mark
from bot.deadletters import DeadLetters
from bot.erasing import Erasing
from bot.errors import CommandFailed
from bot.figures import Figures
from bot.guesses import Guesses
from bot.metrics import Metrics
from bot.operations import Operations
from bot.patterns import Patterns
from bot.place_names import PlaceNames
from bot.rebuilding import Rebuilding
from bot.roster import Roster
from bot.schedules import Schedules
from bot.sessions import Sessions
from bot.troubles import Troubles
from bot.wirings import Wirings

NO_PLACE: Final = "This command works in a conversation."


@dataclass(frozen=True)
class Records:
    """What bot.db tells, also while no service runs; then there are no `containers` that it knows."""

    db: Readable
    containers: Containers | None

    def now(self) -> int:
        """In epoch milliseconds."""
        return now_ms()

    def marks(self, message: Entry) -> list[Mark]:
        """What has happened to a message and is not in bot.db yet."""
        return []

    def ahead(self, session_id: str) -> int | None:
        """How many sessions are before this one in the line for a free place; None: it does not wait for one."""
        return None

    async def session(self, prefix: str, invocation: Invocation) -> SessionRecord:
        """The session whose id begins with `prefix`. Raises CommandFailed."""
        found = await self.db.read(lambda db: rows.by_prefix(db, prefix))
        if len(found) == 1:
            return found[0]
        if found:
            raise CommandFailed(f"More than one session begins with {prefix}; give more of its id.")
        listing = invocation.spelled("session list")
        raise CommandFailed(f"There is no session {prefix}; `{listing}` shows them.")

    def state(self, record: SessionRecord) -> str:
        """Of its container, in one word: working, idle or asleep; unknown when nobody watches it."""
        if self.containers is not None:
            return self.containers.state(record.id)
        return "unknown" if record.awake else "asleep"

    def container(self, record: SessionRecord) -> str | None:
        """The name of the living container, where there is one that somebody knows of."""
        runner = None if self.containers is None else self.containers.of(record.id)
        return None if runner is None else runner.name


@dataclass(frozen=True)
class Context(Records):
    """The running service as commands see it."""

    db: Database
    containers: Containers
    admission: Admission
    operations: Operations
    backups: Backups
    schedules: Schedules
    letters: DeadLetters
    metrics: Metrics
    clock: Clock
    started_at: int
    agent_of: Callable[[Route], str]
    """The agent that serves a place."""
    roster: Roster
    wirings: Wirings
    sessions: Sessions
    channels: Collection[str]
    """The names of the adapters."""
    guesses: Guesses
    figures: Figures
    cards: Cards
    approvals: Approvals
    budgets: Budgets
    erasing: Erasing
    troubles: Troubles
    """Of the adapters."""
    rebuilding: Rebuilding
    """The images of the agents; `changed(agent)` is to be told when settings of an agent have changed."""
    agents: AgentEditing
    place_names: PlaceNames
    patterns: Patterns
    """Those of wirings, and which of them fail."""

    def now(self) -> int:
        return self.clock()

    def marks(self, message: Entry) -> list[Mark]:
        session = self.sessions.loaded(message.session)
        return [] if session is None else session.marks.of(message.message)

    def ahead(self, session_id: str) -> int | None:
        if not self.admission.waits(session_id):
            return None
        return next(n for n, waiting in enumerate(self.admission.line()) if waiting == session_id)

    async def here(self, route: Route | None) -> SessionRecord:
        """The conversation in which a command was given. Raises CommandFailed."""
        record = await self.found_at(route)
        if record is None:
            raise CommandFailed("There is no conversation here yet.")
        return record

    async def found_at(self, route: Route | None) -> SessionRecord | None:
        """The same; None where nothing has been said yet."""
        if route is None:
            raise CommandFailed(NO_PLACE)
        wirings, nobody = self.wirings.at(route), self.wirings.of(route)
        return await self.db.read(
            lambda db: hearing.conversation(db, hearing.meant(db, route, wirings) or nobody, route)
        )

    async def all_at(self, invocation: Invocation) -> list[SessionRecord]:
        """The conversations in which a command was given, of all agents of the place to whom its giver may talk. Raises
        CommandFailed."""
        route, standing = invocation.route, invocation.standing
        if route is None:
            raise CommandFailed(NO_PLACE)
        theirs = [
            each
            for each in self.wirings.at(route)
            if each.strangers == "answer" or may(standing.of(each.agent), "member")
        ]
        found = await self.db.read(lambda db: [hearing.conversation(db, each, route) for each in theirs])
        return [each for each in found if each is not None]

    async def begun_at(self, route: Route | None) -> SessionRecord:
        """The same; made where nothing has been said yet. Raises CommandFailed."""
        if route is None:
            raise CommandFailed(NO_PLACE)
        wirings, nobody, now = self.wirings.at(route), self.wirings.of(route), self.clock()
        return await self.db.write(
            lambda db: hearing.begun(db, hearing.meant(db, route, wirings) or nobody, route, now=now)
        )
