"""`roost discord`: see whether the bot is set up, and try it without a Discord account."""

from __future__ import annotations

from typing import Final

import typer

from bot.cli_demo import DemoConfig, play
from bot.cli_options import CommandLine, ConfigOption, JsonOption
from bot.cli_service import opened, say_answer, settings

EXIT_FAILED: Final = 1
PARTS: Final = {"check": "bot.discord_check:check"}
DEMO: Final = "tests.fakes.discord_demo"

discord_app = CommandLine("See whether the bot is set up on Discord, and try it without.")


@discord_app.callback()
def discord() -> None:
    """See whether the bot is set up on Discord, and try it without."""


@discord_app.command("check")
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Whether the bot is set up on Discord, what to do where it is not, and the link that invites it.

    Asks Discord for 30 seconds at most and changes nothing there; exits 1 when there is a problem.
    """
    told = opened(PARTS["check"])(settings(config))
    say_answer(told, as_json=as_json)
    if not told.fits:
        raise typer.Exit(EXIT_FAILED)


@discord_app.command("demo")
def demo(config: DemoConfig = None) -> None:
    """Talk to the bot on a Discord of this machine, as two people; nothing leaves it.

    Piped input is read line by line; /help says what a line can be.
    """
    play(DEMO, config, platform="discord")
