"""What an agent asks an admin for: in one sentence, with everything that would be done, and as an effect that can be
carried out later. Nothing here has any effect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ValidationError

from adapters.text import escaped, without_mass_mentions
from agent.protocol.messages import Destination, Route
from agent.protocol.requests import (
    AddMcpServer,
    CreateAgent,
    InstallPackages,
    RequestDestination,
    RequestHost,
    RequestMount,
)
from bot import agent_edits
from bot.approvals import APPROVE
from bot.commands import refs
from bot.config_image import AgentImageConfig
from bot.config_tables import AgentConfig
from bot.destinations import AGENT_CHANNEL
from bot.errors import CommandFailed
from bot.gateway import hosts
from bot.gateway.addresses import forbidden
from bot.screening import one_line, screened, visible
from bot.striking import struck

ONCE: Final = "Once"
THIS_SESSION: Final = "This session"
THIS_AGENT: Final = "This agent"
WEB_PORTS: Final = (443, 80)
SHOWN_CHARS: Final = 1_500
"""Of what an agent wrote itself; the rest is told of, and `approval show` has it."""
_BASE: Final = re.compile(r"[A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Wanted:
    """For `approvals.ask`; the texts are fit to be shown."""

    kind: str
    summary: str
    details: str
    effect: Mapping[str, Any]
    choices: Sequence[str] = (APPROVE,)
    level: Literal["admin", "owner"] = "admin"


def packages(asked: InstallPackages, name: str, agent: AgentConfig) -> Wanted:
    """Raises CommandFailed for what is no package, or there already."""
    after = with_packages(agent.image, asked.apt, asked.pip)
    new = [*_new(agent.image.apt, after.apt), *_new(agent.image.pip, after.pip)]
    if not new:
        raise CommandFailed("These packages are in your image already.")
    lines = [*_diff("apt", agent.image.apt, after.apt), *_diff("pip", agent.image.pip, after.pip)]
    return Wanted(
        "install_packages",
        f"{name} asks for packages: {', '.join(new)}.",
        _with_reason(
            asked.reason,
            f"{_block(lines, 'diff')}\nThe image of {name} is built anew, for all of its conversations.",
        ),
        {"apt": asked.apt, "pip": asked.pip},
    )


def with_packages(image: AgentImageConfig, apt: Sequence[str], pip: Sequence[str]) -> AgentImageConfig:
    """The image with these besides, each in the place of another version of itself. Raises CommandFailed."""
    try:
        return AgentImageConfig.model_validate(
            {"apt": _merged(image.apt, apt), "pip": _merged(image.pip, pip)}
        )
    except ValidationError as exc:
        error = exc.errors(include_input=True, include_url=False)[0]
        given = "" if isinstance(error["input"], list) else f' "{str(error["input"])[:80]}"'
        why = error["msg"].removeprefix("Value error, ")
        raise CommandFailed(f"{error['loc'][0]}{given}: {why}.") from exc


def server(asked: AddMcpServer, name: str, agent: AgentConfig) -> Wanted:
    """Raises CommandFailed when it is there already, or could not be."""
    agent_edits.add_server(asked.name, json.dumps(asked.config))
    before = agent.mcp_servers.get(asked.name)
    if before == asked.config:
        raise CommandFailed(f"You have the server {asked.name} already, with these settings.")
    shown = visible(json.dumps(struck(asked.config), indent=2, ensure_ascii=False))
    instead = "" if before is None else f"\nIt takes the place of the server {asked.name} that there is."
    return Wanted(
        "add_mcp_server",
        f"{name} asks for the MCP server {asked.name}.",
        _with_reason(asked.reason, f"{_block(_cut(shown).splitlines(), 'json')}{instead}"),
        {"name": asked.name, "config": asked.config},
    )


def new_agent(asked: CreateAgent, name: str, known: Collection[str]) -> Wanted:
    """Raises CommandFailed when there is one of this name."""
    if asked.name in known:
        raise CommandFailed(
            f"There is an agent {asked.name} already; ask to write to it, or choose another name."
        )
    model = "" if asked.model is None else f"\nModel: `{_code(asked.model)}`"
    text = _block(_cut(visible(screened(asked.instructions))).splitlines())
    return Wanted(
        "create_agent",
        f"{name} asks for a new agent, {asked.name}, that the two can write to each other.",
        _with_reason(asked.reason, f"Its instructions:\n{text}{model}"),
        {"name": asked.name, "instructions": asked.instructions, "model": asked.model},
        level="owner",
    )


def host(asked: RequestHost, name: str) -> Wanted:
    """Raises CommandFailed for what names no host of the public internet."""
    ports = sorted(set(asked.ports or WEB_PORTS))
    try:
        pattern, _, _ = hosts.pattern(f"{asked.host}:{ports[0]}").rpartition(":")
        bare = hosts.parse(f"{pattern.removeprefix('*.')}:{ports[0]}")
    except hosts.BadHost as exc:
        raise CommandFailed(f'"{asked.host[:80]}" {exc}.') from exc
    if bare.literal and (why := forbidden(bare.name)):
        raise CommandFailed(
            f"{asked.host[:80]} is not in the public internet ({why}): nobody can let you there."
        )
    shown = ", ".join(str(port) for port in ports)
    below = "\nThat is every host below this name." if pattern.startswith("*.") else ""
    return Wanted(
        "request_host",
        f"{name} asks to reach {pattern}.",
        _with_reason(asked.reason, f"Host: `{pattern}`\nPorts: {shown}{below}"),
        {"host": pattern, "ports": ports},
        choices=(ONCE, THIS_SESSION, THIS_AGENT),
    )


def mount(asked: RequestMount, name: str) -> Wanted:
    """Raises CommandFailed for what is no folder's path."""
    if not asked.source.startswith("/") or "\0" in asked.source:
        raise CommandFailed("Name the folder by its whole path, from / on.")
    how = "writable" if asked.writable else "read-only"
    effect = {"source": asked.source, "target": asked.target, "writable": asked.writable}
    target = f"`{_code(asked.target)}`" if asked.target else "`/mnt` and its own name"
    return Wanted(
        "request_mount",
        f"{name} asks for a folder of this machine, {how}: {quoted(asked.source)}",
        _with_reason(asked.reason, f"Folder: `{_code(asked.source)}`, {how}\nIn its containers: {target}"),
        effect,
        level="owner",
    )


def destination(
    asked: RequestDestination,
    name: str,
    home: Route,
    *,
    agents: Collection[str],
    channels: Collection[str],
    has: Sequence[Destination],
) -> Wanted:
    """Raises CommandFailed for what names no place, or one that it may write to."""
    route = _place(asked.place, name, home, agents=agents, channels=channels)
    for each in has:
        if each.route == route:
            raise CommandFailed(f"You may write there already: it is your destination {each.name}.")
        if each.name == asked.name:
            raise CommandFailed(f"You have another destination {asked.name}; choose another name.")
    where = place_in_words(route, near=home)
    return Wanted(
        "request_destination",
        f"{name} asks to write to {where}.",
        _with_reason(
            asked.reason, f"It would call it `{asked.name}`, and may write there in all conversations."
        ),
        {"name": asked.name, "channel": route.channel, "platform_id": route.platform_id},
    )


def command(
    name: str, reason: str, spelled: str, effect: Mapping[str, Any], *, place: str, owner: bool
) -> Wanted:
    """A command that is there and whose arguments fit; `spelled` is the whole of it, `place` where it is given."""
    return Wanted(
        "run_command",
        f"{name} asks for the command {effect['command']}.",
        _with_reason(
            reason,
            f"{_block(_cut(visible(screened(spelled))).splitlines())}\nIt is given in {place}, in the name of"
            " whoever allows it.",
        ),
        effect,
        level="owner" if owner else "admin",
    )


def quoted(text: str) -> str:
    """What somebody else wrote, for a sentence of ours: one line, without markup, with nothing in it that is not seen,
    and it calls nobody."""
    return without_mass_mentions(escaped(visible(one_line(screened(text)))))


def place_in_words(route: Route, *, near: Route) -> str:
    """A place for people who read it in the channel of `near`."""
    if route.channel == AGENT_CHANNEL:
        return f"the agent {route.platform_id}"
    if route.channel == near.channel and route.channel in ("discord", "slack"):
        return f"<#{route.platform_id}>"
    return f"{route.channel}:{route.platform_id}"


def _place(text: str, name: str, home: Route, *, agents: Collection[str], channels: Collection[str]) -> Route:
    kind, _, agent = text.partition(":")
    if kind == AGENT_CHANNEL:
        if agent == name:
            raise CommandFailed("That is you yourself.")
        if agent not in agents:
            raise CommandFailed(f"There is no agent {agent[:80]}.")
        return Route(channel=AGENT_CHANNEL, platform_id=agent)
    found = refs.parse(text, "place", channel=home.channel, known=set(channels))
    return Route(channel=found.channel, platform_id=found.id)


def _merged(before: Sequence[str], more: Sequence[str]) -> list[str]:
    named = {_base(each): each for each in before}
    named.update({_base(each): each for each in more})
    return list(named.values())


def _base(package: str) -> str:
    found = _BASE.match(package)
    return (found[0] if found else package).lower()


def _new(before: Sequence[str], after: Sequence[str]) -> list[str]:
    return [each for each in after if each not in before]


def _diff(kind: str, before: Sequence[str], after: Sequence[str]) -> list[str]:
    kept = [f"  {kind} {each}" for each in before if each in after]
    gone = [f"- {kind} {each}" for each in before if each not in after]
    return [*kept, *gone, *(f"+ {kind} {each}" for each in _new(before, after))]


def _with_reason(reason: str, details: str) -> str:
    """What an agent gives as its reason is a quotation, and cannot pass for a line of ours."""
    return f"> {quoted(reason)}\n\n{details}"


def _block(lines: Sequence[str], language: str = "") -> str:
    body = "\n".join(lines).replace("```", "'''")
    return f"```{language}\n{body}\n```"


def _code(text: str) -> str:
    return visible(one_line(screened(text))).replace("`", "'")


def _cut(text: str) -> str:
    if len(text) <= SHOWN_CHARS:
        return text
    return (
        f"{text[:SHOWN_CHARS]}\n… and {len(text) - SHOWN_CHARS:,} more characters, which `approval show` has"
    )
