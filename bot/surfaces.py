"""How a command is given on each surface, for texts that tell somebody which one to give. Pure."""

from __future__ import annotations

from typing import Final

CONTROL: Final = "control"
"""The command line on the service's own machine."""
_PREFIXES: Final = {CONTROL: "roost ", "terminal": "/"}
_ELSEWHERE: Final = "/roost "
"""Platforms have one command of ours, as they are shared with other bots."""


def spelled(channel: str, command: str) -> str:
    """The words of a command as one gives it there: "session list" is "/roost session list" on a platform."""
    return _PREFIXES.get(channel, _ELSEWHERE) + command


def option(channel: str, name: str) -> str:
    """What an option of a command is called there."""
    return f"--{name.replace('_', '-')}" if channel == CONTROL else name
