"""`roost slack`: make the app's manifest, see whether the bot is set up, and try it without a Slack workspace."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from bot.cli_demo import DemoConfig, play
from bot.cli_options import CommandLine, ConfigOption, JsonOption
from bot.cli_service import opened, say_answer, settings

EXIT_FAILED: Final = 1
PARTS: Final = {"check": "bot.slack_check:check", "manifest": "bot.slack_manifest:manifest"}
DEMO: Final = "tests.fakes.slack_demo"

NameOption = Annotated[str, typer.Option("--name", metavar="<name>", help="What the app is called on Slack.")]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="<url>",
        help='Where Slack reaches Roost, for mode = "http": https://, the host, and the path of [slack].',
    ),
]

slack_app = CommandLine("Make the app for Slack, see whether the bot is set up there, and try it without.")


@slack_app.callback()
def slack() -> None:
    """Make the app for Slack, see whether the bot is set up there, and try it without."""


@slack_app.command("manifest")
def manifest(name: NameOption = "Roost", url: UrlOption = None, config: ConfigOption = None) -> None:
    """The manifest from which Slack makes the app, as JSON, and on standard error what to do with it.

    It has all that Roost needs, and changes with [slack] of the configuration.
    """
    made = opened(PARTS["manifest"])(settings(config), name=name, url=url)
    typer.echo(made.text)
    typer.echo(made.steps, err=True)


@slack_app.command("check")
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Whether the bot is set up on Slack, and what to do where it is not.

    Asks Slack for 30 seconds at most and changes nothing there; exits 1 when there is a problem.
    """
    told = opened(PARTS["check"])(settings(config))
    say_answer(told, as_json=as_json)
    if not told.fits:
        raise typer.Exit(EXIT_FAILED)


@slack_app.command("demo")
def demo(config: DemoConfig = None) -> None:
    """Talk to the bot on a Slack of this machine, as two people; nothing leaves it.

    Piped input is read line by line; /help says what a line can be.
    """
    play(DEMO, config, platform="slack")
