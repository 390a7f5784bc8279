"""Requests: what an agent may not do alone becomes an approval, and the agent is told so at once.

asked -> checked -> an approval with everything that would be done -> decided -> carried out (granting.py) -> told
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Any, Final, assert_never

from agent.protocol.messages import MessageOut, Route
from agent.protocol.requests import (
    AddMcpServer,
    AnyRequest,
    CreateAgent,
    InstallPackages,
    RequestDestination,
    RequestHost,
    RequestMount,
    RunCommand,
)
from bot import approvals, surfaces, wanted
from bot.commands.registry import Registry
from bot.db import approvals as rows
from bot.db import errands, inbox
from bot.errors import CommandFailed
from bot.rebuilding import NO_CONTAINERS
from bot.redaction import redact
from bot.roster import Roster
from bot.screening import one_line
from bot.session import Session
from bot.wanted import Wanted

MAX_AN_HOUR: Final = 20
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
ASKED: Final = (
    "An admin is asked (approval {id}). You will be told when it is decided; go on with what you can do."
)
ASKED_BEFORE: Final = "An admin is asked for just this already (approval {id}); wait until you are told."
ASKED_ELSEWHERE: Final = (
    "An admin is asked for just this already, in another conversation (approval {id}); look later."
)
TOO_OFTEN: Final = "This conversation has asked for {count} things in the last hour; ask for no more now."
DENIED: Final = "An admin has denied just this already; do not ask for it again today."
NOT_THIS: Final = "The command {command} cannot be asked for by an agent."
NO_COMMAND: Final = "There is no command {command}."
TWICE: Final = "Give the option {option} once: by its name, or as a word behind the command."
CONTINUED: Final = "\n    | "
NO_MOUNTS: Final = "Folders need containers, and this service runs its agents as plain processes."


class Requests:
    """Makes approvals of what agents ask for."""

    def __init__(
        self,
        roster: Roster,
        commands: Registry[Any],
        channels: Collection[str],
        *,
        containers: bool,
        mounts: bool,
    ) -> None:
        """`commands` are only looked at, `channels` the names of the adapters. `containers`: whether agents have
        images; `mounts`: whether their containers can be given folders."""
        self._roster = roster
        self._commands = commands
        self._channels = channels
        self._containers = containers
        self._mounts = mounts

    def ask(
        self, db: sqlite3.Connection, session: Session, message: MessageOut, asked: AnyRequest, *, now: int
    ) -> tuple[str, list[str]]:
        """Asks, in this transaction. Returns what the agent is told, and the sessions that have something to be
        delivered. Raises CommandFailed when it is not asked for; then nothing was changed."""
        found = self._wanted(session, message.route, asked)
        if rows.denied_since(db, found.kind, session.agent, found.effect, now - DAY_MS):
            raise CommandFailed(DENIED)
        if (count := rows.asked_since(db, session.id, now - HOUR_MS)) >= MAX_AN_HOUR:
            raise CommandFailed(TOO_OFTEN.format(count=count))
        began = errands.origin(db, session.id)
        approval, kicked = approvals.ask(
            db,
            kind=found.kind,
            agent=session.agent,
            asked_by=f"agent:{session.agent}",
            summary=redact(found.summary),
            details=f"{redact(found.details)}\n\n{_asked_in(db, session, message, began)}",
            effect=found.effect,
            now=now,
            session=session.id,
            route=message.route,
            near=began,
            choices=found.choices,
            level=found.level,
        )
        if kicked:
            return ASKED.format(id=approval.id), kicked
        again = ASKED_BEFORE if approval.session == session.id else ASKED_ELSEWHERE
        return again.format(id=approval.id), []

    def _wanted(self, session: Session, route: Route, asked: AnyRequest) -> Wanted:
        name = session.agent
        agent = self._roster.get(name)
        if agent is None:
            raise CommandFailed(f"There is no agent {name} any more.")
        match asked:
            case InstallPackages():
                if not self._containers:
                    raise CommandFailed(NO_CONTAINERS)
                return wanted.packages(asked, name, agent)
            case AddMcpServer():
                return wanted.server(asked, name, agent)
            case CreateAgent():
                return wanted.new_agent(asked, name, self._roster)
            case RequestHost():
                return wanted.host(asked, name)
            case RequestMount():
                if not self._mounts:
                    raise CommandFailed(NO_MOUNTS)
                return wanted.mount(asked, name)
            case RequestDestination():
                return wanted.destination(
                    asked,
                    name,
                    session.home,
                    agents=self._roster,
                    channels=self._channels,
                    has=self._roster.destinations(name),
                )
            case RunCommand():
                return self._command(session, route, asked)
            case unknown:
                assert_never(unknown)

    def _command(self, session: Session, route: Route, asked: RunCommand) -> Wanted:
        """`route` is where it is going to be given: what it leaves out is meant of that place."""
        found = self._commands.find(asked.command)
        if found is None:
            raise CommandFailed(NO_COMMAND.format(command=one_line(asked.command)[:80]))
        command, words = found
        if not command.agents_may:
            raise CommandFailed(NOT_THIS.format(command=command.name))
        arguments = dict(asked.arguments)
        named = {"text", *command.parameters.positional()[: len(words)]}
        if twice := named & set(arguments):
            raise CommandFailed(TWICE.format(option=min(twice)))
        if "yes" in command.parameters.model_fields:
            # Allowing it is what a person would confirm it by.
            arguments["yes"] = "true"
        channel = route.channel
        self._commands.prepare(command, words, arguments, channel)
        # No line of a value can pass for another option.
        options = [
            f"{option}: {CONTINUED.join(value.splitlines())}"
            for option, value in arguments.items()
            if option != "yes"
        ]
        spelled = "\n  ".join([surfaces.spelled(channel, " ".join([command.name, *words])), *options])
        return wanted.command(
            session.agent,
            asked.reason,
            spelled,
            {"command": command.name, "words": words, "arguments": arguments},
            place=wanted.place_in_words(route, near=route),
            owner=command.level == "owner",
        )


def _asked_in(db: sqlite3.Connection, session: Session, message: MessageOut, began: Route | None) -> str:
    """Where it was asked, for whoever decides: the place, the person whose message the agent works on, the session."""
    asking = None if message.in_reply_to is None else inbox.sender_of(db, session.id, message.in_reply_to)
    for_whom = f" for {wanted.quoted(asking)}" if asking else ""
    where = wanted.place_in_words(began or message.route, near=began or message.route)
    return f"Asked in {where}{for_whom}, session `{session.id}`."
