"""`roost slack manifest`: from what Slack makes the app, and what is to be done with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from adapters import slack_manifest
from bot import commands
from bot.commands.registry import Registry
from bot.config import Config
from bot.errors import CommandFailed

NEW: Final = (
    "1. Open https://api.slack.com/apps?new_app=1, choose From a manifest and the workspace, and paste what is printed"
    " above as JSON."
)
INSTALL: Final = (
    "2. Install App: install it to the workspace, and put the Bot User OAuth Token (xoxb-...) where [slack]"
    " bot_token_file or bot_token_env says."
)
SOCKET: Final = (
    "3. Basic Information, App-Level Tokens: generate one with the scope connections:write, and put it (xapp-...) where"
    " app_token_file or app_token_env says."
)
HTTP: Final = (
    "3. Basic Information, App Credentials: put the Signing Secret where signing_secret_file or signing_secret_env"
    " says; once Roost runs, have the Request URL verified under Event Subscriptions."
)
CHECK: Final = (
    "4. Write enabled = true into [slack] of config.toml, see what `roost slack check` says, and begin with"
    " `roost run`."
)


@dataclass(frozen=True)
class Made:
    """The manifest as text, and the steps for whoever sets the app up."""

    text: str
    steps: str


def manifest(config: Config, *, name: str, url: str | None) -> Made:
    """For the app that the configuration wants. `url` is where Slack reaches it, for mode = "http". Raises
    CommandFailed for what Slack would not take."""
    settings = config.slack
    try:
        made = slack_manifest(
            name=name,
            mode=settings.mode,
            request_url=url,
            agent_view=settings.agent_view,
            prompts=[(each.title, each.message) for each in settings.suggested_prompts],
            infos=Registry[Any](None, commands.ALL).infos,
        )
    except ValueError as exc:
        raise CommandFailed(f"{exc}.") from exc
    third = SOCKET if settings.mode == "socket" else HTTP
    return Made(json.dumps(made, indent=2, ensure_ascii=False), "\n".join((NEW, INSTALL, third, CHECK)))
