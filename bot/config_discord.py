"""[discord]"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from bot.config_fields import LocalPath, ServerUrl
from bot.config_model import ConfigModel
from bot.config_vault import Variable

SERVER_ID: Final = re.compile(r"[0-9]{1,20}")
API_URL = "https://discord.com/api/v10"


def _gateway(value: str) -> str:
    if not value.startswith(("ws://", "wss://")):
        raise ValueError("should be a URL that begins with ws:// or wss://")
    return value


def _server_id(value: str) -> str:
    if not SERVER_ID.fullmatch(value):
        raise ValueError("should be the id of a server, which has digits alone: Copy Server ID in its menu")
    return value


GatewayUrl = Annotated[str, AfterValidator(_gateway)]
ServerId = Annotated[str, AfterValidator(_server_id)]


class DiscordConfig(ConfigModel):
    """[discord]"""

    enabled: bool = Field(False, description="Whether the bot is connected to Discord.")
    token_file: LocalPath | None = Field(
        None,
        description="A file that holds the bot's token, read again at each connection; without it token_env counts.",
    )
    token_env: Variable = Field(
        "DISCORD_TOKEN", description="The variable of the service's environment that holds the token."
    )
    development_servers: list[ServerId] = Field(
        default_factory=list,
        description="Servers in which alone the commands are registered, by their ids, where a change shows at once.",
    )
    hide_admin_commands: bool = Field(
        False,
        description="Whether commands for admins are offered only to who may manage their Discord server, or to all.",
    )
    rest_url: ServerUrl = Field(API_URL, description="The address of Discord's REST API, with its version.")
    gateway_url: GatewayUrl | None = Field(
        None, description="The address of Discord's gateway; without it the one that the REST API names."
    )
