"""`roost discord check`: what the configuration wants of Discord, held against what is there."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any, Final

from adapters import check_discord
from adapters.base import NoSecret
from adapters.checkup import Checkup, Finding
from bot import commands
from bot.checkups import Told, on_console, places, told
from bot.commands.registry import Registry
from bot.config import Config
from bot.errors import ConfigError
from bot.platforms import DISCORD, discord_token

OFF: Final = "Discord is switched off: write enabled = true into [discord] of config.toml."


def check(config: Config) -> Told:
    """Asks Discord, which takes 30 s at most. It needs no service, and does not disturb one."""
    with on_console():
        return told(_asked(config))


def _asked(config: Config) -> Checkup:
    findings = [] if config.discord.enabled else [Finding("settings", "warning", OFF)]
    try:
        token = discord_token(config.discord, os.environ)()
    except (ConfigError, NoSecret) as exc:
        return Checkup([*findings, Finding("token", "problem", f"{exc}.")])
    # The library's remarks about its calls are no part of the answer; what becomes of these is.
    logging.getLogger(DISCORD).addHandler(logging.NullHandler())
    found = asyncio.run(
        check_discord(
            token,
            rest_url=config.discord.rest_url,
            gateway_url=config.discord.gateway_url,
            places=list(places(config, DISCORD)),
            infos=Registry[Any](None, commands.ALL).infos,
            development_servers=config.discord.development_servers,
            hide_admins=config.discord.hide_admin_commands,
        )
    )
    return Checkup([*findings, *found.findings], found.invite)
