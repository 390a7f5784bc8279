"""Where agents get what they reach their models with. Opened by name: a service that has its keys in its own
configuration need not load what speaks to OneCLI."""

from __future__ import annotations

from collections.abc import Mapping

from bot.config import Config
from bot.config_tables import AgentConfig
from bot.vault.base import Vault


def open_vault(config: Config, agents: Mapping[str, AgentConfig], environ: Mapping[str, str]) -> Vault:
    """The vault that [vault] names; nothing is connected or read yet. `environ` is the service's own environment."""
    if config.vault.kind == "onecli":
        from bot.vault.onecli import OneCli

        return OneCli(config.vault, agents, environ)
    from bot.vault.embedded import EmbeddedVault

    return EmbeddedVault(agents, environ)
