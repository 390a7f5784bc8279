"""The `roost` command."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated, Final

import typer

from agent.protocol import failpoint
from bot.cli_backup import backup_app
from bot.cli_deadletter import deadletter_app
from bot.cli_discord import discord_app
from bot.cli_image import image_app
from bot.cli_options import CommandLine, ConfigOption, JsonOption, not_empty
from bot.cli_registry import RegistryGroup
from bot.cli_schedule import schedule_app
from bot.cli_service import ask, look, opened, say, say_answer, settings
from bot.cli_slack import slack_app
from bot.errors import NotRunning, RoostError

EXIT_FAILED: Final = 1
EXIT_NOT_RUNNING: Final = 2
EXIT_NO_FAILPOINT: Final = 2
EXIT_INTERRUPTED: Final = 130
PARTS: Final = {
    "serve": "bot.serve:serve",
    "talk": "bot.talk:talk",
    "check agents": "bot.agent_check:check_agents",
    "plain": "adapters.terminal.text:plain",
    "show trace": "bot.trace_view:show",
    "version": "bot.version:VERSION",
}
"""What a command needs is opened when it runs: `roost version` must not load the whole service."""

app = CommandLine(
    "A self-hosted assistant: every conversation gets its own agent behind a wall.", RegistryGroup
)
config_app = CommandLine("Look at the configuration.")
app.add_typer(config_app, name="config")
app.add_typer(image_app, name="image")
app.add_typer(backup_app, name="backup")
app.add_typer(schedule_app, name="schedule")
app.add_typer(deadletter_app, name="deadletter")
app.add_typer(discord_app, name="discord")
app.add_typer(slack_app, name="slack")


def main() -> None:
    """Runs the command line; what was foreseen is one sentence on stderr and no traceback."""
    _stand_in_for_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if wrong := failpoint.mistake(os.environ.get(failpoint.VARIABLE)):
        _complain(wrong)
        sys.exit(EXIT_NO_FAILPOINT)
    try:
        app()
    except RoostError as exc:
        _complain(exc)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    finally:
        _write_out()


def _version(wanted: bool) -> None:
    if wanted:
        show_version()
        raise typer.Exit


@app.callback()
def roost(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Which Roost this is.")
    ] = False,
) -> None:
    """A self-hosted assistant: every conversation gets its own agent behind a wall."""


@app.command()
def run(
    config: ConfigOption = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="Leave the terminal alone and run until SIGTERM.")
    ] = False,
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="NAME", help="What answers this time, say claude.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="The model that it uses this time.")
    ] = None,
    model_url: Annotated[
        str | None,
        typer.Option(
            "--model-url", metavar="URL", help="The server of the model, if not the provider's own."
        ),
    ] = None,
    allow_unsandboxed: Annotated[
        bool,
        typer.Option(
            "--allow-unsandboxed", help="Let a provider with access to this machine run unisolated."
        ),
    ] = False,
) -> None:
    """Run the service. At a terminal it opens a chat; with other input it answers one message a line.

    --provider, --model and --model-url go before the configuration of the first agent, for this run.
    """
    options = {
        "--provider": provider,
        "--model": model,
        "--model-url": model_url,
        "--allow-unsandboxed": allow_unsandboxed,
    }
    raise typer.Exit(opened(PARTS["serve"])(settings(config, options), headless=headless))


@app.command()
def chat(
    config: ConfigOption = None,
    once: Annotated[
        str | None, typer.Option("--once", metavar="TEXT", help="Send one message, print the reply, leave.")
    ] = None,
    conversation: Annotated[
        str,
        typer.Option(
            "--conversation",
            callback=not_empty,
            help="Which conversation to sit down in; a new name starts one.",
        ),
    ] = "local",
) -> None:
    """Talk to the running service."""
    if once is not None:
        not_empty(once)
    try:
        raise typer.Exit(opened(PARTS["talk"])(settings(config), conversation=conversation, once=once))
    except NotRunning as exc:
        _complain(exc)
        raise typer.Exit(EXIT_NOT_RUNNING) from exc


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """How the running service is doing."""
    say_answer(ask(config, "status"), as_json=as_json)


@app.command()
def trace(
    message: Annotated[
        str,
        typer.Argument(
            metavar="MESSAGE", callback=not_empty, help="Its id, its event's, a reply's, or its number."
        ),
    ],
    session: Annotated[str, typer.Option("--session", metavar="ID", help="Whose number it is.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The way of one message, with times: accepted, answered, delivered; also while no service runs."""
    answer = look(config, "trace", message, *([session] if session else []))
    if as_json:
        say_answer(answer, as_json=True)
    else:
        opened(PARTS["show trace"])(answer.text)


@config_app.command("check")
def config_check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Whether the configuration can be used, and what it says."""
    found = settings(config)
    opened(PARTS["check agents"])(found)
    say(
        f"The configuration is fine. Data folder: {found.service.data_dir}",
        found.model_dump(mode="json"),
        as_json=as_json,
    )


@app.command("version")
def show_version(as_json: JsonOption = False) -> None:
    """Which Roost this is."""
    version = opened(PARTS["version"])
    say(f"Roost {version}", {"version": version}, as_json=as_json)


def _complain(error: object) -> None:
    typer.echo(f"roost: {opened(PARTS['plain'])(str(error))}", err=True)


def _stand_in_for_closed_streams() -> None:
    """The next file that is opened would get the number of a closed stream, and what is written there. Of the
    stand-ins standard output fails when it is written to, and standard error forgets."""
    for fd, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, flags)  # The lowest free number, which is this one.
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def _write_out() -> None:
    """Python writes what is left once more at its end, and complains when it cannot. That the reader has gone is
    nobody's fault."""
    try:
        sys.stdout.flush()
    except OSError as exc:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(exc, BrokenPipeError):
            _complain(f"Standard output cannot be written: {exc.strerror}.")
            sys.exit(EXIT_FAILED)
