"""The boundary to whatever keeps the credentials of models.

VaultError                  there is no identity or no credential for the agent
  x VaultUnavailable        the vault does not answer right now
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class VaultError(Exception):
    """Raised when there is no identity or credential to be had; the text says what to do."""


class VaultUnavailable(VaultError):
    """Raised when the vault does not answer right now."""


@dataclass(frozen=True)
class Access:
    """What the gateway needs to reach an agent's model. `headers` have lower-case names, such as x-api-key; `proxy`
    is the URL of the HTTP proxy that requests go through, and may hold a password; `ca_pem` holds further
    certificates to trust."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    ca_pem: str | None = None


class Vault(Protocol):
    """Keeps credentials. Rotation needs no restart: `access` is asked for each request, and caches what it may."""

    async def ensure_identity(self, agent: str) -> None:
        """Makes sure that the vault knows the agent. Raises VaultError."""

    async def access(self, agent: str) -> Access:
        """How the agent's model is reached now. Raises VaultError."""

    async def aclose(self) -> None:
        """Lets go of whatever is open. Twice is fine."""
