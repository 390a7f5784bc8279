"""OneCLI as the vault: it keeps the credentials, and puts them into requests that go through its proxy.

Its API as far as it is used, with `Authorization: Bearer <key>`:

    POST /api/agents {"name", "identifier"}         makes an agent; 409 where it exists
    GET  /api/container-config?agent=<identifier>   {"env", "caCertificate", "caCertificateContainerPath"}

`env` is meant for a container. Of it Roost reads the proxy, and whether the agent has an OAuth token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bot import log
from bot.config_tables import AgentConfig
from bot.config_vault import VaultConfig
from bot.vault.base import Access, Vault, VaultError, VaultUnavailable
from bot.vault.onecli_answers import access_in, identifier
from bot.vault.onecli_api import OneCliApi

RETRY_SECONDS: Final = 5.0
"""How long nobody asks again in the background after OneCLI did not answer."""

_log = log.get("roost.vault")


@dataclass(frozen=True)
class _Known:
    """What OneCLI said about an agent, and when."""

    access: Access
    at: float


class OneCli(Vault):
    """Asks once for all who want the same, and in the background while the last answer is still good."""

    def __init__(
        self,
        config: VaultConfig,
        agents: Mapping[str, AgentConfig],
        environ: Mapping[str, str],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._agents = agents
        self._api = OneCliApi(config, environ)
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[Access]] = {}
        self._not_before: dict[str, float] = {}
        self._seldom = log.Seldom()

    async def ensure_identity(self, agent: str) -> None:
        """Makes the agent in OneCLI where it is not there, and learns the way to its model."""
        name = self._name(agent)
        await self._api.make_agent(name=f"Roost {agent}", identifier=name)
        earlier = self._asking.get(agent)
        if earlier is not None:
            # It may have been asked before there was such an agent.
            await asyncio.wait([earlier])
        await self._answer(agent)

    async def access(self, agent: str) -> Access:
        """The last answer, if it is young enough, else a new one."""
        self._name(agent)
        known = self._known.get(agent)
        age = self._monotonic() - known.at if known else 0.0
        if known is None or age >= self._config.stale_seconds:
            return await self._answer(agent)
        if age >= self._config.refresh_seconds and self._monotonic() >= self._not_before.get(agent, 0.0):
            self._ask(agent)
        return known.access

    async def aclose(self) -> None:
        """Asks no more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, VaultError):
                await task
        await self._api.aclose()

    def _name(self, agent: str) -> str:
        if agent not in self._agents:
            raise VaultError(f'no agent is called "{agent}"; give it a table [agents.{agent}]')
        return identifier(self._config.prefix, agent)

    async def _answer(self, agent: str) -> Access:
        # Whoever waits may be cancelled; the others go on waiting for the same answer.
        return await asyncio.shield(self._ask(agent))

    def _ask(self, agent: str) -> asyncio.Task[Access]:
        task = self._asking.get(agent)
        if task is None:
            task = asyncio.create_task(self._asked(agent), name=f"vault {agent}")
            self._asking[agent] = task
            task.add_done_callback(lambda done: self._done(agent, done))
        return task

    async def _asked(self, agent: str) -> Access:
        name = self._name(agent)
        return access_in(await self._api.container_config(name), str(self._config.url))

    def _done(self, agent: str, task: asyncio.Task[Access]) -> None:
        del self._asking[agent]
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._known[agent] = _Known(task.result(), self._monotonic())
            self._not_before.pop(agent, None)
            return
        self._not_before[agent] = self._monotonic() + RETRY_SECONDS
        # Whoever has waited for it says so; in the background nobody else would.
        unheard = agent in self._known
        if not isinstance(error, VaultUnavailable):
            # It has answered, and the answer is no: what it said before counts no more.
            self._known.pop(agent, None)
        if unheard and self._seldom(f"{agent} {error}"):
            _log.warning("what an agent reaches its model with is not known anew: %s", error, agent=agent)
