"""Agents are changed, made, deleted and brought back here: by people's commands, and by whoever carries out what an
admin has approved.

A change is one transaction that reads what is set now, changes that, holds it against the configuration and writes it
with its row in the audit: of two admins who change the same agent at once nobody's change is lost.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from agent.protocol.clock import Clock
from bot import agent_settings
from bot.agent_check import provider_fault
from bot.agent_settings import KEYS, Key, Settings
from bot.config_errors import said
from bot.config_fields import AgentName
from bot.config_tables import AgentConfig
from bot.data_folder import make_agent_folder
from bot.db import agents, audit
from bot.db.agents import Changed
from bot.db.audit import Actor
from bot.db.engine import Database
from bot.errors import CommandFailed
from bot.mount_list import MountRefused
from bot.roster import Roster
from container.base import Mount

MAX_NAME_CHARS: Final = 60
MAX_AGENTS: Final = 200
"""Of all agents: each may have a container ready, and its name is suggested while one types."""
NO_AGENT: Final = "There is no agent {name}."
TAKEN: Final = "There is an agent {name} already."
DELETED: Final = "The agent {name} was deleted; `{restore}` brings it back, or choose another name."
LAST: Final = "{name} is the last agent: somebody has to answer. Make another one before you delete it."
FIRST: Final = (
    "{name} is the first agent of config.toml, which serves wherever nobody has decided who does; put another one"
    " before it in that file, and restart Roost."
)
IN_FILE: Final = (
    "config.toml has the agent {name} serve a place; take it out of [[wirings]] there, and restart Roost."
)
NOT_DELETED: Final = "The agent {name} was not deleted."
TOO_MANY: Final = f"There are {MAX_AGENTS} agents, as many as there may be; delete one first."
_TRIED: Final = frozenset({"provider", "effort", "mcp_servers"})
"""The settings by which a provider may turn out not to be makeable."""
_NAME: Final[TypeAdapter[str]] = TypeAdapter(AgentName)

Edit = Callable[[Settings, AgentConfig], Settings]
"""What is to be set in the chat, by what is set there and by what holds now (bot/agent_edits.py has them). Pure; raises
CommandFailed."""


@dataclass(frozen=True)
class Outcome:
    """What a change has done: the agent as it is now, and each setting that is another one by now, in public words."""

    agent: AgentConfig
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class AgentEditing:
    """The one writer of the agents table."""

    def __init__(
        self,
        db: Database,
        roster: Roster,
        mounts: Callable[[str, AgentConfig], Sequence[Mount]] | None,
        *,
        data: Path,
        clock: Clock,
    ) -> None:
        """`mounts` says what an agent with these settings would be given of this machine's folders, and raises
        MountRefused; None: nothing runs in containers that something could be mounted in."""
        self._db = db
        self._roster = roster
        self._mounts = mounts
        self._data = data
        self._clock = clock

    async def tried(self, name: str, edit: Edit) -> AgentConfig:
        """The agent as this would make it; nothing is changed. Raises CommandFailed, DatabaseError."""
        to = await self._db.read(lambda db: self._edited(self._row(db, name), edit))
        await self._try_out(to)
        return self._roster.as_changed(to)

    async def change(self, name: str, edit: Edit, *, by: Actor, action: str) -> Outcome:
        """Changes what is set for an agent in the chat, from its next turn on. `action` is the command's name. Raises
        CommandFailed, DatabaseError."""
        await self._try_out(await self._db.read(lambda db: self._edited(self._row(db, name), edit)))
        now = self._clock()

        def work(db: sqlite3.Connection) -> Outcome:
            found = self._row(db, name)
            to = self._edited(found, edit)
            outcome = self._difference(found, to)
            if outcome.after != outcome.before:
                agents.put(db, to, now=now)
                audit.record(
                    db, by, action, f"agent:{name}", now=now, agent=name,
                    before=dict(outcome.before), after=dict(outcome.after),
                )  # fmt: skip
            return outcome

        outcome = await self._db.write(work)
        await self._roster.refresh(self._db)
        return outcome

    async def create(
        self,
        name: str,
        settings: Settings,
        *,
        like: str | None,
        with_folders: bool,
        by: Actor,
        base: str | None = None,
    ) -> Outcome:
        """Makes an agent. It has the settings of `like`, where that is given, but for its places, and for its folders
        unless they are asked for `with_folders`; else it has only its model, from `base` or from the first agent.
        Raises CommandFailed, DatabaseError, OSError."""
        _check_name(name)
        now = self._clock()

        def drafted(db: sqlite3.Connection) -> Changed:
            if (there := agents.get(db, name)) is not None and there.deleted:
                raise CommandFailed(DELETED.format(name=name, restore=f"agent restore {name}"))
            if there is not None or name in self._roster or not self._roster.is_own(name):
                raise CommandFailed(TAKEN.format(name=name))
            if len(self._roster) >= MAX_AGENTS:
                raise CommandFailed(TOO_MANY)
            if like is None:
                return Changed(name, settings, own=True, deleted=False, base=base)
            source = self._row(db, like)
            copied = self._copied(source, with_folders=with_folders)
            lender = source.base if source.own else like
            return Changed(name, {**copied, **settings}, own=True, deleted=False, base=lender)

        await self._try_out(await self._db.read(drafted))

        def work(db: sqlite3.Connection) -> Outcome:
            made = drafted(db)
            agent = self._roster.as_changed(made)
            agents.put(db, made, now=now)
            after = {key.name: _public(key, agent) for key in KEYS.values() if _public(key, agent)}
            audit.record(db, by, "agent create", f"agent:{name}", now=now, agent=name, after=after)
            return Outcome(agent, {}, after)

        outcome = await self._db.write(work)
        await asyncio.to_thread(make_agent_folder, self._data, name, outcome.agent)
        await self._roster.refresh(self._db)
        return outcome

    def check_deletion(self, name: str) -> None:
        """Raises CommandFailed with what keeps the agent from being deleted, and what to do."""
        if name not in self._roster:
            raise CommandFailed(NO_AGENT.format(name=name))
        if len(self._roster) == 1:
            raise CommandFailed(LAST.format(name=name))
        if name == self._roster.first:
            raise CommandFailed(FIRST.format(name=name))
        if self._roster.wired(name):
            raise CommandFailed(IN_FILE.format(name=name))

    async def delete(self, name: str, *, by: Actor) -> None:
        """Nothing of it answers any more; all that it has is kept. Raises CommandFailed, DatabaseError."""
        now = self._clock()

        def work(db: sqlite3.Connection) -> None:
            found = self._row(db, name)
            self.check_deletion(name)
            # Two that are deleted at once must not leave nobody.
            gone = {each.name for each in agents.changed(db) if each.deleted}
            if not set(self._roster) - gone - {name}:
                raise CommandFailed(LAST.format(name=name))
            agents.put(db, replace(found, deleted=True), now=now)
            audit.record(
                db, by, "agent delete", f"agent:{name}", now=now, agent=name, before={"deleted": False},
                after={"deleted": True},
            )  # fmt: skip

        await self._db.write(work)
        await self._roster.refresh(self._db)

    async def restore(self, name: str, *, by: Actor) -> None:
        """Brings a deleted one back, as it was. Raises CommandFailed, DatabaseError."""
        now = self._clock()

        def work(db: sqlite3.Connection) -> None:
            found = agents.get(db, name)
            if found is None or not found.deleted:
                raise CommandFailed(NOT_DELETED.format(name=name))
            back = replace(found, deleted=False)
            self._roster.as_changed(back)
            agents.put(db, back, now=now)
            audit.record(
                db, by, "agent restore", f"agent:{name}", now=now, agent=name, before={"deleted": True},
                after={"deleted": False},
            )  # fmt: skip

        await self._db.write(work)
        await self._roster.refresh(self._db)

    def _row(self, db: sqlite3.Connection, name: str) -> Changed:
        """What is set for an agent that there is. Raises CommandFailed."""
        found = agents.get(db, name)
        if found is None and not self._roster.is_own(name):
            return Changed(name, {}, own=False, deleted=False)
        if found is None or found.deleted or (not found.own and self._roster.is_own(name)):
            raise CommandFailed(NO_AGENT.format(name=name[:MAX_NAME_CHARS]))
        return found

    def _copied(self, source: Changed, *, with_folders: bool) -> dict[str, Any]:
        agent = self._roster.as_changed(source)
        configured = self._roster.configured(source.name, own=source.own, base=source.base)
        copied: dict[str, Any] = {}
        for key in KEYS.values():
            if key.name in ("mounts", "directories") and not with_folders:
                continue
            if agent_settings.source(source.settings, configured, key) != "default":
                copied = agent_settings.put(copied, key, agent_settings.value(agent, key))
        return copied

    def _difference(self, found: Changed, to: Changed) -> Outcome:
        """Raises CommandFailed where there can be no such agent."""
        agent, was = self._roster.as_changed(to), self._as_it_was(found)
        before = {key.name: None if was is None else _public(key, was) for key in KEYS.values()}
        after = {key.name: _public(key, agent) for key in KEYS.values()}
        changed = [
            key.name
            for key in KEYS.values()
            if was is None
            or agent_settings.value(agent, key) != agent_settings.value(was, key)
            or agent_settings.given(found.settings, key) != agent_settings.given(to.settings, key)
        ]
        return Outcome(
            agent, {each: before[each] for each in changed}, {each: after[each] for each in changed}
        )

    def _edited(self, found: Changed, edit: Edit) -> Changed:
        return replace(found, settings=edit(found.settings, self._as_it_was(found) or AgentConfig()))

    def _as_it_was(self, found: Changed) -> AgentConfig | None:
        """What config.toml does not allow any more can be put right in the chat all the same."""
        try:
            return self._roster.as_changed(found)
        except CommandFailed:
            return None

    async def _try_out(self, to: Changed) -> None:
        """What takes longer than a transaction may. Raises CommandFailed."""
        agent, was = self._roster.as_changed(to), self._roster.get(to.name)
        folders = ("mounts", "directories")
        if any(getattr(agent, each) != getattr(was, each, []) for each in folders):
            await self._look_at_folders(to.name, agent)
        if any(getattr(agent, each) != getattr(was, each, None) for each in _TRIED):
            fault = await asyncio.to_thread(provider_fault, agent)
            if fault is not None:
                raise CommandFailed(f"The agent cannot be so: {fault}.")

    async def _look_at_folders(self, name: str, agent: AgentConfig) -> None:
        if self._mounts is None:
            if agent.mounts:
                raise CommandFailed(
                    "Without Docker there are no containers to mount folders in; name them in directories."
                )
            return
        try:
            await asyncio.to_thread(self._mounts, name, agent)
        except MountRefused as exc:
            raise CommandFailed(f"{exc}.") from exc


def _public(key: Key, agent: AgentConfig) -> Any:
    return agent_settings.public(key, agent_settings.value(agent, key))


def _check_name(name: str) -> None:
    """Raises CommandFailed. What the service's own sessions have for an agent are no names."""
    if len(name) > MAX_NAME_CHARS:
        raise CommandFailed(f"The name of an agent has at most {MAX_NAME_CHARS} characters.")
    try:
        _NAME.validate_python(name)
    except ValidationError as exc:
        raise CommandFailed(f"{said(exc.errors()[0]).capitalize()}.") from exc
