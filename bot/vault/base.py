"""What a vault is: what gives an agent an identity and its model a credential, so that no container holds either.

    VaultError                  there is no identity or credential to be had; the text says what to do
      x VaultUnavailable        not right now; the same call may work later

An agent whose provider has no model behind it, such as the mock, needs no vault and is never asked about.
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
    """What the gateway needs to reach an agent's model.

    The gateway takes `x-api-key` and `authorization` out of the agent's request, whichever of them stands here, and
    puts these headers in. One of them is a list that both sides write: what stands here in `anthropic-beta` is added
    to the request's own values, with commas between and none twice. Every other header takes the place of the
    request's own.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By their names in small letters, such as {"x-api-key": ...} or {"authorization": "Bearer ..."}."""
    proxy: str | None = field(default=None, repr=False)
    """URL of the HTTP proxy that upstream requests go through. It may hold a password."""
    ca_pem: str | None = None
    """Further certificates to trust."""


class Vault(Protocol):
    """Knows what agents reach their models with."""

    async def ensure_identity(self, agent: str) -> None:
        """Called before an agent's first container: makes sure that `access` has something to give. Raises
        VaultUnavailable, after which the same call may succeed later, and VaultError, which needs a person."""

    async def access(self, agent: str) -> Access:
        """What is to be used now. Asked for at every request, so it is cheap and never older than a change of a key by
        more than the vault's own bound. Raises VaultError and VaultUnavailable."""

    async def aclose(self) -> None:
        """Ends its connections and tasks."""
