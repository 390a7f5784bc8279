"""The configuration: config.toml and the environment, checked and frozen.

A setting comes from the variable ROOST_<TABLE>__<KEY>, else from the file, else from its default. Every mistake
is reported at once, one line each, by file, table and key or by variable; values are never repeated, because
the wrong thing pasted in the wrong place may be a secret.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from agent.protocol import failpoint
from agent.protocol.messages import MAX_ATTACHMENTS, MAX_TEXT_CHARS, Destination, Route
from agent.protocol.settings import PROVIDERS, SANDBOX_FREE_PROVIDERS
from bot.backup.layout import Bounds
from bot.config_errors import explain, unknown_variable
from bot.errors import ConfigError
from bot.recurrence import BadTime, zone
from container.base import Limits

PREFIX: Final = "ROOST_"
RESERVED: Final = frozenset({"ROOST_CONFIG", failpoint.VARIABLE})
"""Variables that begin like a setting and are none."""
NESTING: Final = "__"
DEFAULT_FILE: Final = Path("config.toml")


def _from_folder(value: Path, info: ValidationInfo) -> Path:
    folder: Path | None = (info.context or {}).get("folder")
    return folder / value.expanduser() if folder else value


def _agent_name(value: str) -> str:
    if not value.isascii() or not value.replace("-", "").replace("_", "").isalnum() or value != value.lower():
        raise ValueError('an agent is named with small letters, digits, "-" and "_"')
    return value


def _provider(value: str) -> str:
    module, colon, name = value.partition(":")
    dotted = all(part.isidentifier() for part in module.split("."))
    if value in PROVIDERS or (colon and dotted and name.isidentifier()):
        return value
    known = ", ".join(f'"{each}"' for each in PROVIDERS)
    raise ValueError(f'unknown provider; known are {known}, and "package.module:Class" for one of your own')


def _timezone(value: str) -> str:
    try:
        zone(value)
    except BadTime as exc:
        raise ValueError(str(exc)) from exc
    return value


LocalPath = Annotated[Path, AfterValidator(_from_folder)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class ConfigModel(BaseModel):
    """A table: frozen, and without room for a key that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
        "while somebody talks in the terminal.",
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


class AgentConfig(ConfigModel):
    """[agents.<name>]"""

    assistant_name: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        "Roost", description="What the assistant calls itself."
    )
    provider: Annotated[str, AfterValidator(_provider)] = Field(
        "mock", description='What answers: "mock", or "package.module:Class" for a provider of your own.'
    )
    model: str | None = Field(None, description="The model; without it the provider's own choice.")
    effort: str | None = Field(
        None, description="How hard the model thinks; without it the provider's own choice."
    )
    instructions: str | None = Field(
        None, description="What the agent is told about itself and its work; without it nothing."
    )
    provider_options: dict[str, Any] = Field(
        default_factory=dict, description="Options that only this provider knows."
    )
    destinations: list[DestinationConfig] = Field(
        default_factory=list, description="Places that the agent may write to besides where it was asked."
    )
    idle_seconds: Seconds = Field(
        20.0, description="A query with nothing going on for this long is ended; its memory is kept."
    )
    turn_limit_seconds: Seconds = Field(3600.0, description="A turn that runs longer than this is stopped.")


class BackendConfig(ConfigModel):
    """[backend]"""

    kind: Literal["process"] = Field(
        "process", description="What runs the agents; process is a plain child process and isolates nothing."
    )
    allow_unsandboxed: bool = Field(
        False, description="Whether a provider with access to this machine may run without isolation."
    )
    file_mb: Count = Field(Limits.file_mb, description="The largest file that a runner may write, in MiB.")
    stop_grace_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        10.0, description="How long a runner that is asked to leave may take before it is killed."
    )
    runner_idle_seconds: Seconds = Field(
        600.0, description="A runner with nothing to do for this long is stopped."
    )
    max_awake: Count = Field(
        50, description="How many runners live at once; other sessions wait for a place."
    )
    turn_share_seconds: Seconds = Field(
        60.0,
        description="A runner that has had its place for this long gives way after a turn, if others wait.",
    )

    @property
    def limits(self) -> Limits:
        """What one runner may use."""
        return Limits(file_mb=self.file_mb)


class DeliveryConfig(ConfigModel):
    """[delivery]"""

    max_attempts: Count = Field(5, description="How often a reply is sent before it counts as failed.")
    retry_base_seconds: Seconds = Field(1.0, description="The wait before sending again; doubles every time.")
    send_seconds: Seconds = Field(60.0, description="How long a platform may take over one part of a reply.")


class TurnsConfig(ConfigModel):
    """[turns]"""

    max_tries: Count = Field(5, description="How often a turn that died is run before it counts as failed.")
    retry_base_seconds: Seconds = Field(5.0, description="The wait before running again; doubles every time.")
    heartbeat_stale_seconds: Seconds = Field(
        120.0, description="A runner in a turn without a sign of life for this long is killed."
    )


class SchedulesConfig(ConfigModel):
    """[schedules]"""

    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        "UTC", description="The time zone of a schedule that names none, by its IANA name."
    )
    min_interval_seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        60.0, description="The shortest time between two runs of a schedule."
    )
    max_failures: Count = Field(
        3, description="How many runs in a row may fail before a schedule that is made now is paused."
    )
    catch_up_max: Count = Field(
        10, description="How many missed runs a schedule that catches up on all of them makes up for at most."
    )


class LimitsConfig(ConfigModel):
    """[limits]"""

    message_chars: Annotated[int, Field(ge=1, le=MAX_TEXT_CHARS)] = Field(
        MAX_TEXT_CHARS, description="The longest message that is accepted, in characters."
    )
    attachment_mb: Count = Field(25, description="The largest file of a message, in MiB.")
    attachments: Annotated[int, Field(ge=0, le=MAX_ATTACHMENTS)] = Field(
        10, description="How many files a message may have."
    )
    backlog: Count = Field(
        200, description="With so many unanswered messages a conversation takes no more for now."
    )
    backlog_total: Count = Field(
        20_000, description="With so many unanswered messages everywhere nobody's is taken for now."
    )


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
    file_mb: Count = Field(512, description="A file of a session that is larger is left out, in MiB.")
    session_mb: Count = Field(
        2048, description="Files of a session that go beyond this together are left out, in MiB."
    )
    total_mb: Count = Field(51_200, description="How much a backup may hold before it is packed, in MiB.")

    @property
    def bounds(self) -> Bounds:
        """How much a backup may hold."""
        mib = 1024 * 1024
        return Bounds(self.file_mb * mib, self.session_mb * mib, self.total_mb * mib)

    def folder_in(self, data: Path) -> Path:
        """Where the backups of the data folder `data` lie."""
        return self.folder or data / "backups"


class Config(ConfigModel):
    """All of it. `Config()` is the defaults and reads nothing."""

    service: ServiceConfig = ServiceConfig()
    terminal: TerminalConfig = TerminalConfig()
    agents: Annotated[dict[Annotated[str, AfterValidator(_agent_name)], AgentConfig], Field(min_length=1)] = {
        "assistant": AgentConfig()
    }
    backend: BackendConfig = BackendConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    turns: TurnsConfig = TurnsConfig()
    schedules: SchedulesConfig = SchedulesConfig()
    limits: LimitsConfig = LimitsConfig()
    backup: BackupConfig = BackupConfig()

    @model_validator(mode="after")
    def _is_sandboxed(self) -> Self:
        for name, agent in self.agents.items():
            if agent.provider not in SANDBOX_FREE_PROVIDERS and not self.backend.allow_unsandboxed:
                raise ValueError(
                    f'the process backend isolates nothing, so provider "{agent.provider}" of agent "{name}" '
                    "is refused; set [backend] allow_unsandboxed = true if you accept that"
                )
        return self


def load(path: Path | None, env: Mapping[str, str]) -> Config:
    """The configuration from `path`, else from ROOST_CONFIG, else from ./config.toml if it is there.

    Relative paths in it start at the file's folder, or at the current one where there is no file. Raises
    ConfigError.
    """
    file = path or (Path(env["ROOST_CONFIG"]) if env.get("ROOST_CONFIG") else None)
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    variables = {name: text for name, text in env.items() if name.startswith(PREFIX) and name not in RESERVED}
    from_env, mistakes = _from_env(variables)
    values = _merged(_from_file(file) if file else {}, from_env)
    folder = (file.parent if file else Path()).absolute()
    try:
        # With a [service] to validate, its default folder is made absolute like any other.
        config = Config.model_validate({"service": {}} | values, context={"folder": folder})
    except ValidationError as exc:
        places = {name: tuple(name.removeprefix(PREFIX).lower().split(NESTING)) for name in variables}
        mistakes += explain(exc, Config, file=file, variables=places)
        raise ConfigError("\n".join(mistakes)) from exc
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def _from_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigError(f"{file}: is not valid TOML: {exc}") from exc


def _from_env(variables: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """What the variables set, nested like the file, and a line for each that sets nothing."""
    if not variables:
        return {}, []
    # Takes longer to import than all of the above, and most people set no variable.
    from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

    # It reads the fields of any model; one that fills itself from os.environ unasked is not wanted here.
    source = EnvSettingsSource(
        cast(type[BaseSettings], Config), env_prefix=PREFIX.lower(), env_nested_delimiter=NESTING
    )
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for variable, text in variables.items():
        source.env_vars = {variable.lower(): text}
        try:
            value = source()
        except SettingsError as exc:
            mistakes.append(f"{variable}: should be JSON: {exc.__cause__}")
            continue
        if not value:
            mistakes.append(unknown_variable(variable, _setting_variables()))
        values = _merged(values, value)
    return values, mistakes


def _setting_variables() -> list[str]:
    tables = {name: field.annotation for name, field in Config.model_fields.items()}
    return [
        f"{PREFIX}{name}{NESTING}{key}".upper()
        for name, table in tables.items()
        if isinstance(table, type) and issubclass(table, BaseModel)
        for key in table.model_fields
    ]


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    both = {**low, **high}
    for key in low.keys() & high.keys():
        if isinstance(low[key], Mapping) and isinstance(high[key], Mapping):
            both[key] = _merged(low[key], high[key])
    return both
