"""The tables of config.toml: every setting with its type, its default and one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from agent.protocol.messages import MAX_ATTACHMENTS, MAX_TEXT_CHARS, Destination, Route
from bot.allowance import Rate
from bot.backup.layout import AGENTS, Bounds
from bot.config_backend import AgentLimits
from bot.config_fields import (
    MAX_SECONDS,
    Count,
    FirstWaitSeconds,
    Instructions,
    LocalPath,
    Mebibytes,
    MediaType,
    ProviderName,
    Seconds,
    ServerUrl,
    TimeZone,
    Tries,
)
from bot.config_gateway import AgentGatewayConfig
from bot.config_image import AgentImageConfig
from bot.config_model import ConfigModel
from bot.config_mounts import MountConfig
from bot.config_vault import ModelKeyConfig


class ServiceConfig(ConfigModel):
    """[service]"""

    data_dir: LocalPath = Field(
        Path("data"),
        validate_default=True,
        description="Where everything is kept; relative to this file's folder.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least important thing that is logged."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="How the log is written; auto is console on a terminal and json elsewhere."
    )
    log_file: LocalPath | None = Field(
        None,
        description="Where the log goes; without it to stderr, or to logs/roost.log in data_dir "
        "while somebody talks in the terminal or through a pipe.",
    )
    metrics_port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        None, description="Port on 127.0.0.1 for Prometheus metrics; without it they are not served."
    )


class TerminalConfig(ConfigModel):
    """[terminal]"""

    enabled: bool = Field(True, description="Whether the terminal that starts Roost can talk to the agent.")
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        None, description="What the agent calls the person there; without it the login name."
    )


class DestinationConfig(ConfigModel):
    """[[agents.<name>.destinations]]"""

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[\w.-]+$", description="What the agent calls the place."
    )
    display_name: str | None = Field(None, description="What people call it; without it the name.")
    channel: str = Field(min_length=1, max_length=200, description="The channel adapter that leads there.")
    platform_id: str = Field(min_length=1, max_length=200, description="The platform's own id of the place.")
    thread_id: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="A thread in it; without it the place itself."
    )

    @property
    def destination(self) -> Destination:
        """The same as the agent is told it."""
        route = Route(channel=self.channel, platform_id=self.platform_id, thread_id=self.thread_id)
        return Destination(name=self.name, display_name=self.display_name or self.name, route=route)


class AgentConfig(ModelKeyConfig):
    """[agents.<name>]"""

    assistant_name: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        "Roost", description="What the assistant calls itself."
    )
    folder: LocalPath | None = Field(
        None,
        description="Where its INSTRUCTIONS.md and its skills lie; without it agents/<name> in data_dir.",
    )
    provider: ProviderName = Field(
        "mock",
        description='What answers: "mock", "claude", or "package.module:Class" for a provider of your own.',
    )
    model: str | None = Field(None, description="The model; without it the provider's own choice.")
    fallback_model: str | None = Field(
        None, description="The model that answers while the first is overloaded; without it none does."
    )
    effort: str | None = Field(
        None, description="How hard the model thinks; without it the provider's own choice."
    )
    model_url: ServerUrl | None = Field(
        None,
        description="The base URL of a server that speaks the Messages API; without it the provider's own.",
    )
    instructions: Instructions | None = Field(
        None, description="What the agent is told about itself and its work; without it nothing."
    )
    max_turns: Count | None = Field(
        None, description="How many steps the model may take in a turn; without it as many as it likes."
    )
    max_budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="What a turn may cost in US dollars; without it the provider sets no bound."
    )
    auto_compact_window: Count | None = Field(
        None,
        description="Tokens from which a conversation is compacted; without it the provider's own choice.",
    )
    allowed_tools: list[str] = Field(
        default_factory=list,
        description="Tools of the provider's own that it may use, by its names; none named is its own choice.",
    )
    disallowed_tools: list[str] = Field(
        default_factory=list, description="Tools of the provider's own that it may not use, by its names."
    )
    mcp_servers: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="MCP servers for the agent by name, each as the provider takes it."
    )
    directories: list[LocalPath] = Field(
        default_factory=list, description="Folders that the agent may use besides its workspace."
    )
    mounts: list[MountConfig] = Field(
        default_factory=list, description="Folders of this machine that its containers have, too."
    )
    workspace_settings: bool = Field(
        False,
        description="Whether the provider obeys settings in the workspace, which the agent can write.",
    )
    provider_options: dict[str, Any] = Field(
        default_factory=dict, description="Options that only this provider knows."
    )
    image: AgentImageConfig = Field(
        AgentImageConfig(), description="What only this agent has in its image, on top of [image]."
    )
    destinations: list[DestinationConfig] = Field(
        default_factory=list, description="Places that the agent may write to besides where it was asked."
    )
    idle_seconds: Seconds = Field(
        20.0, description="A query with nothing going on for this long is ended; its memory is kept."
    )
    turn_limit_seconds: Seconds = Field(3600.0, description="A turn that runs longer than this is stopped.")
    limits: AgentLimits = Field(
        default_factory=AgentLimits, description="What a container of this agent may use."
    )
    gateway: AgentGatewayConfig = Field(
        AgentGatewayConfig(), description="What its containers may send out, and how much."
    )

    def folder_in(self, data: Path, name: str) -> Path:
        """The folder of the agent `name` of the data folder `data`."""
        return self.folder or data / AGENTS / name


class DeliveryConfig(ConfigModel):
    """[delivery]"""

    max_attempts: Tries = Field(5, description="How often a reply is sent before it counts as failed.")
    retry_base_seconds: FirstWaitSeconds = Field(
        1.0, description="The wait before sending again; doubles every time."
    )
    send_seconds: Seconds = Field(60.0, description="How long a platform may take over one part of a reply.")


class TurnsConfig(ConfigModel):
    """[turns]"""

    max_tries: Tries = Field(5, description="How often a turn that died is run before it counts as failed.")
    retry_base_seconds: FirstWaitSeconds = Field(
        5.0, description="The wait before running again; doubles every time."
    )
    heartbeat_stale_seconds: Seconds = Field(
        120.0, description="A runner in a turn without a sign of life for this long is killed."
    )


class SchedulesConfig(ConfigModel):
    """[schedules]"""

    timezone: TimeZone = Field(
        "UTC", description="The time zone of a schedule that names none, by its IANA name."
    )
    min_interval_seconds: Annotated[float, Field(ge=1, le=MAX_SECONDS, allow_inf_nan=False)] = Field(
        60.0, description="The shortest time between two runs of a schedule."
    )
    max_failures: Annotated[int, Field(ge=1, le=1000)] = Field(
        3, description="How many runs in a row may fail before a schedule that is made now is paused."
    )
    catch_up_max: Annotated[int, Field(ge=1, le=1000)] = Field(
        10, description="How many missed runs a schedule that catches up on all of them makes up for at most."
    )


class LimitsConfig(ConfigModel):
    """[limits]"""

    message_chars: Annotated[int, Field(ge=1, le=MAX_TEXT_CHARS)] = Field(
        MAX_TEXT_CHARS, description="The longest message that is accepted, in characters."
    )
    attachment_mb: Annotated[int, Field(ge=1, le=1024)] = Field(
        25, description="The largest file of a message, in MiB."
    )
    attachments: Annotated[int, Field(ge=0, le=MAX_ATTACHMENTS)] = Field(
        10, description="How many files a message may have."
    )
    attachment_types: list[MediaType] = Field(
        ["*/*"], description="Which files a message may have, by their media types, * for any letters."
    )
    replies_per_minute: Count = Field(
        3_000, description="How many replies a conversation may send in a minute; the others wait."
    )
    reply_mb_per_minute: Count = Field(100, description="How much these may be with their files, in MiB.")
    history_days: Count = Field(
        30, description="What has come to its end is forgotten after so many days, but for the newest of it."
    )
    backlog: Count = Field(
        200, description="With so many unanswered messages a conversation takes no more for now."
    )
    backlog_total: Count = Field(
        20_000, description="With so many unanswered messages everywhere nobody's is taken for now."
    )

    @property
    def rate(self) -> Rate:
        """How much one conversation may say."""
        return Rate(self.replies_per_minute, self.reply_mb_per_minute * 1024 * 1024)


class BackupConfig(ConfigModel):
    """[backup]"""

    enabled: bool = Field(True, description="Whether the running service makes a backup every day.")
    folder: LocalPath | None = Field(
        None, description="Where the backups of this service go; without it to backups in data_dir."
    )
    hour: Annotated[int, Field(ge=0, le=23)] = Field(
        3, description="The hour of the day at which it is made, in UTC."
    )
    keep: Count = Field(
        7, description="How many backups stay in the folder when one was made, the newest ones."
    )
    file_mb: Mebibytes = Field(512, description="A file of a session that is larger is left out, in MiB.")
    session_mb: Mebibytes = Field(
        2048, description="Files of a session that go beyond this together are left out, in MiB."
    )
    total_mb: Mebibytes = Field(51_200, description="How much a backup may hold before it is packed, in MiB.")

    @property
    def bounds(self) -> Bounds:
        """How much a backup may hold."""
        mib = 1024 * 1024
        return Bounds(self.file_mb * mib, self.session_mb * mib, self.total_mb * mib)

    def folder_in(self, data: Path) -> Path:
        """Where the backups of the data folder `data` lie."""
        return self.folder or data / "backups"
