"""What a vault is: where the credentials for agents' models come from.

VaultError                  there is no identity or credential to be had
  x VaultUnavailable        for now; the same call may work later
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
    """What the gateway needs to reach an agent's model."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    ca_pem: str | None = None


class Vault(Protocol):
    """Belongs to one event loop."""

    async def ensure_identity(self, agent: str) -> None:
        """Before an agent's first container. Raises VaultError, VaultUnavailable."""

    async def access(self, agent: str) -> Access:
        """What is to be shown to the model's server now. Raises VaultError, VaultUnavailable."""

    async def aclose(self) -> None:
        """Lets go of connections."""
