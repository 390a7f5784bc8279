"""`roost image`: build what agents run in, and see whether it fits."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from bot.cli_options import CommandLine, ConfigOption, JsonOption
from bot.cli_service import opened, say_answer, settings

EXIT_FAILED: Final = 1
PARTS: Final = {
    "build": "bot.images:build_all",
    "check": "bot.images:check_all",
}

image_app = CommandLine("Build the image that agents run in, and see whether it fits.")


@image_app.command("build")
def build(
    base_from_debian: Annotated[
        bool,
        typer.Option(
            "--base-from-debian", help="Make the base with mmdebstrap, where nothing can be pulled."
        ),
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Use nothing that an earlier build has left.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the images of all agents; how far it is goes to standard error."""
    found = settings(config)
    say_answer(
        opened(PARTS["build"])(found, base_from_debian=base_from_debian, no_cache=no_cache, say=_progress),
        as_json=as_json,
    )


@image_app.command("check")
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Whether the images of all agents fit this Roost, and start; exits 1 when one does not."""
    told = opened(PARTS["check"])(settings(config))
    say_answer(told, as_json=as_json)
    if not told.fits:
        raise typer.Exit(EXIT_FAILED)


def _progress(line: str) -> None:
    typer.echo(line, err=True)
