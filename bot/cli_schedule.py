"""`roost schedule`: have something done at a time, once or again and again."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from bot.cli_options import CommandLine, ConfigOption, JsonOption, not_empty
from bot.cli_registry import RegistryGroup
from bot.cli_service import ask, say_answer

Id = Annotated[
    str, typer.Argument(metavar="ID", callback=not_empty, help="The schedule's id, or the beginning of it.")
]

schedule_app = CommandLine("Have something done at a time, once or again and again.", RegistryGroup)


@schedule_app.command("create")
def create(
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", callback=not_empty, help="What the agent is told each time.")
    ],
    session: Annotated[
        str,
        typer.Option(
            "--session", metavar="ID", callback=not_empty, help="In which session; `roost session list`."
        ),
    ],
    when: Annotated[
        str,
        typer.Option(
            "--when",
            metavar="TIME",
            callback=not_empty,
            help='"every Monday at 8", "in 10 minutes", "0 8 * * 1".',
        ),
    ],
    timezone: Annotated[
        str, typer.Option("--timezone", metavar="ZONE", help="Such as Europe/Athens; else as configured.")
    ] = "",
    catch_up: Annotated[
        Literal["once", "skip", "all"], typer.Option("--catch-up", help="What to do about missed runs.")
    ] = "once",
    count: Annotated[int | None, typer.Option("--count", min=1, help="How often at most.")] = None,
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="Not after this.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Keep it; else only say what would be kept.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what would be kept and when it runs, or keep it with --yes."""
    given = {"prompt": prompt, "session": session, "when": when, "timezone": timezone, "until": until}
    given |= {"catch_up": catch_up, "yes": str(yes).lower()}
    if count is not None:
        given["count"] = str(count)
    say_answer(ask(config, "schedule", "create", given=given), as_json=as_json)


@schedule_app.command("list")
def list_schedules(
    session: Annotated[str, typer.Option("--session", metavar="ID", help="Of this session only.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The schedules that may still run, the next one on top."""
    say_answer(ask(config, "schedule", "list", given={"session": session}), as_json=as_json)


@schedule_app.command("show")
def show(schedule: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """One schedule: what, when, and what has become of it."""
    say_answer(ask(config, "schedule", "show", schedule), as_json=as_json)


@schedule_app.command("pause")
def pause(schedule: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Let a schedule rest; what it misses meanwhile is not run."""
    say_answer(ask(config, "schedule", "pause", schedule), as_json=as_json)


@schedule_app.command("resume")
def resume(schedule: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Let a paused schedule go on."""
    say_answer(ask(config, "schedule", "resume", schedule), as_json=as_json)


@schedule_app.command("run")
def run(schedule: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run a schedule once, now; its times stay as they are."""
    say_answer(ask(config, "schedule", "run", schedule), as_json=as_json)


@schedule_app.command("cancel")
def cancel(
    schedule: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else only say what would end.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what would end for good, or end it with --yes."""
    given = {"yes": str(yes).lower()}
    say_answer(ask(config, "schedule", "cancel", schedule, given=given), as_json=as_json)


@schedule_app.command("history")
def history(schedule: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The newest runs of a schedule."""
    say_answer(ask(config, "schedule", "history", schedule), as_json=as_json)
