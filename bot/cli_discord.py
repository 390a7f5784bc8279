"""`roost discord`: see whether the bot is set up, and try it without a Discord account."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from bot.cli_options import CommandLine, ConfigOption, JsonOption
from bot.cli_service import opened, say_answer, settings
from bot.errors import CommandFailed

EXIT_FAILED: Final = 1
PARTS: Final = {"check": "bot.discord_check:check"}
ROOT: Final = Path(__file__).parents[1]
DEMO: Final = "tests.fakes.discord_demo"
NOT_HERE: Final = (
    "The Discord of this demo is part of Roost's source and not of an installed package:"
    " clone the repository, and there `make install` and `.venv/bin/roost discord demo`."
)

DemoConfig = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="<path>", help="Whose agents answer; without it the mock does."),
]

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
    if not (ROOT / Path(*DEMO.split("."))).with_suffix(".py").is_file():
        raise CommandFailed(NOT_HERE)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    chosen = ["--config", str(config)] if config is not None else []
    # In the place of this process, so that the terminal and its signals are the demo's.
    command = [sys.executable, "-m", DEMO, *chosen]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": path})  # noqa: S606  no shell is meant
