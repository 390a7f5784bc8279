"""The same administration session over the wire against Discord, against Slack, and by the command line: it comes to
the same in bot.db."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner

from adapters.offers import OptionInfo
from bot import cli
from bot.commands.offered import on_the_command_line
from tests.fakes.discord_server import DiscordServer
from tests.fakes.slack_server import SlackServer
from tests.service import admin_session, slack_town, town
from tests.service.admin_session import OTHER, PERSON, PLACE, SESSION
from tests.service.conftest import House

OPTIONS: Final[Mapping[str, Mapping[str, OptionInfo]]] = {
    spec.name: {each.name: each for each in spec.options}
    for info in on_the_command_line()
    for spec in info.specs
}
State = dict[str, list[Any]]


def new_house(root: Path) -> House:
    house = House(root)
    house.agents = {"helper": house.agent}
    return house


def state(house: House, channel: str, *, person: str, place: str, other: str) -> State:
    with closing(sqlite3.connect(house.data / "bot.db")) as db:
        return admin_session.state(db, channel=channel, person=person, place=place, other=other)


async def by_discord(root: Path) -> State:
    house = new_house(root)
    async with DiscordServer() as server:
        lab = town.Town(house, server)
        other = lab.lab.channel("other")
        things = {PERSON: lab.bob, PLACE: lab.general, OTHER: other}
        async with lab.open():
            await lab.until(lambda: list(server.commands.leaves(None)))
            for words, given in SESSION:
                typed = {name: _typed(words, name, things.get(value, value)) for name, value in given.items()}
                asked = lab.ada.command(words, lab.general, **typed)
                answer = await asked.answer()
                if answer.modal is not None:
                    # A long text that was left out can be entered; nobody does.
                    answer = await lab.ada.submit(asked, {}).answer()
                assert answer.ephemeral and not answer.text.startswith("You may not"), (words, answer.text)
        return state(house, "discord", person=str(lab.bob.id), place=str(lab.general.id), other=str(other.id))


def _typed(words: str, name: str, value: Any) -> Any:
    """As Discord's client hands it in."""
    kind = OPTIONS[words][name].kind
    if kind == "number":
        return int(value)
    return value == "true" if kind == "flag" else value


async def by_slack(root: Path) -> State:
    house = new_house(root)
    async with SlackServer() as server:
        lab = slack_town.Town(house, server)
        other = server.channel("other")
        other.join(lab.ada)
        names = {
            PERSON: f"<@{lab.bob.id}|bob>",
            PLACE: f"<#{lab.general.id}|general>",
            OTHER: f"<#{other.id}|other>",
        }
        async with lab.open():
            for words, given in SESSION:
                options = " ".join(
                    f"{name}={_quoted(names.get(value, value))}" for name, value in given.items()
                )
                answered = lab.ada.command(f"{words} {options}", lab.general)
                await lab.until(lambda sent=answered: sent.texts or sent.views)
                if answered.views:
                    filled = lab.ada.fill(answered, {})
                    await lab.until(lambda sent=answered, form=filled: sent.texts or form.texts)
                assert not answered.public
        return state(house, "slack", person=lab.bob.id, place=lab.general.id, other=other.id)


def _quoted(value: str) -> str:
    return f"'{value}'" if '"' in value else f'"{value}"'


async def by_command_line(root: Path) -> State:
    house = new_house(root)
    root.mkdir(parents=True)
    config = root / "config.toml"
    config.write_text(f'[service]\ndata_dir = "{house.data}"\n[agents.helper]\n')
    ids = {PERSON: "fake:u77", PLACE: "fake:p70", OTHER: "fake:p71"}
    async with house.open():
        for words, given in SESSION:
            arguments = [*words.split(), *_arguments(words, {n: ids.get(v, v) for n, v in given.items()})]
            done = await asyncio.to_thread(CliRunner().invoke, cli.app, [*arguments, "--config", str(config)])
            assert done.exit_code == 0, (arguments, done.output)
    return state(house, "fake", person="u77", place="p70", other="p71")


def _arguments(words: str, given: Mapping[str, str]) -> list[str]:
    needed = [given[name] for name, option in OPTIONS[words].items() if option.required]
    rest = {name: value for name, value in given.items() if not OPTIONS[words][name].required}
    named: list[str] = []
    for name, value in rest.items():
        flag = f"--{name.replace('_', '-')}"
        if OPTIONS[words][name].kind == "flag":
            named.append(flag if value == "true" else f"--no-{flag[2:]}")
        else:
            named += [flag, value]
    return [*needed, *named]


async def test_three_surfaces_come_to_the_same(tmp_path: Path) -> None:
    by_all = {
        "discord": await by_discord(tmp_path / "d"),
        "slack": await by_slack(tmp_path / "s"),
        "command line": await by_command_line(tmp_path / "c"),
    }
    first = by_all["command line"]
    assert len(first["audit"]) >= len(SESSION) and first["agents"] and first["wirings"] and first["roles"]
    for table in admin_session.TABLES:
        for surface, found in by_all.items():
            assert found[table] == first[table], (surface, table)
