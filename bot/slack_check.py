"""`roost slack check`: what the configuration wants of Slack, held against what is there."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from adapters import check_slack
from adapters.base import NoSecret
from adapters.checkup import Checkup, Finding
from bot.checkups import Told, on_console, places, told
from bot.config import Config
from bot.errors import ConfigError
from bot.platforms import SLACK, slack_secrets

OFF: Final = "Slack is switched off: write enabled = true into [slack] of config.toml."


def check(config: Config) -> Told:
    """Asks Slack, which takes 30 s at most. It needs no service, and does not disturb one."""
    with on_console():
        return told(_asked(config))


def _asked(config: Config) -> Checkup:
    settings = config.slack
    findings = [] if settings.enabled else [Finding("settings", "warning", OFF)]
    try:
        secrets = slack_secrets(settings, os.environ)
        bot_token = secrets.bot_token()
        app_token = secrets.app_token and secrets.app_token()
        signing_secret = secrets.signing_secret and secrets.signing_secret()
    except (ConfigError, NoSecret) as exc:
        lacking = [Finding("token", "problem", f"{line}.") for line in str(exc).splitlines()]
        return Checkup([*findings, *lacking])
    found = asyncio.run(
        check_slack(
            bot_token,
            app_token=app_token,
            signing_secret=signing_secret,
            mode=settings.mode,
            api_url=settings.api_url,
            sockets=settings.sockets,
            listen=settings.address,
            path=settings.path,
            agent_view=settings.agent_view,
            places=list(places(config, SLACK)),
        )
    )
    return Checkup([*findings, *found.findings], found.invite)
