"""The agents as they are now: those of config.toml, what admins have changed of them, and those made in the chat."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from agent.protocol.messages import Destination
from bot import log
from bot.config import Config
from bot.config_errors import said
from bot.config_tables import AgentConfig
from bot.db import agents
from bot.db.agents import Changed
from bot.db.engine import Database
from bot.errors import CommandFailed
from bot.signals import Signal

NOT_POSSIBLE: Final = "The agent cannot be so: {why}."
ITS_OWN: Final = frozenset(
    {
        "assistant_name",
        "folder",
        "instructions",
        "mcp_servers",
        "directories",
        "mounts",
        "workspace_settings",
        "image",
        "destinations",
    }
)
"""What an agent that was made in the chat never has from the one that lends it its model: who it is, and what it has
been given on this machine."""
_OWN_GATEWAY: Final = frozenset({"hosts", "server_tools"})

_log = log.get("roost.agents")


class Roster(Mapping[str, AgentConfig]):
    """Every agent by its name, as a mapping that changes while the service runs: whoever keeps what it has read must
    ask again, and connects to `changed` to learn when. An agent that was deleted is not in it."""

    def __init__(self, config: Config, *, isolated: bool | None = None) -> None:
        """`isolated`: whether agents run in containers; None: as the configuration says."""
        self._config = config
        self._isolated = config.backend.kind != "process" if isolated is None else isolated
        self._agents: dict[str, AgentConfig] = dict(config.agents)
        self._destinations: Mapping[str, Sequence[Destination]] = {}
        self._refreshing = asyncio.Lock()
        self.changed: Signal[str] = Signal()
        """Rung with the name of each agent that is other than it was, has other destinations, is new or is gone."""

    def __getitem__(self, name: str) -> AgentConfig:
        return self._agents[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._agents))

    def __len__(self) -> int:
        return len(self._agents)

    async def refresh(self, db: Database) -> None:
        """Takes over what bot.db has now. What cannot be any more, because config.toml has changed, is left out and
        logged. Raises DatabaseError."""
        # Who reads first must not be the last to take over.
        async with self._refreshing:
            changed = await db.read(agents.changed)
            destinations = await db.read(agents.destinations)
            self._take_over(changed, destinations)

    def _take_over(
        self, changed: Sequence[Changed], destinations: Mapping[str, Sequence[Destination]]
    ) -> None:
        found = dict(self._config.agents)
        for each in changed:
            if each.deleted or (self.is_own(each.name) and not each.own):
                # One that config.toml does not have any more is gone, whatever was set for it in the chat.
                found.pop(each.name, None)
                continue
            try:
                found[each.name] = self.as_changed(each)
            except CommandFailed as exc:
                _log.error("what was set for an agent in the chat is left out: %s", exc, agent=each.name)
        before, self._agents = self._agents, found
        told, self._destinations = self._destinations, destinations
        for name in sorted({*before, *found}):
            if before.get(name) != found.get(name) or told.get(name) != destinations.get(name):
                self.changed(name)

    def as_changed(self, changed: Changed) -> AgentConfig:
        """The agent as a row of bot.db has it. Raises CommandFailed with one sentence where there can be no such
        agent."""
        own = changed.own and self.is_own(changed.name)
        return self.with_settings(changed.name, changed.settings, own=own, base=changed.base)

    def with_settings(
        self, name: str, settings: Mapping[str, Any], *, own: bool = False, base: str | None = None
    ) -> AgentConfig:
        """The agent as it would be with these settings in place of config.toml's, table by table. Raises CommandFailed
        with one sentence where there can be no such agent."""
        fields = merged(self.configured(name, own=own, base=base), settings)
        try:
            agent = AgentConfig.model_validate(fields, context={"folder": self._config.folder})
        except ValidationError as exc:
            error = exc.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(each) for each in error["loc"])
            why = said(error)
            gap = " " if why.startswith("should") else ": "
            raise CommandFailed(NOT_POSSIBLE.format(why=f"{where}{gap}{why}" if where else why)) from None
        tried = self._config.model_copy(update={"agents": {name: agent}})
        if not self._isolated and (refusal := tried.unsandboxed()):
            raise CommandFailed(NOT_POSSIBLE.format(why=refusal))
        return agent

    def configured(self, name: str, *, own: bool = False, base: str | None = None) -> dict[str, Any]:
        """What config.toml says of an agent, without what it leaves to the defaults: of an `own` one of the chat what
        it has from `base`, or from the first agent."""
        if not own:
            agent = self._config.agents.get(name)
            return {} if agent is None else agent.model_dump(exclude_unset=True)
        lender = self._config.agents.get(base or self.first) or self._config.agents[self.first]
        fields = lender.model_dump(exclude_unset=True, exclude=set(ITS_OWN))
        if "gateway" in fields:
            fields["gateway"] = {k: v for k, v in fields["gateway"].items() if k not in _OWN_GATEWAY}
        return fields

    @property
    def first(self) -> str:
        """The agent of config.toml that serves where nobody has decided who does."""
        return next(iter(self._config.agents))

    def wired(self, name: str) -> bool:
        """Whether a wiring of config.toml names the agent, or leaves it to be the first."""
        return any((each.agent or self.first) == name for each in self._config.wirings)

    def is_own(self, name: str) -> bool:
        """Whether the agent was made in the chat, and is not in config.toml."""
        return name not in self._config.agents

    def destinations(self, name: str) -> list[Destination]:
        """The places that an agent may write to besides where it was asked: those of config.toml, and those of the
        chat, which go before them."""
        agent = self._agents.get(name)
        if agent is None:
            return []
        found = {each.name: each.destination for each in agent.destinations}
        return list({**found, **{each.name: each for each in self._destinations.get(name, ())}}.values())


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the second before the first: of a table of settings key by key, of everything else as a whole."""
    both = {**low, **high}
    for key in low.keys() & high.keys():
        if _is_table(key) and isinstance(low[key], Mapping) and isinstance(high[key], Mapping):
            both[key] = {**low[key], **high[key]}
    return both


def _is_table(key: str) -> bool:
    """Whether the setting is a table of its own: a dict of people's own names, such as mcp_servers, is a value."""
    field = AgentConfig.model_fields.get(key)
    kind = None if field is None else field.annotation
    return isinstance(kind, type) and issubclass(kind, BaseModel)
