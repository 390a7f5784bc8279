"""How a command is given on each surface, for texts that tell somebody which one to give. Pure."""

from __future__ import annotations

from typing import Final

CONTROL: Final = "control"
"""The command line on the service's own machine."""
DISCORD: Final = "discord"
ALONE: Final = frozenset({"claim", "explain", "help", "model", "trace", "usage"})
"""Commands of one word that take something: what follows them is no part of a command's name. A test compares this with
the registry."""
_PREFIXES: Final = {CONTROL: "roost ", "terminal": "/"}
_ELSEWHERE: Final = "/roost "
"""Platforms have one command of ours, as they are shared with other bots."""


def spelled(channel: str, command: str) -> str:
    """The words of a command as one gives it there: "session list" is "/roost session list" on a platform. On Discord a
    group of commands is one of its own, "/roost-session list" (adapters/discord/layout.py)."""
    first, *more = command.split()
    if channel == DISCORD and more and first not in ALONE:
        return f"{_ELSEWHERE.strip()}-{command}"
    return _PREFIXES.get(channel, _ELSEWHERE) + command


def option(channel: str, name: str) -> str:
    """What an option of a command is called there."""
    return f"--{name.replace('_', '-')}" if channel == CONTROL else name
