"""`roost discord`: whether the bot is set up on Discord."""

from __future__ import annotations

from typing import Final

import typer

from bot.cli_options import CommandLine, ConfigOption, JsonOption
from bot.cli_service import opened, say_answer, settings

EXIT_FAILED: Final = 1
PARTS: Final = {"check": "bot.discord_check:check"}

discord_app = CommandLine("Set the bot up on Discord.")


@discord_app.callback()
def discord() -> None:
    """Set the bot up on Discord."""


@discord_app.command("check")
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Whether the bot is set up on Discord, what to do where it is not, and the link that invites it; exits 1 for a
    problem."""
    told = opened(PARTS["check"])(settings(config))
    say_answer(told, as_json=as_json)
    if not told.fits:
        raise typer.Exit(EXIT_FAILED)
