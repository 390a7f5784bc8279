"""What can be done to the settings of an agent, each as an `Edit` for AgentEditing.change. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from bot import agent_settings
from bot.agent_editing import Edit
from bot.agent_settings import KEYS, Key, Settings
from bot.config_image import MAX_PACKAGES as MAX_MEMBERS
from bot.config_tables import AgentConfig
from bot.errors import CommandFailed
from bot.gateway.hosts import BadHost, pattern

MAX_SERVER_BYTES: Final = 16 * 1024
MAX_SERVER_NAME_CHARS: Final = 60
THERE: Final = "{member} is among the {key} already."
NOT_THERE: Final = "{member} is not among the {key}; there {are}."
NO_JSON: Final = (
    'An MCP server is a JSON object as the provider takes it, such as {{"command": "uvx", "args": ["mcp-server-time"]}}'
    ' or {{"type": "http", "url": "https://..."}}: {why}.'
)
BAD_NAME: Final = 'The name of an MCP server has letters, digits, "-" and "_", at most {chars}.'


def set_to(key: Key, text: str) -> Edit:
    """The setting has the value that somebody has written. Raises CommandFailed."""
    value = agent_settings.parse(key, text)
    return lambda settings, _: agent_settings.put(settings, key, value)


def unset(key: Key) -> Edit:
    """The setting is what config.toml says again."""

    def edit(settings: Settings, _: AgentConfig) -> Settings:
        if not agent_settings.given(settings, key):
            raise CommandFailed(f"The setting {key.name} was not changed in the chat.")
        return agent_settings.drop(settings, key)

    return edit


def add(key: Key, member: Any, *, same: Callable[[Any], bool] | None = None) -> Edit:
    """The list has one more member; `same` tells one that is there already."""
    is_same = same or (lambda each: each == member)

    def edit(settings: Settings, agent: AgentConfig) -> Settings:
        found = agent_settings.value(agent, key)
        if any(map(is_same, found)):
            raise CommandFailed(THERE.format(member=_named(member), key=key.name))
        if len(found) >= MAX_MEMBERS:
            raise CommandFailed(f"There are {MAX_MEMBERS} {key.name}, as many as there may be.")
        return agent_settings.put(settings, key, [*found, member])

    return edit


def remove(key: Key, named: str, *, same: Callable[[Any], bool] | None = None) -> Edit:
    """The list lacks a member."""
    is_same = same or (lambda each: each == named)

    def edit(settings: Settings, agent: AgentConfig) -> Settings:
        found = agent_settings.value(agent, key)
        left = [each for each in found if not is_same(each)]
        if len(left) == len(found):
            raise CommandFailed(_not_there(named, key, found))
        return agent_settings.put(settings, key, left)

    return edit


def host(text: str) -> str:
    """The one form of a host of the allow-list. Raises CommandFailed."""
    try:
        return pattern(text.strip())
    except BadHost as exc:
        raise CommandFailed(
            f'"{text[:60]}" {exc}; give one such as api.github.com or *.example.org:8443.'
        ) from exc


def same_host(wanted: str) -> Callable[[Any], bool]:
    """Whether an entry of the list is that host, however it is written."""

    def same(found: Any) -> bool:
        try:
            return pattern(str(found)) == wanted
        except BadHost:
            return False

    return same


def same_package(wanted: str) -> Callable[[Any], bool]:
    """Whether an entry is that package, in whatever version."""
    name = wanted.partition("=")[0]
    return lambda found: str(found).partition("=")[0] == name


def add_server(name: str, text: str) -> Edit:
    """The agent has one more MCP server, or another one under this name. Raises CommandFailed."""
    if not name or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise CommandFailed(BAD_NAME.format(chars=MAX_SERVER_NAME_CHARS))
    if len(name) > MAX_SERVER_NAME_CHARS:
        raise CommandFailed(BAD_NAME.format(chars=MAX_SERVER_NAME_CHARS))
    config, key = _server(text), KEYS["mcp_servers"]

    def edit(settings: Settings, agent: AgentConfig) -> Settings:
        return agent_settings.put(settings, key, {**agent.mcp_servers, name: config})

    return edit


def remove_server(name: str) -> Edit:
    """The agent lacks one."""
    key = KEYS["mcp_servers"]

    def edit(settings: Settings, agent: AgentConfig) -> Settings:
        if name not in agent.mcp_servers:
            raise CommandFailed(_not_there(name, key, list(agent.mcp_servers)))
        left = {each: config for each, config in agent.mcp_servers.items() if each != name}
        return agent_settings.put(settings, key, left)

    return edit


def add_mount(source: str, target: str | None, *, writable: bool) -> Edit:
    """Its containers have one more folder of this machine."""
    mount: dict[str, Any] = {"source": source, "writable": writable}
    if target is not None:
        mount["target"] = target
    return add(KEYS["mounts"], mount, same=lambda found: found["source"] == source)


def remove_mount(source: str) -> Edit:
    """They lack one."""
    return remove(KEYS["mounts"], source, same=lambda found: found["source"] == source)


def _server(text: str) -> dict[str, Any]:
    """Raises CommandFailed; what was given is not repeated, as it may hold secrets."""
    if len(text.encode()) > MAX_SERVER_BYTES:
        raise CommandFailed(NO_JSON.format(why=f"this one is longer than {MAX_SERVER_BYTES // 1024} KiB"))
    try:
        found = json.loads(text)
    except ValueError as exc:
        where = (
            f"line {exc.lineno}, column {exc.colno}: {exc.msg}"
            if isinstance(exc, json.JSONDecodeError)
            else "?"
        )
        raise CommandFailed(NO_JSON.format(why=f"this is no JSON ({where})")) from None
    if not isinstance(found, dict):
        raise CommandFailed(NO_JSON.format(why="this is no object"))
    command, url = found.get("command"), found.get("url")
    if not isinstance(command, str) and not isinstance(url, str):
        raise CommandFailed(NO_JSON.format(why="it has neither a command nor a url"))
    for table in agent_settings.SECRET_TABLES & found.keys():
        named = found[table]
        if not isinstance(named, Mapping) or not all(isinstance(each, str) for each in named.values()):
            raise CommandFailed(NO_JSON.format(why=f"its {table} should be an object of texts"))
    return found


def _not_there(named: str, key: Key, found: list[Any]) -> str:
    there = ", ".join(_named(each) for each in found)
    return NOT_THERE.format(member=named[:80], key=key.name, are=f"are: {there}" if there else "are none")


def _named(member: Any) -> str:
    return str(member["source"] if isinstance(member, Mapping) else member)
