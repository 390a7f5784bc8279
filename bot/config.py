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
from typing import Annotated, Any, Final, Self, cast

from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from agent.protocol import failpoint
from agent.protocol.settings import SANDBOX_FREE_PROVIDERS
from bot.config_backend import BackendConfig, PoolConfig
from bot.config_discord import DiscordConfig
from bot.config_errors import explain, unknown_variable
from bot.config_fields import AgentName
from bot.config_gateway import GatewayConfig
from bot.config_image import ImageConfig
from bot.config_model import ConfigModel
from bot.config_money import BudgetConfig, UsageConfig, repeated
from bot.config_mounts import MountsConfig
from bot.config_slack import SlackConfig
from bot.config_tables import (
    AgentConfig,
    BackupConfig,
    DeliveryConfig,
    LimitsConfig,
    SchedulesConfig,
    ServiceConfig,
    TerminalConfig,
    TurnsConfig,
)
from bot.config_vault import VaultConfig
from bot.config_wiring import WiringConfig, mistakes
from bot.errors import ConfigError

PREFIX: Final = "ROOST_"
RESERVED: Final = frozenset({"ROOST_CONFIG", failpoint.VARIABLE})
"""Variables that begin like a setting and are none."""
NESTING: Final = "__"
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


_AGENTS: Final = {FIRST_AGENT: AgentConfig()}


class Config(ConfigModel):
    """All of it. `Config()` is the defaults and reads nothing."""

    service: ServiceConfig = ServiceConfig()
    terminal: TerminalConfig = TerminalConfig()
    discord: DiscordConfig = DiscordConfig()
    slack: SlackConfig = SlackConfig()
    agents: Annotated[dict[AgentName, AgentConfig], Field(min_length=1)] = _AGENTS
    wirings: list[WiringConfig] = Field(
        default_factory=list, description="Who serves which place, and how; the most exact one decides."
    )
    image: ImageConfig = ImageConfig()
    backend: BackendConfig = BackendConfig()
    pool: PoolConfig = PoolConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    turns: TurnsConfig = TurnsConfig()
    schedules: SchedulesConfig = SchedulesConfig()
    limits: LimitsConfig = LimitsConfig()
    backup: BackupConfig = BackupConfig()
    gateway: GatewayConfig = GatewayConfig()
    budgets: list[BudgetConfig] = Field(
        default_factory=list,
        description="What may be spent on models; what admins set in the chat goes before it.",
    )
    usage: UsageConfig = UsageConfig()
    vault: VaultConfig = VaultConfig()
    mounts: MountsConfig = MountsConfig()
    _folder: Path | None = PrivateAttr(None)

    @property
    def folder(self) -> Path | None:
        """Where config.toml lies, or the folder that stands in for it; None for defaults that were never loaded."""
        return self._folder

    def model_post_init(self, context: Any, /) -> None:
        """Keeps the folder from which relative paths start."""
        self._folder = (context or {}).get("folder")

    @model_validator(mode="after")
    def _is_sandboxed(self) -> Self:
        if self.backend.kind == "process" and (refusal := self.unsandboxed()):
            raise ValueError(refusal)
        return self

    def unsandboxed(self) -> str | None:
        """Why the process backend cannot be had with these agents; None: it can."""
        for name, agent in self.agents.items():
            if agent.provider not in SANDBOX_FREE_PROVIDERS and not self.backend.allow_unsandboxed:
                return (
                    f'the process backend isolates nothing, so provider "{agent.provider}" of agent "{name}" '
                    "is refused; if you accept that, set [backend] allow_unsandboxed = true, or start it with "
                    "--allow-unsandboxed"
                )
        return None

    @model_validator(mode="after")
    def _is_wired(self) -> Self:
        if wrong := mistakes(self.wirings, self.agents):
            raise ValueError("; ".join(wrong))
        return self

    @model_validator(mode="after")
    def _has_one_budget_each(self) -> Self:
        if wrong := repeated(self.budgets):
            raise ValueError("; ".join(wrong))
        return self

    @model_validator(mode="after")
    def _has_one_vault(self) -> Self:
        for name, agent in self.agents.items():
            if self.vault.kind != "embedded" and agent.chosen_place:
                raise ValueError(
                    f'with [vault] kind = "{self.vault.kind}" the credential of a model is kept there; '
                    f"take {agent.chosen_place} out of [agents.{name}]"
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
