"""The platforms that are configured: each with its secret and its adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from adapters import open_discord
from adapters.base import Adapter, NoSecret
from bot.config import Config
from bot.config_discord import DiscordConfig
from bot.errors import ConfigError
from bot.vault.base import VaultError
from bot.vault.secrets import SecretFile, of_variable

DISCORD: Final = "discord"
MISSING: Final = (
    "[discord] enabled: there is no token; put it into a file and name it in token_file,"
    " or into the variable {variable}"
)


def open_platforms(config: Config, environ: Mapping[str, str]) -> list[Adapter]:
    """The adapters of the platforms that are switched on. Raises ConfigError for one without its secret."""
    if not config.discord.enabled:
        return []
    token = discord_token(config.discord, environ)
    return [
        open_discord(
            token,
            rest_url=config.discord.rest_url,
            gateway_url=config.discord.gateway_url,
            development_servers=config.discord.development_servers,
        )
    ]


def discord_token(settings: DiscordConfig, environ: Mapping[str, str]) -> Callable[[], str]:
    """What gives the bot's token, as it is then, or raises NoSecret. Raises ConfigError where there is none now."""
    read = _reader(settings, environ)

    def asked() -> str:
        try:
            return read()
        except VaultError as exc:
            raise NoSecret(str(exc)) from exc

    try:
        asked()
    except NoSecret as exc:
        raise ConfigError(str(exc)) from exc
    return asked


def _reader(settings: DiscordConfig, environ: Mapping[str, str]) -> Callable[[], str]:
    if settings.token_file is not None:
        return SecretFile(settings.token_file, "[discord] token_file").read

    def from_environment() -> str:
        found = of_variable(settings.token_env, environ)
        if found is None:
            raise VaultError(MISSING.format(variable=settings.token_env))
        return found

    return from_environment
