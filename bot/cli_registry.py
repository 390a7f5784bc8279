"""The commands of the registry on the command line: each that needs no place, and has no better form of its own here.

They are made when somebody asks for one: listing them takes a few hundredths of a second, `roost version` nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from bot.cli_options import CommandLine, ConfigOption, JsonOption, not_empty
from bot.cli_service import ask, look, opened, say_answer

if TYPE_CHECKING:
    from adapters.offers import CommandInfo, CommandSpec, OptionInfo

PARTS: Final = {
    "first words": "bot.commands.offered:first_words",
    "offered": "bot.commands.offered:on_the_command_line",
    "groups": "bot.commands.groups:GROUPS",
    "readable": "bot.records:READABLE",
}

FURTHER: Final = "further_"
"""No option of a command is called so."""


class RegistryGroup(TyperGroup):
    """A group of the command line that has the registry's commands of its name as well; the root has its groups."""

    def list_commands(self, ctx: Any) -> list[str]:
        own = super().list_commands(ctx)
        more = opened(PARTS["first words"])() if ctx.parent is None else self._within()
        return [*own, *(name for name in more if name not in own)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            return found
        return _named_so(cmd_name) if ctx.parent is None else self._within().get(cmd_name)

    def _within(self) -> Mapping[str, Any]:
        made = None if self.name is None else _named_so(self.name)
        return made.commands if isinstance(made, TyperGroup) else {}


def _named_so(first: str) -> TyperCommand | TyperGroup | None:
    """What the registry has of this first word. Nothing else is made: each takes some milliseconds."""
    infos: Sequence[CommandInfo] = opened(PARTS["offered"])(first)
    return _made(infos[0]) if infos else None


def _made(info: CommandInfo) -> TyperCommand | TyperGroup:
    """A command of one word, or the group of those that begin with it."""
    app = CommandLine(opened(PARTS["groups"]).get(info.name, info.summary))
    for spec in info.specs:
        summary = f"{spec.summary[:1].upper()}{spec.summary[1:]}."
        app.command(spec.name.split()[-1], help=summary)(_function(spec))
    if any(" " in spec.name for spec in info.specs):
        # One command alone would become the group.
        app.callback()(lambda: None)
    made = get_command(app)
    made.name = info.name
    assert isinstance(made, TyperCommand | TyperGroup)  # noqa: S101 - Typer makes nothing else
    return made


def _function(spec: CommandSpec) -> Callable[..., None]:
    """What Typer makes a command of: it looks at the signature."""

    def run(**given: Any) -> None:
        config, as_json = given.pop("config"), given.pop("as_json")
        further = given.pop(FURTHER, None) or []
        # What stands in its order may be an option as well: only the command itself knows which, by their count.
        words = [given.pop(each.name) for each in spec.options if each.required] if further else []
        asked = look if spec.name in opened(PARTS["readable"]) else ask
        told = asked(config, *spec.name.split(), *words, *further, given=_given(spec, given))
        say_answer(told, as_json=as_json)

    parameters = [
        *(_parameter(option) for option in spec.options),
        *_further(spec),
        _named("config", ConfigOption, None),
        _named("as_json", JsonOption, False),
    ]
    parameters.sort(key=lambda each: each.default is not inspect.Parameter.empty)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _further(spec: CommandSpec) -> Sequence[inspect.Parameter]:
    """Options may stand in their order here as on every other surface: an undo hint is typed as it is shown."""
    if not spec.options or any(option.rest and option.required for option in spec.options):
        return ()
    argument = typer.Argument(metavar="OPTION", hidden=True, callback=_filled)
    return (_named(FURTHER, Annotated[list[str] | None, argument], None),)


def _given(spec: CommandSpec, given: Mapping[str, Any]) -> dict[str, str]:
    """Only what somebody has given: what was left out is the command's to decide."""
    three_way = {option.name for option in spec.options if option.three_way}
    found: dict[str, str] = {}
    for name, value in given.items():
        if value is None or value == [] or (value is False and name not in three_way):
            continue
        written = str(value).lower() if isinstance(value, bool) else str(value)
        found[name] = " ".join(value) if isinstance(value, list) else written
    return found


def _parameter(option: OptionInfo) -> inspect.Parameter:
    kind = _kind(option)
    if option.required:
        argument = typer.Argument(metavar=option.name.upper(), help=_sentence(option), callback=_filled)
        return _named(
            option.name, Annotated[list[str] if option.rest else kind, argument], inspect.Parameter.empty
        )
    flag = f"--{option.name.replace('_', '-')}"
    if option.three_way:
        both = typer.Option(f"{flag}/--no-{flag[2:]}", help=_sentence(option))
        return _named(option.name, Annotated[bool | None, both], None)
    if option.kind == "flag":
        return _named(option.name, Annotated[bool, typer.Option(flag, help=_sentence(option))], False)
    metavar = None if option.choices else "N" if option.kind == "number" else option.kind.upper()
    shown = typer.Option(flag, metavar=metavar, help=_sentence(option))
    return _named(option.name, Annotated[kind | None, shown], None)


def _kind(option: OptionInfo) -> Any:
    if option.choices:
        return Literal[tuple(option.choices)]
    return int if option.kind == "number" else str


def _sentence(option: OptionInfo) -> str:
    return f"{option.summary[:1].upper()}{option.summary[1:]}."


def _filled(value: Any) -> Any:
    """A script whose own variable is empty says nothing at all."""
    for each in value if isinstance(value, list | tuple) else [value]:
        if isinstance(each, str):
            not_empty(each)
    return value


def _named(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
