"""`roost backup`: make backups, look at them, put one back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from bot.backup.errors import ArchiveRefused
from bot.cli_options import CommandLine, ConfigOption, JsonOption, not_empty
from bot.cli_registry import RegistryGroup
from bot.cli_service import opened, say, say_answer, settings

EXIT_FAILED: Final = 1
PARTS: Final = {
    "create": "bot.backup.offline:create",
    "list": "bot.backup.offline:listed",
    "verify": "bot.backup.offline:verify",
    "restore": "bot.backup.offline:restore",
}
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", callback=not_empty, help="A backup; `latest` is the newest in the folder."
    ),
]

backup_app = CommandLine("Make backups, look at them, and put one back.", RegistryGroup)


@backup_app.command("create")
def create(
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Where to; else as the configuration says.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a backup now, whether or not the service runs."""
    say_answer(opened(PARTS["create"])(settings(config), to), as_json=as_json)


@backup_app.command("list")
def list_backups(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The backups in the configured folder, the newest on top."""
    say_answer(opened(PARTS["list"])(settings(config)), as_json=as_json)


@backup_app.command("verify")
def verify(file: File, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Whether a backup is whole and could be put back. Needs room in the folder for temporary files."""
    try:
        reply = opened(PARTS["verify"])(settings(config), file)
    except ArchiveRefused as exc:
        if not as_json:
            raise
        say(str(exc), {"file": file, "whole": False, "error": str(exc)}, as_json=True)
        raise typer.Exit(EXIT_FAILED) from exc
    say_answer(reply, as_json=as_json)


@backup_app.command("restore")
def restore(
    file: File,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help="Where to; else into the data folder.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Move aside what lies there now; nothing of it is deleted.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in place of the data folder, while no service runs there."""
    say_answer(opened(PARTS["restore"])(settings(config), file, into, replace=yes), as_json=as_json)
