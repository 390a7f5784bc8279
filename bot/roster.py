"""The agents as they are now: those of config.toml, what admins have changed of them, and those made in the chat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from agent.protocol.messages import Destination
from bot import log
from bot.config import Config
from bot.config_tables import AgentConfig
from bot.db import agents
from bot.db.engine import Database
from bot.errors import CommandFailed

NOT_POSSIBLE: Final = "The agent cannot be so: {why}."

_log = log.get("roost.agents")


class Roster(Mapping[str, AgentConfig]):
    """Every agent by its name, as a mapping that changes while the service runs: whoever keeps what it has read must
    ask again. An agent that was deleted is not in it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._agents: dict[str, AgentConfig] = dict(config.agents)
        self._destinations: Mapping[str, Sequence[Destination]] = {}
        self._stamps: Mapping[str, str] = {}

    def __getitem__(self, name: str) -> AgentConfig:
        return self._agents[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._agents))

    def __len__(self) -> int:
        return len(self._agents)

    async def refresh(self, db: Database) -> None:
        """Takes over what bot.db has now. What cannot be any more, because config.toml has changed, is left out and
        logged. Raises DatabaseError."""
        changed = await db.read(agents.changed)
        self._destinations = await db.read(agents.destinations)
        self._stamps = {each.name: each.stamp for each in changed}
        found = dict(self._config.agents)
        for each in changed:
            try:
                agent = self.with_settings(each.name, each.settings, own=each.own)
            except CommandFailed as exc:
                _log.error("what was set for an agent in the chat is left out: %s", exc, agent=each.name)
                continue
            if each.deleted:
                found.pop(each.name, None)
            else:
                found[each.name] = agent
        self._agents = found

    def with_settings(self, name: str, settings: Mapping[str, Any], *, own: bool = False) -> AgentConfig:
        """The agent as it would be with these settings in place of config.toml's. Raises CommandFailed with one
        sentence where there can be no such agent."""
        base = self._config.agents.get(name) if not own else None
        fields = {} if base is None else base.model_dump(exclude_unset=True)
        folder = {"folder": self._config.folder}
        try:
            agent = AgentConfig.model_validate({**fields, **settings}, context=folder)
        except ValidationError as exc:
            error = exc.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(each) for each in error["loc"])
            why = f"{where}: {error['msg']}" if where else error["msg"]
            raise CommandFailed(NOT_POSSIBLE.format(why=why)) from None
        tried = self._config.model_copy(update={"agents": {**self._agents, name: agent}})
        if self._config.backend.kind == "process" and (refusal := tried.unsandboxed()):
            raise CommandFailed(NOT_POSSIBLE.format(why=refusal))
        return agent

    def stamp(self, name: str) -> str:
        """By what a container is known to have been started with what is set for the agent in the chat; empty: there
        is nothing of that."""
        return self._stamps.get(name, "")

    def is_own(self, name: str) -> bool:
        """Whether the agent was made in the chat, and is not in config.toml."""
        return name not in self._config.agents

    def destinations(self, name: str) -> list[Destination]:
        """The places that an agent may write to besides where it was asked: those of config.toml, and those of the
        chat, which go before them."""
        agent = self._agents.get(name)
        found = {} if agent is None else {each.name: each.destination for each in agent.destinations}
        return list({**found, **{each.name: each for each in self._destinations.get(name, ())}}.values())
