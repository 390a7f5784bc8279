"""[discord]"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from bot.config_fields import LocalPath, ServerUrl
from bot.config_model import ConfigModel
from bot.config_vault import Variable

API_URL = "https://discord.com/api/v10"


def _gateway(value: str) -> str:
    if not value.startswith(("ws://", "wss://")):
        raise ValueError("should be a URL that begins with ws:// or wss://")
    return value


GatewayUrl = Annotated[str, AfterValidator(_gateway)]
ServerId = Annotated[str, Field(pattern=r"^\d{1,20}$")]


class DiscordConfig(ConfigModel):
    """[discord]"""

    enabled: bool = Field(False, description="Whether the bot is connected to Discord.")
    token: Annotated[SecretStr, Field(min_length=1, max_length=4096)] | None = Field(
        None, description="The bot's token; without it one of the places below. A file is better."
    )
    token_file: LocalPath | None = Field(
        None,
        description="A file that holds the token, read again at each connection; without it token_env counts.",
    )
    token_env: Variable = Field(
        "DISCORD_TOKEN", description="The variable of the service's environment that holds the token."
    )
    development_servers: list[ServerId] = Field(
        default_factory=list,
        description="Servers in which alone the commands are registered, by their ids, where a change shows at once.",
    )
    rest_url: ServerUrl = Field(API_URL, description="The address of Discord's REST API, with its version.")
    gateway_url: GatewayUrl | None = Field(
        None, description="The address of Discord's gateway; without it the one that the REST API names."
    )

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("token and token_file say two things about one secret; leave one of them")
        return self
