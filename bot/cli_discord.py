"""`roost discord`: try the bot without a Discord account."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from bot.cli_options import CommandLine, ConfigOption
from bot.errors import CommandFailed

ROOT: Final = Path(__file__).parents[1]
DEMO: Final = "tests.fakes.discord_demo"
NOT_HERE: Final = (
    "The Discord of this demo is part of Roost's source and not of an installed package:"
    " clone the repository, and there `make install` and `.venv/bin/roost discord demo`."
)

discord_app = CommandLine("Try the bot as it is on Discord.")


@discord_app.callback()
def discord() -> None:
    """Try the bot as it is on Discord."""


@discord_app.command("demo")
def demo(config: ConfigOption = None) -> None:
    """Talk to the bot on a Discord of this machine, as two people; nothing leaves it.

    Without --config the mock answers. Piped input is read line by line; /help says what a line can be.
    """
    if not (ROOT / Path(*DEMO.split("."))).with_suffix(".py").is_file():
        raise CommandFailed(NOT_HERE)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    chosen = ["--config", str(config)] if config is not None else []
    # In the place of this process, so that the terminal and its signals are the demo's.
    command = [sys.executable, "-m", DEMO, *chosen]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": path})  # noqa: S606  no shell is meant
