"""The vault that comes with Roost: each agent's key or token, from the configuration, a variable or a file.

A file is looked at with every request, so a new key in it counts from the next one on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bot.config_tables import AgentConfig
from bot.vault.anthropic import headers
from bot.vault.base import Access, Vault, VaultError
from bot.vault.secrets import SecretFile, cleaned, of_variable

NOTHING: Final = (
    'agent "{agent}" has nothing to reach its model with: put the key into the variable {key}, or an OAuth token into '
    "{token}, or name a file in [agents.{agent}] model_key_file; a server that wants no key takes any"
)
EMPTY: Final = (
    'agent "{agent}" has nothing to reach its model with: the variable {variable}, '
    "which [agents.{agent}] {place} names, is empty"
)


@dataclass(frozen=True)
class _Credential:
    """Where the secret comes from, and what it is."""

    secret: Callable[[], str | None]
    is_token: bool


class EmbeddedVault(Vault):
    """Holds nothing but what it has read of the files."""

    def __init__(self, agents: Mapping[str, AgentConfig], environ: Mapping[str, str]) -> None:
        self._agents = agents
        self._environ = environ

    async def ensure_identity(self, agent: str) -> None:
        """Raises VaultError when there is no credential."""
        self._access(agent)

    async def access(self, agent: str) -> Access:
        """Raises VaultError."""
        return self._access(agent)

    async def aclose(self) -> None:
        """There is nothing to end."""

    def _access(self, name: str) -> Access:
        agent = self._agents.get(name)
        if agent is None:
            raise VaultError(f'no agent is called "{name}"; give it a table [agents.{name}]')
        for each in _credentials(name, agent, self._environ):
            secret = each.secret()
            if secret is not None:
                own = agent.model_url is not None
                return Access(headers(secret, is_token=each.is_token, own_server=own))
        raise VaultError(_nothing(name, agent))


def _credentials(name: str, agent: AgentConfig, environ: Mapping[str, str]) -> list[_Credential]:
    """In the order in which they are looked at; a place that was set is the only one."""

    def file(place: str) -> Callable[[], str]:
        return SecretFile(getattr(agent, place), f"[agents.{name}] {place}").read

    def variable(place: str) -> Callable[[], str | None]:
        return lambda: of_variable(getattr(agent, place), environ)

    def written() -> str | None:
        key = agent.model_key
        return None if key is None else cleaned(key.get_secret_value(), f"[agents.{name}] model_key")

    match agent.chosen_place:
        case None:
            return [
                _Credential(variable("model_key_env"), is_token=False),
                _Credential(variable("model_token_env"), is_token=True),
            ]
        case "model_key":
            return [_Credential(written, is_token=False)]
        case place:
            source = file(place) if place.endswith("_file") else variable(place)
            return [_Credential(source, is_token=place.startswith("model_token"))]


def _nothing(name: str, agent: AgentConfig) -> str:
    place = agent.chosen_place
    if place is None:
        return NOTHING.format(agent=name, key=agent.model_key_env, token=agent.model_token_env)
    return EMPTY.format(agent=name, place=place, variable=getattr(agent, place))
