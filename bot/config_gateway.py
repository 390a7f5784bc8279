"""The tables of config.toml about the way out of a container: what goes through the gateway, and how much."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from bot.config_fields import LocalPath, Seconds
from bot.config_model import ConfigModel
from bot.gateway.hosts import BadHost, pattern
from bot.gateway.prices import Price, Prices

MAX_USD: Final = 1_000_000
MAX_REQUEST_MB: Final = 32
"""What the API takes ("Request size limits" of its reference)."""
MAX_CONNECTIONS: Final = 20
"""Of one session, see docs/session-protocol.md."""

Usd = Annotated[float, Field(gt=0, le=MAX_USD, allow_inf_nan=False)]
PriceUsd = Annotated[float, Field(ge=0, le=MAX_USD, allow_inf_nan=False)]


def _host(value: str) -> str:
    try:
        return pattern(value)
    except BadHost as exc:
        raise ValueError(f"each {exc}") from exc


HostPattern = Annotated[str, AfterValidator(_host)]
ModelPattern = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\w.:@/*-]+$")]


class PriceConfig(ConfigModel):
    """[gateway.prices.<model>]"""

    input: PriceUsd = Field(description="Of what the model reads, in US dollars for a million tokens.")
    output: PriceUsd = Field(description="Of what it writes.")
    cache_write_5m: PriceUsd | None = Field(
        None, description="Of what it keeps for five minutes; without it 1.25 times the first."
    )
    cache_write_1h: PriceUsd | None = Field(
        None, description="Of what it keeps for an hour; without it twice the first."
    )
    cache_read: PriceUsd | None = Field(
        None, description="Of what it has kept; without it a tenth of the first."
    )

    @property
    def price(self) -> Price:
        """The same for the gateway."""
        return Price.of(
            self.input,
            self.output,
            cache_write_5m=self.cache_write_5m,
            cache_write_1h=self.cache_write_1h,
            cache_read=self.cache_read,
        )


class GatewayConfig(ConfigModel):
    """[gateway]"""

    ca_file: LocalPath | None = Field(
        None,
        description="Certificates in PEM that are trusted beside the system's; without it only those are.",
    )
    prices: dict[ModelPattern, PriceConfig] = Field(
        default_factory=dict,
        description="Prices of models by the beginning of their names, before those that Roost knows.",
    )
    spend_day_usd: Usd | None = Field(
        None, description="What all agents together may spend in a day of UTC; without it there is no bound."
    )
    connect_seconds: Seconds = Field(15.0, description="How long it may take to reach a server.")
    answer_seconds: Seconds = Field(660.0, description="How long a model's server may be silent.")
    tunnel_idle_seconds: Seconds = Field(
        300.0, description="A connection to another host with nothing going on for this long is ended."
    )

    @property
    def price_list(self) -> Prices:
        """What a token costs."""
        return Prices({name: each.price for name, each in self.prices.items()})


class AgentGatewayConfig(ConfigModel):
    """[agents.<name>.gateway]"""

    models: list[ModelPattern] = Field(
        default_factory=list,
        description="Models that may be asked, * for any letters; none named are the agent's own and claude-haiku-*.",
    )
    server_tools: bool = Field(
        False,
        description="Whether the model's server may search, fetch and run things, which no list of hosts bounds.",
    )
    max_request_mb: Annotated[int, Field(ge=1, le=MAX_REQUEST_MB)] = Field(
        MAX_REQUEST_MB, description="The largest request to the model, in MiB."
    )
    requests_per_minute: Annotated[int, Field(ge=1, le=100_000)] = Field(
        120, description="How many requests a conversation may make in a minute."
    )
    requests_at_once: Annotated[int, Field(ge=1, le=MAX_CONNECTIONS)] = Field(
        10, description="How many of them may be under way at once; the others wait."
    )
    spend_session_usd: Usd | None = Field(
        None, description="What a conversation may spend in a day of UTC; without it there is no bound."
    )
    spend_agent_day_usd: Usd | None = Field(
        100.0, description="What all conversations of the agent together may spend in a day of UTC."
    )
    hosts: list[HostPattern] = Field(
        default_factory=list,
        description='Other hosts that it may reach, such as "api.github.com" or "*.example.org:8443".',
    )
