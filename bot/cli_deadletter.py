"""`roost deadletter`: replies that could not be delivered, and what to do with them."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli_options import CommandLine, ConfigOption, JsonOption, not_empty
from bot.cli_registry import RegistryGroup
from bot.cli_service import ask, look, say_answer

Id = Annotated[
    str,
    typer.Argument(metavar="ID", callback=not_empty, help="The dead letter's id, or the beginning of it."),
]

deadletter_app = CommandLine(
    "Replies and notices that could not be delivered: look at them, send them again, or drop them.",
    RegistryGroup,
)


@deadletter_app.command("list")
def list_letters(
    session: Annotated[str, typer.Option("--session", metavar="ID", help="Of this session only.")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that were sent again or dropped.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What could not be delivered, the newest on top; also while no service runs."""
    given = {"session": session, "all": str(everything).lower(), "limit": str(limit)}
    say_answer(look(config, "deadletter", "list", given=given), as_json=as_json)


@deadletter_app.command("show")
def show(letter: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """All of one: what it says, its files, why it was not delivered, when and where; also while no service runs."""
    say_answer(look(config, "deadletter", "show", letter), as_json=as_json)


@deadletter_app.command("replay")
def replay(
    letter: Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id.")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Every one that is kept, the oldest first, 100 at a time.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a dead letter again, from the first part that was not sent. `show` says what became of it."""
    if bool(letter) == everything:
        raise typer.BadParameter("Give the id of one, or --all.")
    say_answer(ask(config, "deadletter", "replay", letter or "all"), as_json=as_json)


@deadletter_app.command("drop")
def drop(
    letter: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else only say what would be dropped.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let go of a dead letter for good, its content and its files."""
    given = {"yes": "true"} if yes else None
    say_answer(ask(config, "deadletter", "drop", letter, given=given), as_json=as_json)
