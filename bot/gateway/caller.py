"""A session as the gateway knows it: what it shows, what it may do, and what it does at the moment."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from agent.protocol.pace import Bucket
from bot.config_tables import AgentConfig
from bot.gateway.hosts import Host, Hosts
from bot.gateway.refusals import Refusal, Refusals
from bot.gateway.request import models_of
from bot.gateway.spend import Limits
from bot.metrics import Metrics

DEFAULT_URL: Final = "https://api.anthropic.com"
BODIES_AT_ONCE: Final = 2
"""How many of the largest requests of one session may lie in memory at once."""


@dataclass(frozen=True)
class Rights:
    """What an agent may do, as its configuration says. `trusted`: an operator has named the model's server, so that it
    may be anywhere."""

    url: str
    trusted: bool
    models: list[str]
    people_choose: bool
    server_tools: bool
    max_request_bytes: int
    requests_per_minute: int
    requests_at_once: int
    limits: Limits
    hosts: Hosts

    @classmethod
    def of(cls, agent: AgentConfig, *, all_usd: float | None) -> Rights:
        """`all_usd` is what all agents together may spend in a day."""
        config = agent.gateway
        return cls(
            url=(agent.model_url or DEFAULT_URL).rstrip("/"),
            trusted=agent.model_url is not None,
            models=models_of(config.models, model=agent.model, fallback=agent.fallback_model),
            people_choose=not config.models,
            server_tools=config.server_tools,
            max_request_bytes=config.max_request_mb * 1024 * 1024,
            requests_per_minute=config.requests_per_minute,
            requests_at_once=config.requests_at_once,
            limits=Limits(config.spend_session_usd, config.spend_agent_day_usd, all_usd),
            hosts=Hosts(config.hosts),
        )


class Caller:
    """One session."""

    def __init__(self, rights: Rights, metrics: Metrics, *, session: str, agent: str, token: str) -> None:
        self.session = session
        self.agent = agent
        self.token = token
        self.rights = rights
        self.slots = asyncio.Semaphore(rights.requests_at_once)
        self.refusals = Refusals(metrics, session=session, agent=agent)
        self.held_bytes = 0
        self.tunnels: dict[asyncio.Task[Any], Host] = {}
        """What serves its connections to other hosts, and which those are."""
        self._requests = _bucket(rights)

    @property
    def model_host(self) -> str:
        """Where its model is reached."""
        return urlsplit(self.rights.url).netloc

    def renew(self, rights: Rights) -> None:
        """From now on it may do this. What is under way goes on, but for connections to hosts that it may not reach
        any more."""
        before, self.rights = self.rights, rights
        if rights.requests_at_once != before.requests_at_once:
            self.slots = asyncio.Semaphore(rights.requests_at_once)
        if rights.requests_per_minute != before.requests_per_minute:
            self._requests = _bucket(rights)
        for tunnel, host in list(self.tunnels.items()):
            if not rights.hosts.allow(host):
                tunnel.cancel()

    @property
    def max_held_bytes(self) -> int:
        """How much of its requests may lie in memory at once."""
        return BODIES_AT_ONCE * self.rights.max_request_bytes

    def take_request(self) -> None:
        """One more. Raises Refusal when there were too many in the last minute."""
        if wait := self._requests.take():
            raise Refusal(
                429,
                "rate_limit_error",
                f"This conversation makes more than {self.rights.requests_per_minute} requests a minute.",
                reason="rate",
                retry_after_seconds=math.ceil(wait),
            )


def _bucket(rights: Rights) -> Bucket:
    return Bucket(a_second=rights.requests_per_minute / 60, at_once=rights.requests_per_minute)
