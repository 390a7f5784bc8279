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
