"""Which settings of an agent admins may change in the chat, and how they read and write them there. Pure.

Only what stands here: never where an agent's folder lies, what its model is reached with and where, or what its
provider obeys. Those are files, variables and addresses of the service's machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from bot.access import Level
from bot.config_tables import AgentConfig
from bot.errors import CommandFailed
from bot.redaction import redact
from bot.striking import struck

Settings = Mapping[str, Any]
Source = Literal["config.toml", "chat", "default"]
NONE: Final = "none"
"""The word that clears a value, whatever config.toml has."""
SHOWN_CHARS: Final = 200
SECRET_TABLES: Final = frozenset({"env", "headers"})
"""Of an MCP server: what stands in them is a secret as likely as not."""
UNKNOWN: Final = "There is no setting {key} that can be changed here; there are: {known}."
BY_COMMAND: Final = "The setting {key} has a command of its own: `{command}`."

_SPLIT: Final = re.compile(r"[\s,]+(?![^()]*\))")
"""Between the members of a list; "Bash(git log, git show)" is one."""


@dataclass(frozen=True)
class Key:
    """A setting. `path` is where it stands in [agents.<name>]; `command` is what changes it where that is not `agent
    set`; whoever has `level` for the agent may change it."""

    name: str
    path: tuple[str, ...]
    level: Level = "admin"
    is_list: bool = False
    command: str = "agent set"
    suggests: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One sentence, as config.toml has it."""
        return _field(self.path).description or ""

    @property
    def may_be_none(self) -> bool:
        """Whether it can be cleared."""
        return self.is_list or _field(self.path).default is None


KEYS: Final[Mapping[str, Key]] = {
    each.name: each
    for each in (
        Key("instructions", ("instructions",)),
        Key("assistant_name", ("assistant_name",)),
        Key("model", ("model",)),
        Key("fallback_model", ("fallback_model",)),
        Key("effort", ("effort",), suggests=("low", "medium", "high")),
        Key("provider", ("provider",), "owner", suggests=("claude", "mock")),
        Key("max_turns", ("max_turns",)),
        Key("max_budget_usd", ("max_budget_usd",)),
        Key("auto_compact_window", ("auto_compact_window",)),
        Key("turn_limit_seconds", ("turn_limit_seconds",)),
        Key("idle_seconds", ("idle_seconds",)),
        Key("allowed_tools", ("allowed_tools",), is_list=True),
        Key("disallowed_tools", ("disallowed_tools",), is_list=True),
        Key("memory_mb", ("limits", "memory_mb")),
        Key("cpus", ("limits", "cpus")),
        Key("pids", ("limits", "pids")),
        Key("disk_mb", ("limits", "disk_mb")),
        Key("files", ("limits", "files")),
        Key("directories", ("directories",), "owner", is_list=True),
        Key("mounts", ("mounts",), "owner", is_list=True, command="agent mount"),
        Key("hosts", ("gateway", "hosts"), is_list=True, command="agent egress"),
        Key("apt", ("image", "apt"), is_list=True, command="agent packages"),
        Key("pip", ("image", "pip"), is_list=True, command="agent packages"),
        Key("mcp_servers", ("mcp_servers",), is_list=True, command="agent mcp"),
    )
}


def find(name: str) -> Key:
    """The setting of this name. Raises CommandFailed with those that there are."""
    key = KEYS.get(name.strip().lower().replace("-", "_"))
    if key is None:
        raise CommandFailed(UNKNOWN.format(key=name[:40], known=", ".join(KEYS)))
    return key


def parse(key: Key, text: str) -> Any:
    """What somebody has given for a setting, as config.toml would have it; whether it can be so is for the
    configuration to say. Raises CommandFailed."""
    if key.command != "agent set":
        raise CommandFailed(BY_COMMAND.format(key=key.name, command=f"{key.command} NAME add|remove ..."))
    if text.strip().lower() == NONE:
        if not key.may_be_none:
            raise CommandFailed(f"The setting {key.name} cannot be {NONE}: it always has a value.")
        return [] if key.is_list else None
    if key.is_list:
        return [each for each in _SPLIT.split(text.strip()) if each]
    if key.name in ("instructions", "assistant_name"):
        return text
    return text.strip()


def given(settings: Settings, key: Key) -> bool:
    """Whether the setting was changed in the chat."""
    table: Any = settings
    for step in key.path:
        if not isinstance(table, Mapping) or step not in table:
            return False
        table = table[step]
    return True


def put(settings: Settings, key: Key, value: Any) -> dict[str, Any]:
    """With this value for the setting."""
    first, *rest = key.path
    if not rest:
        return {**settings, first: value}
    return {**settings, first: {**settings.get(first, {}), rest[0]: value}}


def drop(settings: Settings, key: Key) -> dict[str, Any]:
    """As config.toml has the setting again."""
    first, *rest = key.path
    left = dict(settings)
    if rest:
        table = {name: each for name, each in left.get(first, {}).items() if name != rest[0]}
        if table:
            return {**left, first: table}
    left.pop(first, None)
    return left


def value(agent: AgentConfig, key: Key) -> Any:
    """What holds now, as JSON has it."""
    found: Any = agent.model_dump(mode="json", include={key.path[0]})
    for step in key.path:
        found = found[step]
    return found


def source(settings: Settings, configured: Settings, key: Key) -> Source:
    """Where the value comes from. `settings` are those of the chat, `configured` what config.toml says."""
    if given(settings, key):
        return "chat"
    return "config.toml" if given(configured, key) else "default"


def public(key: Key, found: Any) -> Any:
    """The value without what may be secret in it: for people, and for the audit."""
    if key.name == "mcp_servers" and isinstance(found, Mapping):
        return {name: server(each) for name, each in found.items()}
    return _struck(found)


def server(found: Mapping[str, Any]) -> dict[str, Any]:
    """An MCP server without its secrets: of what it is given in its environment only whether there is something."""
    shown: dict[str, Any] = {}
    for name, each in found.items():
        if name in SECRET_TABLES and isinstance(each, Mapping):
            shown[name] = {inner: "set" if text else "not set" for inner, text in each.items()}
        else:
            shown[name] = struck({name: each})[name]
    return shown


def said(key: Key, found: Any) -> str:
    """The value in words, on one line and no longer than somebody reads."""
    found = public(key, found)
    if found is None or found in ([], {}):
        return NONE
    if key.name == "mcp_servers":
        return ", ".join(found)
    if key.name == "mounts":
        return ", ".join(_mount(each) for each in found)
    text = (
        ", ".join(map(str, found))
        if isinstance(found, Sequence) and not isinstance(found, str)
        else str(found)
    )
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else f"{line[: SHOWN_CHARS - 1]}… ({len(text):,} characters)"


def _mount(found: Mapping[str, Any]) -> str:
    target = f" at {found['target']}" if found.get("target") else ""
    return f"{found['source']}{target}{' (writable)' if found.get('writable') else ''}"


def _struck(found: Any) -> Any:
    if isinstance(found, str):
        return redact(found)
    if isinstance(found, Mapping):
        return {name: _struck(each) for name, each in found.items()}
    if isinstance(found, list):
        return [_struck(each) for each in found]
    return found


def _field(path: tuple[str, ...]) -> Any:
    field = AgentConfig.model_fields[path[0]]
    for step in path[1:]:
        assert field.annotation is not None  # noqa: S101 - every table of the configuration is a model
        field = field.annotation.model_fields[step]
    return field
