"""Commands about what an agent is given: hosts that it may reach, packages, MCP servers, folders of this machine."""

from __future__ import annotations

import json
import sqlite3
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from bot import agent_edits, agent_settings
from bot.agent_settings import KEYS, Key
from bot.commands.agent_names import Named, about, existing
from bot.commands.agent_set import change
from bot.commands.context import Context
from bot.commands.options import Long
from bot.commands.registry import Command, Invocation, Reply, Scope
from bot.db import audit
from bot.db import egress as egress_rows
from bot.db.cards import Option
from bot.errors import CommandFailed

Action = Literal["list", "add", "remove"]
ACTION: Final = "whether to list, add or remove"


class Egress(Named):
    """A host that an agent may reach."""

    action: Action = Field("list", description=ACTION)
    host: str = Field("", max_length=300, description="such as api.github.com or *.example.org:8443")


class Packages(Named):
    """A package of its image."""

    action: Action = Field("list", description=ACTION)
    kind: Literal["apt", "pip"] = Field("apt", description="one of Debian's, or one of Python's")
    package: str = Field("", max_length=200, description="its name, with or without a version: pandas==2.3.0")


class Mcp(Named):
    """An MCP server."""

    rest: ClassVar[str | None] = "definition"

    action: Action = Field("list", description=ACTION)
    server: str = Field("", max_length=100, description="its name")
    definition: Annotated[str, Long()] = Field(
        "", max_length=20_000, description="how it is started or reached, as JSON"
    )


class MountFolder(Named):
    """A folder of this machine."""

    action: Action = Field("list", description=ACTION)
    folder: str = Field("", max_length=1000, description="its path, which the list of [mounts] has to allow")
    target: str = Field("", max_length=200, description="where the agent finds it; else /mnt and its name")
    writable: bool = Field(False, description="whether the agent may write there")


async def egress(context: Context, invocation: Invocation, given: Egress) -> Reply:
    """The hosts that an agent may reach besides its model."""
    key = KEYS["hosts"]
    if given.action == "list":
        return await _hosts(context, invocation, given.name)
    host = agent_edits.host(_needed(given.host, "host"))
    same = agent_edits.same_host(host)
    edit = (
        agent_edits.add(key, host, same=same)
        if given.action == "add"
        else agent_edits.remove(key, host, same=same)
    )
    if given.action == "remove" and (gone := await _revoked(context, invocation, given.name, host)):
        return gone
    reply = await change(context, invocation, given.name, key, edit, "agent egress")
    return _undone(reply, "agent egress", given.name, given.action, {"host": host})


async def packages(context: Context, invocation: Invocation, given: Packages) -> Reply:
    """What only this agent has in its image."""
    if given.action == "list":
        return _listed(context, invocation, given.name, [KEYS["apt"], KEYS["pip"]])
    key, package = KEYS[given.kind], _needed(given.package, "package")
    same = agent_edits.same_package(package)
    edit = (
        agent_edits.add(key, package, same=same)
        if given.action == "add"
        else agent_edits.remove(key, package, same=same)
    )
    reply = await change(context, invocation, given.name, key, edit, "agent packages")
    fields = {"kind": given.kind, "package": package}
    return _undone(reply, "agent packages", given.name, given.action, fields)


async def mcp(context: Context, invocation: Invocation, given: Mcp) -> Reply:
    """The MCP servers of an agent; what stands in their environment is never shown."""
    if given.action == "list":
        return _servers(context, invocation, given.name)
    name = _needed(given.server, "server")
    edit = (
        agent_edits.add_server(name, _needed(given.definition, "definition"))
        if given.action == "add"
        else agent_edits.remove_server(name)
    )
    return await change(context, invocation, given.name, KEYS["mcp_servers"], edit, "agent mcp")


async def mount(context: Context, invocation: Invocation, given: MountFolder) -> Reply:
    """Folders of this machine that its containers have."""
    key = KEYS["mounts"]
    if given.action == "list":
        return _listed(context, invocation, given.name, [key])
    folder = _needed(given.folder, "folder")
    if not folder.startswith("/"):
        raise CommandFailed("Give the whole path of the folder, from / on.")
    edit = (
        agent_edits.add_mount(folder, given.target or None, writable=given.writable)
        if given.action == "add"
        else agent_edits.remove_mount(folder)
    )
    reply = await change(context, invocation, given.name, key, edit, "agent mount")
    fields = {"folder": folder, "target": given.target, "writable": str(given.writable).lower()}
    return _undone(reply, "agent mount", given.name, given.action, fields) if given.action == "add" else reply


async def _hosts(context: Context, invocation: Invocation, name: str) -> Reply:
    """Those of the agent, and what single sessions of it were granted."""
    now = context.clock()
    granted = await context.db.read(lambda db: egress_rows.listed(db, name, now=now))
    reply = _listed(context, invocation, name, [KEYS["hosts"]])
    lines = [
        f"{', '.join(each.patterns)}: {'once ' if each.once else ''}for the session {each.session or 'of any'}"
        for each in granted
    ]
    data = [{"hosts": each.patterns, "session": each.session, "once": each.once} for each in granted]
    return Reply("\n".join([reply.text, *lines]), {**reply.data, "granted": data})


async def _revoked(context: Context, invocation: Invocation, name: str, host: str) -> Reply | None:
    """What single sessions were granted of a host that the agent as a whole has not; None: nothing, or it has."""
    agent, now = existing(context, invocation, name), context.clock()
    if any(map(agent_edits.same_host(host), agent.gateway.hosts)):
        return None

    def work(db: sqlite3.Connection) -> int:
        count = egress_rows.revoke(db, name, host.rpartition(":")[0])
        if count:
            audit.record(
                db, invocation.by, "agent egress", f"agent:{name}", now=now, agent=name,
                before={"hosts": [host], "sessions": count},
            )  # fmt: skip
        return count

    count = await context.db.write(work)
    if not count:
        return None
    return Reply(f"No conversation of {name} may reach {host} any more.", {"agent": name, "revoked": count})


def _needed(text: str, option: str) -> str:
    """Raises CommandFailed."""
    if not text.strip():
        raise CommandFailed(f"Say which, with the option {option}.")
    return text.strip()


def _listed(context: Context, invocation: Invocation, name: str, keys: list[Key]) -> Reply:
    agent = existing(context, invocation, name)
    found = {key.name: agent_settings.public(key, agent_settings.value(agent, key)) for key in keys}
    lines = [f"{key.name}: {agent_settings.said(key, found[key.name])}" for key in keys]
    return Reply("\n".join(lines), {"agent": name, **found})


def _servers(context: Context, invocation: Invocation, name: str) -> Reply:
    agent = existing(context, invocation, name)
    found = {each: agent_settings.server(config) for each, config in agent.mcp_servers.items()}
    lines = [f"{each}: {json.dumps(config, ensure_ascii=False)}" for each, config in found.items()]
    return Reply("\n".join(lines) or f"{name} has no MCP servers.", {"agent": name, "mcp_servers": found})


def _undone(reply: Reply, command: str, name: str, action: Action, fields: dict[str, str]) -> Reply:
    """With the button that does the opposite."""
    opposite = {"add": "remove", "remove": "add"}[action]
    arguments = {"name": name, "action": opposite, **{key: each for key, each in fields.items() if each}}
    return Reply(reply.text, reply.data, [Option("Undo", command, arguments)])


async def about_mount(_: Context, __: Invocation, given: MountFolder) -> Scope:
    """What of this machine an agent sees is its owner's business."""
    return Scope(given.name, None if given.action == "list" else "owner")


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "agent egress",
        "hosts that an agent may reach: list, add, remove",
        Egress,
        egress,
        level="admin",
        about=about,
        changes=True,
    ),
    Command(
        "agent packages",
        "packages that an agent has: list, add, remove",
        Packages,
        packages,
        level="admin",
        about=about,
        changes=True,
    ),
    Command(
        "agent mcp",
        "an agent's MCP servers: list, add, remove",
        Mcp,
        mcp,
        level="admin",
        about=about,
        changes=True,
    ),
    Command(
        "agent mount",
        "folders of this machine for an agent: list, add, remove",
        MountFolder,
        mount,
        level="admin",
        about=about_mount,
        changes=True,
    ),
)
