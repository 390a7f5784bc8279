"""What a check of a platform has found, told to whoever asked on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from adapters.checkup import Checkup, Named
from agent.protocol.messages import Route
from bot import engage, log
from bot.config import Config
from bot.wirings import Wirings

INVITE: Final = "Invite link: {link}"
WIDTHS: Final = (9, 13)
"""Of the columns before the sentence: its state, and what it is about."""


@dataclass(frozen=True)
class Told:
    """A text for people, and the same as data."""

    text: str
    data: Any
    fits: bool


@contextmanager
def on_console() -> Iterator[None]:
    """What is logged meanwhile is for people: else a warning, such as of a token that others can read, shows as a
    dictionary."""
    log.setup("WARNING", "console")
    try:
        yield
    finally:
        log.close()


def places(config: Config, channel: str) -> Iterator[Named]:
    """The places on a platform that the configuration names: those of wirings and destinations, each once."""
    wirings = Wirings.configured(config)
    seen: set[Route] = set()
    for where, route in _routes(config, channel):
        if route not in seen:
            seen.add(route)
            yield Named(where, route, engage.together(wirings.at(route)).threads)


def told(found: Checkup) -> Told:
    """A line for each finding, and the link that brings the bot there, where there is one."""
    state, about = WIDTHS
    lines = [f"{each.state:<{state}}{each.about:<{about}}{each.text}" for each in found.findings]
    if found.invite is not None:
        lines.append(INVITE.format(link=found.invite))
    fits = all(each.state != "problem" for each in found.findings)
    data = {"ok": fits, "findings": [asdict(each) for each in found.findings], "invite": found.invite}
    return Told("\n".join(lines), data, fits)


def _routes(config: Config, channel: str) -> Iterator[tuple[str, Route]]:
    for number, wiring in enumerate(config.wirings):
        if wiring.channel == channel and wiring.place is not None:
            yield f"wirings[{number}].place", Route(channel=channel, platform_id=wiring.place)
    for name, agent in config.agents.items():
        for number, each in enumerate(agent.destinations):
            if each.channel == channel:
                yield f"[agents.{name}] destinations[{number}]", each.destination.route
