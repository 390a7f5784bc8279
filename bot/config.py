"""The configuration: config.toml and the environment, checked and frozen.

A setting comes from an option of the command line, where it has one, else from the variable ROOST_<TABLE>__<KEY>,
else from the file, else from its default. Every mistake is reported at once, one line each, by file, table and key, by
variable or by option; values are never repeated, because
the wrong thing pasted in the wrong place may be a secret.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from agent.protocol import failpoint
from agent.protocol.messages import MAX_ATTACHMENTS, MAX_TEXT_CHARS, Destination, Route
from agent.protocol.settings import PROVIDERS, SANDBOX_FREE_PROVIDERS
from bot.allowance import Rate
from bot.backup.layout import AGENTS, Bounds
from bot.config_errors import explain, unknown_variable
from bot.errors import ConfigError
from bot.recurrence import BadTime, zone
from container.base import Limits

PREFIX: Final = "ROOST_"
RESERVED: Final = frozenset({"ROOST_CONFIG", failpoint.VARIABLE})
"""Variables that begin like a setting and are none."""
NESTING: Final = "__"
MAX_INSTRUCTIONS_BYTES: Final = 64 * 1024
"""They travel in an environment variable, of which the kernel takes 128 KiB."""
DEFAULT_FILE: Final = Path("config.toml")
FIRST_AGENT: Final = "assistant"
"""The agent where none is configured."""
FIRST: Final = "*"
OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "--provider": ("agents", FIRST, "provider"),
    "--model": ("agents", FIRST, "model"),
    "--model-url": ("agents", FIRST, "model_url"),
    "--allow-unsandboxed": ("backend", "allow_unsandboxed"),
}
"""The setting that each option of the command line stands for; FIRST is the first agent's name."""
NO_OPTIONS: Final[Mapping[str, Any]] = {}


def _named(value: object) -> object:
    """A path that names something: an empty one would be the folder of the file."""
    if isinstance(value, str) and not value.strip():
        raise ValueError("should not be empty; leave it out for the default")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("should be a path, and no path holds a NUL character")
    return value


def _from_folder(value: Path, info: ValidationInfo) -> Path:
    folder: Path | None = (info.context or {}).get("folder")
    try:
        return folder / value.expanduser() if folder else value
    except RuntimeError as exc:
        raise ValueError("begins with the home of a user whom this machine does not know") from exc


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


def _instructions(value: str) -> str:
    if len(value.encode()) > MAX_INSTRUCTIONS_BYTES:
        kib = MAX_INSTRUCTIONS_BYTES // 1024
        raise ValueError(f"longer than {kib} KiB; put them into INSTRUCTIONS.md in the agent's folder")
    return value


def _timezone(value: str) -> str:
    try:
        zone(value)
    except BadTime as exc:
        raise ValueError(str(exc)) from exc
    return value


def _url(value: str) -> str:
    """Raises ValueError for what is no address of a server, or carries a password that logs would show."""
    try:
        parts = urlsplit(value)
        named = parts.hostname and parts.port != 0
    except ValueError:
        parts, named = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not named:
        raise ValueError("should be a URL that begins with http:// or https:// and names a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            "should be a URL without a user, a query or a fragment; the key comes from model_key_env"
        )
    return value


LocalPath = Annotated[Path, BeforeValidator(_named), AfterValidator(_from_folder)]
MAX_SECONDS: Final = 30 * 24 * 3600
MAX_MEBIBYTES: Final = 1024 * 1024
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Mebibytes = Annotated[int, Field(ge=1, le=MAX_MEBIBYTES)]
# The wait doubles with every try, and the last one still has to be a time that bot.db can hold.
Tries = Annotated[int, Field(ge=1, le=20)]
FirstWaitSeconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


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


class AgentConfig(ConfigModel):
    """[agents.<name>]"""

    assistant_name: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        "Roost", description="What the assistant calls itself."
    )
    folder: LocalPath | None = Field(
        None,
        description="Where its INSTRUCTIONS.md and its skills lie; without it agents/<name> in data_dir.",
    )
    provider: Annotated[str, AfterValidator(_provider)] = Field(
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
    model_url: Annotated[str, AfterValidator(_url)] | None = Field(
        None,
        description="The base URL of a server that speaks the Messages API; without it the provider's own.",
    )
    model_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        "ANTHROPIC_API_KEY",
        description="The variable of the service's environment that holds the key for the model.",
    )
    instructions: Annotated[str, AfterValidator(_instructions)] | None = Field(
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
    workspace_settings: bool = Field(
        False,
        description="Whether the provider obeys settings in the workspace, which the agent can write.",
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

    def folder_in(self, data: Path, name: str) -> Path:
        """The folder of the agent `name` of the data folder `data`."""
        return self.folder or data / AGENTS / name


class BackendConfig(ConfigModel):
    """[backend]"""

    kind: Literal["process"] = Field(
        "process", description="What runs the agents; process is a plain child process and isolates nothing."
    )
    allow_unsandboxed: bool = Field(
        False, description="Whether a provider with access to this machine may run without isolation."
    )
    file_mb: Mebibytes = Field(
        Limits.file_mb, description="The largest file that a runner may write, in MiB."
    )
    stop_grace_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = Field(
        10.0, description="How long a runner that is asked to leave may take before it is killed."
    )
    runner_idle_seconds: Seconds = Field(
        600.0, description="A runner with nothing to do for this long is stopped."
    )
    max_awake: Annotated[int, Field(ge=1, le=10_000)] = Field(
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

    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
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


class Config(ConfigModel):
    """All of it. `Config()` is the defaults and reads nothing."""

    service: ServiceConfig = ServiceConfig()
    terminal: TerminalConfig = TerminalConfig()
    agents: Annotated[dict[Annotated[str, AfterValidator(_agent_name)], AgentConfig], Field(min_length=1)] = {
        FIRST_AGENT: AgentConfig()
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
                    "is refused; if you accept that, set [backend] allow_unsandboxed = true, or start it with "
                    "--allow-unsandboxed"
                )
        return self


def load(path: Path | None, env: Mapping[str, str], options: Mapping[str, Any] = NO_OPTIONS) -> Config:
    """The configuration from `path`, else from ROOST_CONFIG, else from ./config.toml if it is there. `options` are
    those of OPTIONS that were given on the command line.

    Relative paths in it start at the file's folder, or at the current one where there is no file. Raises
    ConfigError.
    """
    file = path or (Path(env["ROOST_CONFIG"]) if env.get("ROOST_CONFIG") else None)
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    variables = {name: text for name, text in env.items() if name.startswith(PREFIX) and name not in RESERVED}
    from_env, mistakes = _from_env(variables)
    values = _merged(_from_file(file) if file else {}, from_env)
    chosen = {option: _place(option, values) for option in options}
    for option, value in options.items():
        values = _merged(values, _nested(chosen[option], value))
    folder = (file.parent if file else Path()).absolute()
    try:
        # With a [service] to validate, its default folder is made absolute like any other.
        config = Config.model_validate({"service": {}} | values, context={"folder": folder})
    except ValidationError as exc:
        places = {name: tuple(name.removeprefix(PREFIX).lower().split(NESTING)) for name in variables}
        mistakes += explain(exc, Config, file=file, variables={**chosen, **places})
        raise ConfigError("\n".join(mistakes)) from exc
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def _place(option: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The setting that an option stands for: of an agent's it is the first agent's, which serves who names none."""
    agents = values.get("agents")
    first = next(iter(agents), FIRST_AGENT) if isinstance(agents, Mapping) else FIRST_AGENT
    return tuple(first if step == FIRST else step for step in OPTIONS[option])


def _nested(place: tuple[str, ...], value: Any) -> dict[str, Any]:
    for step in reversed(place):
        value = {step: value}
    return cast(dict[str, Any], value)


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
