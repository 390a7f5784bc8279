"""Granting: what is done once an admin has allowed an agent what it has asked for (requests.py).

Each effect bears to be carried out again: a service that is killed in the middle leaves it approved, and the next one
begins anew. What must not be had twice is marked as begun first.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final

from adapters.base import Event, Sender
from agent.protocol.clock import Clock
from agent.protocol.messages import Destination, Route
from bot import access, cards, log, ordering, wanted
from bot.access import Facts
from bot.approvals import Effect
from bot.cards import Cards
from bot.commands.context import Context
from bot.commands.registry import Registry
from bot.config import Config
from bot.config_tables import AgentConfig
from bot.data_folder import make_folder_of
from bot.db import agents, audit, egress, people
from bot.db.agents import Changed
from bot.db.approvals import ApprovalRecord
from bot.db.audit import SERVICE, Actor
from bot.db.egress import EVERY_SESSION, Granted
from bot.db.engine import Database
from bot.db.people import Standing
from bot.errors import CommandFailed
from bot.mount_list import MountRefused
from bot.mounts import Mounts
from bot.rebuilding import Rebuilding
from bot.roster import Roster
from bot.striking import struck
from bot.surfaces import CONTROL

MAX_TOLD_CHARS: Final = 4_000
"""Of what a command says, for the agent that has asked for it."""
GONE: Final = "the agent {agent} is not there any more"
BUILDING: Final = "The image of {agent} is being built with what was allowed; that can take some minutes."
INSTALLED: Final = "They are in your container from now on: {packages}."
NEXT: Final = "It counts from now on, in a container that was started for it."
BEGUN: Final = "the service was stopped while the command was given; look how far it came before asking again"
INHERITED: Final = (
    "provider", "model", "fallback_model", "effort", "model_url", "model_key_file", "model_key_env",
    "model_token_file", "model_token_env", "provider_options",
)  # fmt: skip
"""What a new agent has of the one that has asked for it: what it reaches its model by, and no right of its own."""

_log = log.get("roost.granting")


class Granting:
    """Carries out the effects."""

    def __init__(
        self,
        config: Config,
        db: Database,
        roster: Roster,
        rebuilding: Rebuilding,
        boards: Cards,
        registry: Registry[Context],
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Clock,
    ) -> None:
        self._config = config
        self._db = db
        self._roster = roster
        self._rebuilding = rebuilding
        self._cards = boards
        self._registry = registry
        self._environ = environ
        self._clock = clock

    @property
    def effects(self) -> Mapping[str, Effect]:
        """By their kinds, for `Approvals`."""
        return {
            "install_packages": self.packages,
            "add_mcp_server": self.server,
            "create_agent": self.agent,
            "request_host": self.host,
            "request_mount": self.mount,
            "request_destination": self.destination,
            "run_command": self.command,
        }

    async def packages(self, approval: ApprovalRecord) -> str:
        """Builds the image, and uses it when it is there: an agent whose packages cannot be had keeps what it has."""
        name, effect = approval.agent, approval.effect

        def change(agent: AgentConfig) -> dict[str, Any]:
            image = wanted.with_packages(agent.image, effect["apt"], effect["pip"])
            return {"image": {"apt": list(image.apt), "pip": list(image.pip)}}

        agent = self._agent(name)
        wished = self._roster.with_settings(
            name, {**await self._settings(name), **change(agent)}, own=self._roster.is_own(name)
        )
        await self._say_once(approval, BUILDING.format(agent=name))
        tag = await self._rebuilding.build(name, wished)
        await self._set(approval, change)
        if self._agent(name).image == wished.image:
            self._rebuilding.use(name, tag)
        self._rebuilding.changed(name)
        return INSTALLED.format(packages=", ".join([*effect["apt"], *effect["pip"]]))

    async def server(self, approval: ApprovalRecord) -> str:
        """Gives the agent the server, in place of one of the same name."""
        effect = approval.effect
        await self._set(
            approval,
            lambda agent: {"mcp_servers": {**agent.mcp_servers, effect["name"]: effect["config"]}},
        )
        self._rebuilding.changed(approval.agent)
        return f"You have the server {effect['name']}. {NEXT}"

    async def mount(self, approval: ApprovalRecord) -> str:
        """Gives the agent the folder, if the machine's own list allows it."""
        effect = approval.effect
        wish = {key: value for key, value in effect.items() if value is not None}

        def change(agent: AgentConfig) -> dict[str, Any]:
            others = [
                each.model_dump(mode="json", exclude_unset=True)
                for each in agent.mounts
                if str(each.source) != effect["source"]
            ]
            return {"mounts": [*others, wish]}

        name = approval.agent
        settings = {**await self._settings(name), **change(self._agent(name))}
        wished = self._roster.with_settings(name, settings, own=self._roster.is_own(name))
        look = Mounts(self._config, self._environ, {name: wished})
        try:
            found = await asyncio.to_thread(look.of, name)
        except MountRefused as exc:
            raise CommandFailed(str(exc)) from exc
        await self._set(approval, change)
        self._rebuilding.changed(name)
        return f"The folder is at {found[-1].target}. {NEXT}"

    async def agent(self, approval: ApprovalRecord) -> str:
        """Makes the agent, and lets the two write to each other."""
        effect, parent = approval.effect, self._agent(approval.agent)
        name = effect["name"]
        inherited = parent.model_dump(mode="json", include=set(INHERITED), exclude_unset=True)
        settings = {**inherited, "assistant_name": name, "instructions": effect["instructions"]}
        if effect["model"] is not None:
            settings["model"] = effect["model"]
        self._roster.with_settings(name, settings, own=True)
        by = _decider(approval)

        def work(db: sqlite3.Connection) -> None:
            now, before = self._clock(), agents.get(db, name)
            # Made by an earlier service that did not live to say so, it is just as it would be made now.
            mine = before is not None and before.own and not before.deleted and before.settings == settings
            if not mine and (name in self._roster or before is not None):
                raise CommandFailed(f"there is, or was, an agent {name} already")
            if not mine:
                agents.put(db, Changed(name, settings, own=True, deleted=False), now=now)
                audit.record(
                    db, by, "agent create", f"agent:{name}", now=now, agent=name, after=struck(settings)
                )
            for one, other in ((approval.agent, name), (name, approval.agent)):
                agents.add_destination(db, one, to_agent(other))

        await self._db.write(work)
        await self._roster.refresh(self._db)
        await asyncio.to_thread(make_folder_of, self._config.service.data_dir, name, self._roster[name])
        self._rebuilding.changed(name)
        return f"There is an agent {name} now; you can write to it as {name}."

    async def destination(self, approval: ApprovalRecord) -> str:
        """Lets the agent write there."""
        effect, by = approval.effect, _decider(approval)
        self._agent(approval.agent)
        route = Route(channel=effect["channel"], platform_id=effect["platform_id"])
        if route.channel == wanted.AGENT_CHANNEL and route.platform_id not in self._roster:
            raise CommandFailed(GONE.format(agent=route.platform_id))
        made = Destination(name=effect["name"], display_name=_display(route), route=route)

        def work(db: sqlite3.Connection) -> None:
            if made in agents.destinations(db).get(approval.agent, ()):
                return
            agents.add_destination(db, approval.agent, made)
            audit.record(
                db, by, "destination add", f"destination:{approval.agent}/{made.name}", now=self._clock(),
                agent=approval.agent, after={"name": made.name, **route.model_dump(exclude_none=True)},
            )  # fmt: skip

        await self._db.write(work)
        await self._roster.refresh(self._db)
        return f"You may write there from now on, as {made.name}."

    async def host(self, approval: ApprovalRecord) -> str:
        """Opens the way to the host: once, for the session, or for the agent."""
        effect, choice, by = approval.effect, approval.choice, _decider(approval)
        session = EVERY_SESSION if choice == wanted.THIS_AGENT else approval.session or EVERY_SESSION
        once = choice == wanted.ONCE

        def work(db: sqlite3.Connection) -> None:
            now = self._clock()
            if not egress.begin(db, approval.id, now=now):
                return
            egress.grant(
                db,
                Granted(approval.agent, session, effect["host"], effect["ports"], once=once, granted_at=now),
            )
            after = {"host": effect["host"], "ports": effect["ports"], "session": session, "once": once}
            audit.record(
                db, by, "agent egress", f"agent:{approval.agent}", now=now, agent=approval.agent, after=after
            )

        await self._db.write(work)
        how = {
            wanted.ONCE: f"for one connection within {egress.ONCE_MS // 60_000} minutes",
            wanted.THIS_SESSION: "in this conversation",
        }.get(choice or "", "in all your conversations")
        return f"{effect['host']} is open to you {how}."

    async def command(self, approval: ApprovalRecord) -> str:
        """Gives the command in the name of whoever has allowed it: what they may not do is not done."""
        effect, by = approval.effect, _decider(approval)
        found = self._registry.find(effect["command"])
        if found is None or not found[0].agents_may:
            raise CommandFailed(f"the command {effect['command']} cannot be given any more")
        if not await self._db.write(lambda db: egress.begin(db, approval.id, now=self._clock())):
            raise CommandFailed(BEGUN)
        command = found[0]
        remembered = approval.decided_as or {}
        groups = tuple(remembered.get("groups", ()))
        standing = await self._db.read(lambda db: _standing(db, by, groups))
        event = Event(
            id=approval.subject,
            kind="command",
            route=approval.route or Route(channel=CONTROL, platform_id=CONTROL),
            sender=Sender(by.id, by.name, groups=groups),
            created_at=self._clock(),
            command=command.name,
            arguments=dict(effect["arguments"]),
        )
        facts = Facts(standing, approval.agent, command.level)
        try:
            reply = await ordering.carry_out(self._registry, (command, effect["words"]), event, facts)
        except ordering.Refused as exc:
            why = str(exc) or access.NOT_LET_IN
            raise CommandFailed(f"whoever has allowed it may not give it: {why}") from exc
        told = reply.text
        if len(told) > MAX_TOLD_CHARS:
            told = f"{told[:MAX_TOLD_CHARS]}\n(cut: it has {len(reply.text):,} characters)"
        return f"It was given, and says:\n{told}"

    # ---------------------------------------------------------------- settings

    def _agent(self, name: str) -> AgentConfig:
        found = self._roster.get(name)
        if found is None:
            raise CommandFailed(GONE.format(agent=name))
        return found

    async def _settings(self, name: str) -> Mapping[str, Any]:
        row = await self._db.read(lambda db: agents.get(db, name))
        return {} if row is None else row.settings

    async def _set(
        self, approval: ApprovalRecord, change: Callable[[AgentConfig], Mapping[str, Any]]
    ) -> None:
        """Sets what `change` makes of the agent as it is now; what is so already is left. Raises CommandFailed."""
        name, by = approval.agent, _decider(approval)

        def work(db: sqlite3.Connection) -> None:
            row = agents.get(db, name)
            before = {} if row is None else row.settings
            agent = self._roster.with_settings(name, before, own=self._roster.is_own(name))
            new = change(agent)
            after = {**before, **new}
            self._roster.with_settings(name, after, own=self._roster.is_own(name))
            if after == before:
                return
            now = self._clock()
            agents.put(db, Changed(name, after, own=self._roster.is_own(name), deleted=False), now=now)
            old = agent.model_dump(mode="json", include=set(new))
            audit.record(
                db,
                by,
                "agent set",
                f"agent:{name}",
                now=now,
                agent=name,
                before=struck(old),
                after=struck(dict(new)),
            )

        self._agent(name)
        await self._db.write(work)
        await self._roster.refresh(self._db)

    async def _say_once(self, approval: ApprovalRecord, text: str) -> None:
        if approval.route is None or approval.route.channel == wanted.AGENT_CHANNEL:
            return
        route = approval.route

        def work(db: sqlite3.Connection) -> list[str]:
            now = self._clock()
            return [cards.say(db, route, text, now=now)] if egress.begin(db, approval.id, now=now) else []

        self._cards.deliver(await self._db.write(work))


def to_agent(name: str) -> Destination:
    """Another agent as a place that an agent may write to."""
    return Destination(
        name=name,
        display_name=f"the agent {name}",
        route=Route(channel=wanted.AGENT_CHANNEL, platform_id=name),
    )


def _display(route: Route) -> str:
    if route.channel == wanted.AGENT_CHANNEL:
        return f"the agent {route.platform_id}"
    return f"{route.channel} {route.platform_id}"


def _decider(approval: ApprovalRecord) -> Actor:
    """Whoever has allowed it, for the audit."""
    found = approval.decided_as
    if found is None:
        return SERVICE
    return Actor(str(found["id"]), str(found["name"]), str(found["surface"]), approval.route)


def _standing(db: sqlite3.Connection, by: Actor, groups: tuple[str, ...]) -> Standing:
    """The roles that they have now, which may be fewer than when they allowed it."""
    return people.OWNER if by.surface == CONTROL else people.standing(db, by.surface, by.id, groups)
