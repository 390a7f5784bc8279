"""[slack]"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from bot.config_fields import LocalPath, ServerUrl
from bot.config_model import ConfigModel
from bot.config_vault import Variable

API_URL: Final = "https://slack.com/api/"
LISTEN: Final = "127.0.0.1:3000"
PATH: Final = "/slack/events"
MAX_SOCKETS: Final = 10
"""So many connections Slack keeps for an app at most. Slack's documentation, Socket Mode."""
MAX_PROMPTS: Final = 4
"""Slack's documentation, assistant.threads.setSuggestedPrompts."""
_LISTEN: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]+)):(?P<port>[0-9]{1,5})", re.ASCII
)
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+", re.ASCII)


def _api_url(value: str) -> str:
    return value if value.endswith("/") else f"{value}/"


def _listen(value: str) -> str:
    found = _LISTEN.fullmatch(value)
    if found is None or not 1 <= int(found["port"]) <= 65_535:
        raise ValueError('should be an address and a port of this machine, such as "127.0.0.1:3000"')
    return value


def _path(value: str) -> str:
    if _PATH.fullmatch(value) is None:
        raise ValueError('should be the path of a URL, such as "/slack/events"')
    return value


ApiUrl = Annotated[ServerUrl, AfterValidator(_api_url)]
ListenAddress = Annotated[str, AfterValidator(_listen)]
UrlPath = Annotated[str, Field(max_length=200), AfterValidator(_path)]


class PromptConfig(ConfigModel):
    """[[slack.suggested_prompts]]"""

    title: str = Field(min_length=1, max_length=75, description="What people see and choose.")
    message: str = Field(min_length=1, max_length=2000, description="What is said for them when they do.")


class SlackConfig(ConfigModel):
    """[slack]"""

    enabled: bool = Field(False, description="Whether the bot is connected to Slack.")
    mode: Literal["socket", "http"] = Field(
        "socket",
        description='How Slack tells of events: "socket", by connections that Roost opens, or "http", by signed '
        "requests to an address that Slack can reach.",
    )
    bot_token_file: LocalPath | None = Field(
        None,
        description="A file that holds the bot token, read again at each connection; without it "
        "bot_token_env counts.",
    )
    bot_token_env: Variable = Field(
        "SLACK_BOT_TOKEN",
        description="The variable of the service's environment that holds the bot token, which begins with xoxb-.",
    )
    app_token_file: LocalPath | None = Field(
        None,
        description="A file that holds the app-level token, for sockets alone; without it app_token_env counts.",
    )
    app_token_env: Variable = Field(
        "SLACK_APP_TOKEN",
        description="The variable that holds the app-level token, which begins with xapp-.",
    )
    signing_secret_file: LocalPath | None = Field(
        None,
        description="A file that holds the signing secret, for http alone; without it "
        "signing_secret_env counts.",
    )
    signing_secret_env: Variable = Field(
        "SLACK_SIGNING_SECRET", description="The variable that holds the signing secret."
    )
    sockets: Annotated[int, Field(ge=1, le=MAX_SOCKETS)] = Field(
        2, description="How many connections are kept, so that one that ends is no gap; Slack takes 10."
    )
    listen: ListenAddress = Field(
        LISTEN,
        description="Where requests come in with http; what stands before it has to speak TLS to Slack.",
    )
    path: UrlPath = Field(PATH, description="The path of these requests.")
    agent_view: bool = Field(
        True,
        description="Whether the app is shown as an agent, with a thread for each question asked directly; it "
        "has to be what the app's manifest says.",
    )
    suggested_prompts: Annotated[list[PromptConfig], Field(max_length=MAX_PROMPTS)] = Field(
        default_factory=list, description="What is suggested to whoever opens a conversation with the bot."
    )
    api_url: ApiUrl = Field(API_URL, description="The address of Slack's Web API.")

    @property
    def address(self) -> tuple[str, int]:
        """`listen` as host and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)
