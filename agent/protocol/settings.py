"""What the host tells a runner at its start: `AgentSettings` to environment variables, and back.

One variable a field, `AGENT_` and the field's name in capitals, each value JSON unless it is text. The
environment is the whole contract: a runner has no other arguments and reads no configuration file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.protocol.schema import VERSION
from agent.protocol.workspace import Workspace

PREFIX: Final = "AGENT_"
PROTOCOL_VARIABLE: Final = "AGENT_PROTOCOL"
EXIT_LOCKED: Final = 75
"""Exit status of a runner that found another one alive in its session (EX_TEMPFAIL)."""
EXIT_BROKEN: Final = 76
"""Exit status of a runner whose inbound.db or outbound.db is damaged (EX_PROTOCOL)."""
EXIT_UNUSABLE: Final = 77
"""Exit status of a runner whose provider cannot be made from its settings: no other try will go better."""
EXIT_MISFIT: Final = 78
"""Exit status of a runner whose settings or protocol do not fit the host's (EX_CONFIG)."""
CHECK_FLAG: Final = "--check"
"""The one argument of a runner: it makes its provider, says on stderr why it cannot, and ends."""
PROVIDERS: Final[Mapping[str, str]] = {
    "mock": "agent.providers.mock:MockProvider",
    "claude": "agent.providers.claude:ClaudeProvider",
}
"""The providers that come with Roost, and where a runner finds them; any other is named by its class."""
SANDBOX_FREE_PROVIDERS: Final = frozenset({"mock"})
"""Providers that touch nothing outside the session, and so may run without a container around them."""


LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class SettingsError(Exception):
    """The environment does not hold valid settings; the message names the variable."""


class AgentSettings(BaseModel):
    """Everything that a runner needs to know. Times are milliseconds. `folder` is the agent's own, with its
    instructions and skills. `gateway_port` is where its forwarder listens on loopback, 0 any free port; without
    it there is none, and the model is reached at `model_url`. With `report_usage` the runner says what its turns have
    used, for a host that has no other way to know. `warm` says how far a runner gets before anybody asks it anything:
    with "client" its provider is ready as well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    session: str
    protocol: int = VERSION
    assistant_name: str = "Roost"
    provider: str = "mock"
    provider_options: dict[str, Any] = {}
    model: str | None = None
    effort: str | None = None
    instructions: str | None = None
    inbox: Path
    bell_dir: Path
    outbox: Path
    home: Path
    work: Path
    folder: Path | None = None
    directories: list[Path] = []
    fallback_model: str | None = None
    max_turns: int | None = Field(default=None, ge=1)
    max_budget_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    allowed_tools: list[str] = []
    disallowed_tools: list[str] = []
    mcp_servers: dict[str, dict[str, Any]] = {}
    auto_compact_window: int | None = Field(default=None, ge=1)
    workspace_settings: bool = False
    model_url: str | None = None
    gateway_port: int | None = Field(default=None, ge=0, le=65_535)
    report_usage: bool = False
    warm: Literal["runner", "client"] = "runner"
    idle_ms: int = Field(default=20_000, ge=0)
    claim_ms: int = Field(default=50, ge=0)
    poll_idle_ms: int = Field(default=1_000, gt=0)
    poll_active_ms: int = Field(default=500, gt=0)
    poll_slow_ms: int = Field(default=5_000, gt=0)
    abandoned_ms: int = Field(default=900_000, gt=0)
    log_level: LogLevel = "INFO"

    @property
    def workspace(self) -> Workspace:
        """The session's folders as this runner sees them."""
        return Workspace(self.inbox, self.bell_dir, self.outbox, self.home, self.work)

    def to_env(self) -> dict[str, str]:
        """The environment variables from which `from_env` makes an equal object."""
        fields = self.model_dump(mode="json")
        return {PREFIX + name.upper(): _text(value) for name, value in fields.items() if value is not None}

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> AgentSettings:
        """Raises SettingsError naming the variable that is missing, unknown or malformed."""
        fields: dict[str, Any] = {}
        for variable, text in env.items():
            if not variable.startswith(PREFIX):
                continue
            name = variable.removeprefix(PREFIX).lower()
            if name not in cls.model_fields:
                raise SettingsError(f"{variable} is not a setting")
            try:
                fields[name] = text if cls.model_fields[name].annotation in _PLAIN else json.loads(text)
            except json.JSONDecodeError as exc:
                raise SettingsError(f"{variable} is not JSON: {exc}") from exc
        try:
            return cls.model_validate(fields)
        except ValidationError as exc:
            first = exc.errors()[0]
            raise SettingsError(f"{PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}") from exc


_PLAIN: Final = (str, str | None, Path, Path | None, LogLevel, Literal["runner", "client"])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
