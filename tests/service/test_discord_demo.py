"""`roost discord demo`: the playground with a bot of discord.py's in it, and the whole command with lines piped in."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import discord
import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route
from typer.testing import CliRunner

from bot import cli, cli_demo
from bot.errors import CommandFailed
from tests.fakes.discord_demo import ADAPTER
from tests.fakes.discord_playground import Playground
from tests.fakes.discord_server import DiscordServer

ROOT = Path(__file__).parents[2]
ROOST = str(Path(sys.executable).with_name("roost"))
TIMEOUT_SECONDS = 60
CONFIG = """
[backend]
kind = "process"

[pool]
size = 0

[[agents.assistant.provider_options.script]]
match = "a choice"
[[agents.assistant.provider_options.script.steps]]
do = "tool"
name = "ask_user_question"
arguments = {title = "Colour", question = "Which one?", options = ["red", "blue"]}
"""


class Echo(discord.Client):
    """A bot that does a little of everything."""

    def __init__(self) -> None:
        intents = discord.Intents.default()
        intents.message_content = True
        super().__init__(intents=intents, guild_ready_timeout=0.05)

    async def on_message(self, message: discord.Message) -> None:
        """Answers, then changes its answer, with buttons and a reaction."""
        if message.author == self.user:
            return
        answer = await message.reply("one")
        await answer.edit(content="one two")
        await message.add_reaction("👍")
        if message.content == "buttons":
            view = discord.ui.View(timeout=None)
            view.add_item(discord.ui.Button(label="Yes", custom_id="yes"))
            view.add_item(discord.ui.Button(label="Form", custom_id="form"))
            await message.channel.send("which?", view=view)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Answers to a button by a text for one person, or by a form."""
        data: Any = interaction.data or {}
        if interaction.type is discord.InteractionType.modal_submit:
            await interaction.response.send_message("filled in", ephemeral=True)
        elif data.get("custom_id") == "form":
            modal = discord.ui.Modal(title="About you", custom_id="about")
            modal.add_item(discord.ui.TextInput(label="Name", custom_id="name"))
            await interaction.response.send_modal(modal)
        else:
            await interaction.response.edit_message(content="yes it is", view=None)


@pytest.fixture
async def playground(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Playground, list[str]]]:
    said: list[str] = []
    async with DiscordServer() as server:
        found = Playground(server, said.append)
        monkeypatch.setattr(Route, "BASE", server.rest_url)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(server.gateway_url))
        client = Echo()
        tasks = [asyncio.create_task(client.start(server.token)), asyncio.create_task(found.watch())]
        await server.until(lambda: server.hub.live)
        try:
            yield found, said
        finally:
            await client.close()
            tasks[1].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_the_bot_does_is_seen_as_it_happens(playground: tuple[Playground, list[str]]) -> None:
    there, said = playground
    there.act("bob #random hello")
    await there.discord.until(lambda: "#random [1] 👍 by roost" in said)
    assert said == [
        "#random [1] bob: hello",
        "#random [2] roost (to 1): one",
        "#random [2] + two",
        "#random [1] 👍 by roost",
    ]
    assert there.prompt == "bob #random> "


async def test_people_do_what_people_do(playground: tuple[Playground, list[str]], tmp_path: Path) -> None:
    there, said = playground
    (tmp_path / "a.txt").write_text("abc")
    there.act(f"ada dm /file {tmp_path}/a.txt @bob look")
    await there.discord.until(lambda: "ada dm [1] 👍 by roost" in said)
    assert said[:2] == ["ada dm [1] ada: @bob look", "    file a.txt, 3 bytes"]
    for line in ("/react 2 🎉", "/unreact 2 🎉", "/edit changed", "/delete 1", "/thread #x", "#general"):
        there.act(line)
    assert "ada dm [2] 🎉 by ada" in said and "ada dm [2] no 🎉 by ada any more" in said
    assert "ada dm [1] = changed" in said and "ada dm [1] is gone" in said
    there.act("/thread plans")
    assert said[-1] == "t1 is a thread: plans in #general"
    assert there.act("/help") and not there.act("/quit")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/as eve", "! There is nobody called eve here, but ada and bob."),
        ("#nowhere hello", "! There is no #nowhere here; there are #general, #random, dm and threads."),
        ("/reply 9 hello", "! There is no such message."),
        ("/click 9", "! There is no button (9)."),
        ("/file /nowhere", "! /nowhere cannot be read: No such file or directory."),
        ("/fill x", "! No form was shown to ada."),
    ],
)
async def test_what_cannot_be_done_is_a_sentence(
    playground: tuple[Playground, list[str]], line: str, said: str
) -> None:
    there, lines = playground
    assert there.act(line)
    assert lines == [said]


async def test_buttons_and_forms(playground: tuple[Playground, list[str]]) -> None:
    there, said = playground
    there.act("ada #general buttons")
    await there.discord.until(lambda: "    (1) Yes   (2) Form" in said)
    there.act("/click 2")
    await there.discord.until(lambda: any("sees the form" in line for line in said))
    assert said[-1] == "ada sees the form 'About you': Name; /fill TEXT | TEXT"
    there.act("/fill Ada")
    await there.discord.until(lambda: any("filled in" in line for line in said))
    assert said[-1].endswith("roost (to 3) (only for ada): filled in")
    there.act("/click 1")
    await there.discord.until(lambda: "    no more buttons" in said)
    assert any(line.endswith("= yes it is") for line in said)


async def test_a_cut_loses_nothing(playground: tuple[Playground, list[str]]) -> None:
    there, said = playground
    there.act("/cut")
    there.act("ada #general hello")
    await there.discord.until(lambda: "#general [1] 👍 by roost" in said)


@pytest.mark.skipif(
    importlib.util.find_spec(ADAPTER) is None, reason="there is no Discord adapter in this Roost yet"
)
def test_lines_are_piped_in_and_answered_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    lines = [
        "ada #general @roost hello",
        "bob dm a choice",
        "/click 2",
        "/run roost status",
        "/cut",
        "ada dm bye",
    ]
    done = subprocess.run(
        [ROOST, "discord", "demo", "--config", "config.toml"],
        cwd=tmp_path,
        # The code beside this file, wherever the command was installed from.
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    said = done.stdout.splitlines()
    assert [line[2:] for line in said if line.startswith("> ")] == lines
    after = {line: said[said.index(f"> {line}") :] for line in lines}
    assert "t1 is a thread: hello in #general" in after[lines[0]]
    assert any(re.fullmatch(r"t1 \[\d+\] roost.*: You said: hello", line) for line in said)
    assert "    (1) red   (2) blue" in after[lines[1]]
    assert "    no more buttons" in after[lines[2]]
    assert any("(only for bob): Roost" in line for line in after[lines[3]])
    assert any(line.startswith("ada dm") and "You said: bye" in line for line in after[lines[5]])
    assert not [line for line in said if line.startswith("!")]


def test_without_the_source_there_is_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_demo, "ROOT", tmp_path)
    done = CliRunner().invoke(cli.app, ["discord", "demo"])
    assert isinstance(done.exception, CommandFailed)
    assert str(done.exception) == cli_demo.NOT_HERE.format(name="Discord", platform="discord")
