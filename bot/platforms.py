"""The platforms that are configured: each with its secrets and its adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters import open_discord, open_slack
from adapters.base import Adapter, NoSecret
from bot.config import Config
from bot.config_discord import DiscordConfig
from bot.config_slack import SlackConfig
from bot.errors import ConfigError
from bot.vault.base import VaultError
from bot.vault.secrets import SecretFile, of_variable

DISCORD: Final = "discord"
SLACK: Final = "slack"
MISSING: Final = (
    "[{table}] enabled: there is no {what}; put it into a file and name it in {key}_file,"
    " or into the variable {variable}"
)
MIXED_UP: Final = (
    "[slack] {key}_file, {key}_env: this is no {what}, which begins with {begins};"
    " copy that one from the app's pages"
)


@dataclass(frozen=True)
class Kept:
    """Where a secret of a platform is kept. `key` is what its settings begin with; one of a known shape `begins` with
    some letters, and what was pasted in its place by mistake with one of `others`."""

    table: str
    key: str
    what: str
    file: Path | None
    variable: str
    begins: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class SlackSecrets:
    """What gives each secret of Slack's, as it is then, or raises NoSecret; None for one that its mode needs not."""

    bot_token: Callable[[], str]
    app_token: Callable[[], str] | None
    signing_secret: Callable[[], str] | None


def open_platforms(config: Config, environ: Mapping[str, str]) -> list[Adapter]:
    """The adapters of the platforms that are switched on. Raises ConfigError, with a line for each secret that one of
    them lacks."""
    openers = {_open_discord: config.discord.enabled, _open_slack: config.slack.enabled}
    opened: list[Adapter] = []
    wrong: list[str] = []
    for opener in (each for each, enabled in openers.items() if enabled):
        try:
            opened.append(opener(config, environ))
        except ConfigError as exc:
            wrong.append(str(exc))
    if wrong:
        raise ConfigError("\n".join(wrong))
    return opened


def _open_discord(config: Config, environ: Mapping[str, str]) -> Adapter:
    return open_discord(
        discord_token(config.discord, environ),
        rest_url=config.discord.rest_url,
        gateway_url=config.discord.gateway_url,
        development_servers=config.discord.development_servers,
        hide_admins=config.discord.hide_admin_commands,
    )


def _open_slack(config: Config, environ: Mapping[str, str]) -> Adapter:
    settings = config.slack
    secrets = slack_secrets(settings, environ)
    return open_slack(
        secrets.bot_token,
        app_token=secrets.app_token,
        signing_secret=secrets.signing_secret,
        mode=settings.mode,
        api_url=settings.api_url,
        sockets=settings.sockets,
        listen=settings.address,
        path=settings.path,
        agent_view=settings.agent_view,
        prompts=[(each.title, each.message) for each in settings.suggested_prompts],
    )


def discord_token(settings: DiscordConfig, environ: Mapping[str, str]) -> Callable[[], str]:
    """What gives the bot's token, as it is then, or raises NoSecret. Raises ConfigError where there is none now."""
    kept = Kept(DISCORD, "token", "token", settings.token_file, settings.token_env)
    return _present([kept], environ)[0]


def slack_secrets(settings: SlackConfig, environ: Mapping[str, str]) -> SlackSecrets:
    """The secrets that the mode needs. Raises ConfigError, with a line for each that is not there now."""
    bot = Kept(
        SLACK,
        "bot_token",
        "bot token",
        settings.bot_token_file,
        settings.bot_token_env,
        "xoxb-",
        ("xapp-", "xoxp-"),
    )
    if settings.mode == "http":
        secret = Kept(
            SLACK,
            "signing_secret",
            "signing secret",
            settings.signing_secret_file,
            settings.signing_secret_env,
        )
        bot_token, signing_secret = _present([bot, secret], environ)
        return SlackSecrets(bot_token, None, signing_secret)
    app = Kept(
        SLACK,
        "app_token",
        "app-level token",
        settings.app_token_file,
        settings.app_token_env,
        "xapp-",
        ("xox",),
    )
    bot_token, app_token = _present([bot, app], environ)
    return SlackSecrets(bot_token, app_token, None)


def _present(all_kept: list[Kept], environ: Mapping[str, str]) -> list[Callable[[], str]]:
    """What gives each of these secrets. Raises ConfigError with a line for each that is not there now."""
    readers = [_asked(kept, environ) for kept in all_kept]
    wrong: list[str] = []
    for read in readers:
        try:
            read()
        except NoSecret as exc:
            wrong.append(str(exc))
    if wrong:
        raise ConfigError("\n".join(wrong))
    return readers


def _asked(kept: Kept, environ: Mapping[str, str]) -> Callable[[], str]:
    read = _reader(kept, environ)

    def asked() -> str:
        try:
            secret = read()
        except VaultError as exc:
            raise NoSecret(str(exc)) from exc
        if kept.others and secret.startswith(kept.others):
            raise NoSecret(MIXED_UP.format(key=kept.key, what=kept.what, begins=kept.begins))
        return secret

    return asked


def _reader(kept: Kept, environ: Mapping[str, str]) -> Callable[[], str]:
    if kept.file is not None:
        return SecretFile(kept.file, f"[{kept.table}] {kept.key}_file").read

    def from_environment() -> str:
        found = of_variable(kept.variable, environ)
        if found is None:
            raise VaultError(
                MISSING.format(table=kept.table, what=kept.what, key=kept.key, variable=kept.variable)
            )
        return found

    return from_environment
