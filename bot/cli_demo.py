"""A platform of this machine, to try the bot on without an account."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from bot.errors import CommandFailed

ROOT: Final = Path(__file__).parents[1]
NOT_HERE: Final = (
    "The {name} of this demo is part of Roost's source and not of an installed package:"
    " clone the repository, and there `make install` and `.venv/bin/roost {platform} demo`."
)

DemoConfig = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="<path>", help="Whose agents answer; without it the mock does."),
]


def play(module: str, config: Path | None, *, platform: str) -> None:
    """Becomes the demo that this module is. Raises CommandFailed where it is not installed."""
    if not (ROOT / Path(*module.split("."))).with_suffix(".py").is_file():
        raise CommandFailed(NOT_HERE.format(name=platform.capitalize(), platform=platform))
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    chosen = ["--config", str(config)] if config is not None else []
    # In the place of this process, so that the terminal and its signals are the demo's.
    command = [sys.executable, "-m", module, *chosen]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": path})  # noqa: S606  no shell is meant
