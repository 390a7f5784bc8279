"""Options that commands of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The configuration file; else ROOST_CONFIG, ./config.toml."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data for a program instead of text.")]


def not_empty(value: str) -> str:
    """Refuses nothing at all, which is what a script says whose own variable is empty."""
    if not value.strip():
        raise typer.BadParameter("It is empty.")
    return value
