"""Granting: what is done once an admin has allowed an agent what it has asked for (requests.py).

Each effect bears to be carried out again: a service that is killed in the middle leaves it approved, and the next one
begins anew. What must not be had twice is marked as begun first.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from adapters.base import Event, Sender
from agent.protocol.clock import Clock
from agent.protocol.messages import Destination, Route
from bot import access, agent_edits, agent_settings, cards, ordering, wanted
from bot.access import Facts
from bot.agent_editing import AgentEditing, Edit
from bot.agent_settings import KEYS, Settings
from bot.approvals import Effect
from bot.cards import Cards
from bot.commands.context import Context
from bot.commands.registry import Registry
from bot.config_tables import AgentConfig
from bot.db import agents, audit, egress, people
from bot.db.approvals import ApprovalRecord
from bot.db.audit import SERVICE, Actor
from bot.db.egress import Granted
from bot.db.engine import Database
from bot.db.people import Standing
from bot.destinations import AGENT_CHANNEL
from bot.errors import CommandFailed
from bot.rebuilding import Rebuilding
from bot.roster import Roster
from bot.surfaces import CONTROL

MAX_TOLD_CHARS: Final = 4_000
"""Of what a command says, for the agent that has asked for it."""
GONE: Final = "the agent {agent} is not there any more"
BUILDING: Final = "The image of {agent} is being built with what was allowed; that can take some minutes."
INSTALLED: Final = "They are in your container from now on: {packages}."
NEXT: Final = "It counts from now on, in a container that was started for it."
NOT_BOTH: Final = "it takes an admin of both: whoever has allowed it is none of the agent {agent}"
BEGUN: Final = "the service was stopped while the command was given; look how far it came before asking again"


class Granting:
    """Carries out the effects."""

    def __init__(
        self,
        db: Database,
        roster: Roster,
        rebuilding: Rebuilding,
        editing: AgentEditing,
        boards: Cards,
        registry: Registry[Context],
        *,
        clock: Clock,
    ) -> None:
        self._db = db
        self._roster = roster
        self._rebuilding = rebuilding
        self._editing = editing
        self._cards = boards
        self._registry = registry
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

        def edit(settings: Settings, agent: AgentConfig) -> Settings:
            image = wanted.with_packages(agent.image, effect["apt"], effect["pip"])
            for key, packages in (("apt", image.apt), ("pip", image.pip)):
                if packages != getattr(agent.image, key):
                    settings = agent_settings.put(settings, KEYS[key], list(packages))
            return settings

        wished = await self._editing.tried(name, edit)
        await self._say_once(approval, BUILDING.format(agent=name))
        tag = await self._rebuilding.build(name, wished)
        outcome = await self._editing.change(name, edit, by=_decider(approval), action="agent packages")
        if outcome.agent.image == wished.image:
            self._rebuilding.use(name, tag)
        return INSTALLED.format(packages=", ".join([*effect["apt"], *effect["pip"]]))

    async def server(self, approval: ApprovalRecord) -> str:
        """Gives the agent the server, in place of one of the same name."""
        effect = approval.effect
        edit = agent_edits.add_server(effect["name"], json.dumps(effect["config"]))
        await self._editing.change(approval.agent, edit, by=_decider(approval), action="agent mcp")
        return f"You have the server {effect['name']}. {NEXT}"

    async def mount(self, approval: ApprovalRecord) -> str:
        """Gives the agent the folder, if the machine's own list allows it."""
        effect = approval.effect
        add = agent_edits.add_mount(effect["source"], effect["target"], writable=effect["writable"])

        def edit(settings: Settings, agent: AgentConfig) -> Settings:
            there = any(
                str(each.source) == effect["source"]
                and each.writable == effect["writable"]
                and effect["target"] in (None, None if each.target is None else str(each.target))
                for each in agent.mounts
            )
            return settings if there else add(settings, agent)

        await self._editing.change(approval.agent, edit, by=_decider(approval), action="agent mount")
        return f"The folder {effect['source']} is in your container. {NEXT}"

    async def agent(self, approval: ApprovalRecord) -> str:
        """Makes the agent, which reaches its model as the one does that has asked for it, and has none of its rights;
        and lets the two write to each other."""
        effect, asked_by, by = approval.effect, approval.agent, _decider(approval)
        name = effect["name"]
        settings = {"assistant_name": name, "instructions": effect["instructions"]}
        model = effect["model"] or self._agent(asked_by).model
        if model is not None:
            settings["model"] = model
        found = await self._db.read(lambda db: (agents.get(db, name), agents.get(db, asked_by)))
        made, parent = found
        # Made by an earlier service that did not live to say so, it is just as it would be made now.
        if made is None or made.deleted or made.settings != settings:
            base = parent.base if parent is not None and parent.own else asked_by
            await self._editing.create(name, settings, like=None, with_folders=False, by=by, base=base)

        def work(db: sqlite3.Connection) -> None:
            for one, other in ((asked_by, name), (name, asked_by)):
                _let_write(db, one, to_agent(other), by, now=self._clock())

        await self._db.write(work)
        await self._roster.refresh(self._db)
        return f"There is an agent {name} now; you can write to it as {name}."

    async def destination(self, approval: ApprovalRecord) -> str:
        """Lets the agent write there."""
        effect, by = approval.effect, _decider(approval)
        route = Route(channel=effect["channel"], platform_id=effect["platform_id"])
        if route.channel == AGENT_CHANNEL and route.platform_id not in self._roster:
            raise CommandFailed(GONE.format(agent=route.platform_id))
        if route.channel == AGENT_CHANNEL and not await self._administers(approval, route.platform_id):
            raise CommandFailed(NOT_BOTH.format(agent=route.platform_id))
        made = Destination(name=effect["name"], display_name=_display(route), route=route)
        await self._db.write(lambda db: _let_write(db, approval.agent, made, by, now=self._clock()))
        await self._roster.refresh(self._db)
        return f"You may write there from now on, as {made.name}."

    async def host(self, approval: ApprovalRecord) -> str:
        """Opens the way to the host: once, for the session, or for the agent as its admins could."""
        effect, session, by = approval.effect, approval.session, _decider(approval)
        once = approval.choice == wanted.ONCE
        if approval.choice == wanted.THIS_AGENT or session is None:
            await self._editing.change(approval.agent, _with_hosts(effect), by=by, action="agent egress")
            return f"{effect['host']} is open to you in all your conversations."

        def work(db: sqlite3.Connection) -> None:
            now = self._clock()
            if not egress.begin(db, approval.id, now=now):
                return
            granted = Granted(
                approval.agent, session, effect["host"], effect["ports"], once=once, granted_at=now
            )
            egress.grant(db, granted)
            audit.record(
                db, by, "agent egress", f"agent:{approval.agent}", now=now, agent=approval.agent,
                after={"hosts": granted.patterns, "session": session, "once": once},
            )  # fmt: skip

        await self._db.write(work)
        minutes = egress.ONCE_MS // 60_000
        how = f"for one connection within {minutes} minutes" if once else "in this conversation"
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

    async def _administers(self, approval: ApprovalRecord, agent: str) -> bool:
        """Whether whoever has allowed it is an admin of the other agent as well, whom nobody has asked."""
        by, groups = _decider(approval), tuple((approval.decided_as or {}).get("groups", ()))
        standing = await self._db.read(lambda db: _standing(db, by, groups))
        return access.may(standing.of(agent), "admin")

    def _agent(self, name: str) -> AgentConfig:
        found = self._roster.get(name)
        if found is None:
            raise CommandFailed(GONE.format(agent=name))
        return found

    async def _say_once(self, approval: ApprovalRecord, text: str) -> None:
        if approval.route is None or approval.route.channel == AGENT_CHANNEL:
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
        route=Route(channel=AGENT_CHANNEL, platform_id=name),
    )


def _let_write(db: sqlite3.Connection, agent: str, made: Destination, by: Actor, *, now: int) -> None:
    """A destination in the place of one of the same name, unless it is there already."""
    if made in agents.destinations(db).get(agent, ()):
        return
    agents.add_destination(db, agent, made)
    after = {"name": made.name, **made.route.model_dump(exclude_none=True)}
    audit.record(db, by, "destination add", f"agent:{agent}", now=now, agent=agent, after=after)


def _with_hosts(effect: Mapping[str, Any]) -> Edit:
    patterns = [f"{effect['host']}:{port}" for port in effect["ports"]]

    def edit(settings: Settings, agent: AgentConfig) -> Settings:
        there = agent.gateway.hosts
        new = [each for each in patterns if each not in there]
        return agent_settings.put(settings, KEYS["hosts"], [*there, *new]) if new else settings

    return edit


def _display(route: Route) -> str:
    if route.channel == AGENT_CHANNEL:
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
