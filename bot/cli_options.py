"""Options that commands of the command line share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

F = TypeVar("F", bound=Callable[..., Any])


class _Command(TyperCommand):
    """Its usage names what is needed without braces around it."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]


class CommandLine(typer.Typer):
    """A group of commands, all of which look the same."""

    def __init__(self, summary: str, group: type[TyperGroup] = TyperGroup) -> None:
        super().__init__(
            cls=group,
            help=summary,
            no_args_is_help=True,
            add_completion=False,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            context_settings={"help_option_names": ["-h", "--help"]},
        )

    def command(self, name: str | None = None, **rest: Any) -> Callable[[F], F]:
        return super().command(name, cls=_Command, **rest)


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
