"""`roost discord check`: what the configuration wants of Discord, held against what is there."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from adapters import check_discord
from adapters.base import NoSecret
from adapters.checkup import Checkup, Finding, Named
from agent.protocol.messages import Route
from bot import commands, log
from bot.commands.registry import Registry
from bot.config import Config
from bot.errors import ConfigError
from bot.platforms import DISCORD, discord_token
from bot.wirings import Wirings

OFF: Final = "Discord is switched off: write enabled = true into [discord] of config.toml."
INVITE: Final = "Invite link: {link}"
WIDTHS: Final = (9, 13)
"""Of the columns before the sentence: its state, and what it is about."""


@dataclass(frozen=True)
class Told:
    """A text for people, and the same as data."""

    text: str
    data: Any
    fits: bool


def check(config: Config) -> Told:
    """Asks Discord, which takes 30 s at most. It needs no service, and does not disturb one."""
    # Else a warning, such as of a token that others can read, shows as a dictionary.
    log.setup("WARNING", "console")
    try:
        return _asked(config)
    finally:
        log.close()


def _asked(config: Config) -> Told:
    findings = [] if config.discord.enabled else [Finding("settings", "warning", OFF)]
    try:
        token = discord_token(config.discord, os.environ)()
    except (ConfigError, NoSecret) as exc:
        return _told(Checkup([*findings, Finding("token", "problem", f"{exc}.")]))
    # The library's remarks about its calls are no part of the answer; what becomes of these is.
    logging.getLogger(DISCORD).addHandler(logging.NullHandler())
    found = asyncio.run(
        check_discord(
            token,
            rest_url=config.discord.rest_url,
            gateway_url=config.discord.gateway_url,
            places=list(places(config)),
            infos=Registry[Any](None, commands.ALL).infos(),
            development_servers=config.discord.development_servers,
        )
    )
    return _told(Checkup([*findings, *found.findings], found.invite))


def places(config: Config) -> Iterator[Named]:
    """The places on Discord that the configuration names: those of wirings and destinations, each once."""
    wirings = Wirings.configured(config)
    seen: set[Route] = set()
    for where, route in _routes(config):
        if route not in seen:
            seen.add(route)
            yield Named(where, route, wirings.of(route).manners.threads)


def _routes(config: Config) -> Iterator[tuple[str, Route]]:
    for number, wiring in enumerate(config.wirings):
        if wiring.channel == DISCORD and wiring.place is not None:
            yield f"wirings[{number}].place", Route(channel=DISCORD, platform_id=wiring.place)
    for name, agent in config.agents.items():
        for number, each in enumerate(agent.destinations):
            if each.channel == DISCORD:
                yield f"[agents.{name}] destinations[{number}]", each.destination.route


def _told(found: Checkup) -> Told:
    state, about = WIDTHS
    lines = [f"{each.state:<{state}}{each.about:<{about}}{each.text}" for each in found.findings]
    if found.invite is not None:
        lines.append(INVITE.format(link=found.invite))
    fits = all(each.state != "problem" for each in found.findings)
    data = {"ok": fits, "findings": [asdict(each) for each in found.findings], "invite": found.invite}
    return Told("\n".join(lines), data, fits)
