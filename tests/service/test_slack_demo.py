"""`roost slack demo`: the playground with a bot of slack-bolt's in it, and the whole command with lines piped in."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from typer.testing import CliRunner

from bot import cli, cli_demo
from bot.errors import CommandFailed
from tests.fakes.slack_playground import NO_ANSWER, Playground
from tests.fakes.slack_server import SlackServer

ROOT = Path(__file__).parents[2]
ROOST = str(Path(sys.executable).with_name("roost"))
TIMEOUT_SECONDS = 60
ACK_SECONDS = 0.5
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

[[agents.assistant.provider_options.script]]
match = "your words"
[[agents.assistant.provider_options.script.steps]]
do = "tool"
name = "ask_user_question"
arguments = {title = "Name", question = "What is it called?"}
"""


def plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


BUTTONS: list[dict[str, Any]] = [
    {"type": "section", "text": plain("which?")},
    {
        "type": "actions",
        "elements": [
            {"type": "button", "action_id": "yes", "text": plain("Yes")},
            {"type": "button", "action_id": "form", "text": plain("Form")},
            {"type": "button", "action_id": "go", "text": plain("Go"), "url": "https://example.com/"},
        ],
    },
]
FORM: dict[str, Any] = {
    "type": "modal",
    "callback_id": "about",
    "title": plain("About you"),
    "submit": plain("Send"),
    "blocks": [
        {
            "type": "input",
            "block_id": "name",
            "label": plain("Name"),
            "element": {"type": "plain_text_input", "action_id": "name"},
        }
    ],
}


def echo(client: AsyncWebClient) -> AsyncApp:
    """A bot that does a little of everything."""
    app = AsyncApp(client=client, signing_secret="", process_before_response=True)

    async def status(channel: str, thread: str, text: str) -> None:
        given = {"channel_id": channel, "thread_ts": thread, "status": text}
        await client.api_call("agents.sessions.setStatus", json=given)

    @app.event("agent_session_stopped")
    async def stopped(event: dict[str, Any]) -> None:
        await status(event["channel"], event["thread_ts"], "active")

    @app.event("message")
    async def message(event: dict[str, Any]) -> None:
        if event.get("subtype") not in (None, "file_share"):
            return
        channel, thread = event["channel"], event.get("thread_ts", event["ts"])
        if event["text"] == "work":
            await status(channel, thread, "processing")
            return
        answer = await client.chat_postMessage(channel=channel, thread_ts=thread, text="one")
        await client.chat_update(channel=channel, ts=str(answer["ts"]), text="one two")
        await client.reactions_add(channel=channel, timestamp=event["ts"], name="thumbsup")
        if event["text"] == "buttons":
            await client.chat_postMessage(channel=channel, text="which?", blocks=BUTTONS)

    @app.event("app_home_opened")
    async def home(event: dict[str, Any]) -> None:
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": BUTTONS})

    @app.action("yes")
    async def yes(ack: AsyncAck, respond: Any) -> None:
        await ack()
        await respond("yes it is", replace_original=True)

    @app.action("form")
    async def form(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=FORM)

    @app.view("about")
    async def about(ack: AsyncAck, view: dict[str, Any]) -> None:
        if view["state"]["values"]["name"]["name"]["value"] == "Bob":
            await ack(response_action="errors", errors={"name": "Not that one."})
        else:
            await ack()

    @app.command("/roost")
    async def command(ack: AsyncAck, body: dict[str, Any]) -> None:
        if body["text"] != "nothing":
            await ack(f"you said {body['text']}")

    return app


There = tuple[Playground, list[str]]


@pytest.fixture
async def playground() -> AsyncIterator[There]:
    said: list[str] = []
    async with (
        SlackServer(ack_seconds=ACK_SECONDS, limits="none") as slack,
        aiohttp.ClientSession() as session,
    ):
        found = Playground(slack, said.append)
        client = AsyncWebClient(slack.bot_token, base_url=slack.api_url, session=session)
        handler = AsyncSocketModeHandler(echo(client), slack.app_token, ping_interval=0.05)
        watching = asyncio.create_task(found.watch())
        try:
            await handler.client.connect_to_new_endpoint()
            await slack.until(lambda: slack.hub.connections)
            yield found, said
        finally:
            await handler.client.close()  # type: ignore[no-untyped-call]
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def test_what_the_bot_does_is_seen_as_it_happens(playground: There) -> None:
    there, said = playground
    there.act("bob #random hello")
    await there.until(lambda: "#random [1] :thumbsup: by roost" in said, 5)
    assert said == [
        "#random [1] bob: hello",
        "t1 is a thread: [1] in #random",
        "t1 [2] roost: one",
        "t1 [2] + two",
        "#random [1] :thumbsup: by roost",
    ]
    assert there.prompt == "bob #random> "
    there.act("t1 more")
    assert said[-1] == "t1 [3] bob: more"
    assert there.prompt == "bob t1> "


async def test_people_do_what_people_do(playground: There, tmp_path: Path) -> None:
    there, said = playground
    (tmp_path / "a.txt").write_text("abc")
    there.act(f"ada dm /file {tmp_path}/a.txt @bob look")
    await there.until(lambda: "ada dm [1] :thumbsup: by roost" in said, 5)
    assert said[:2] == ["ada dm [1] ada: @bob look", "    file a.txt, 3 bytes"]
    for line in ("/react 2 :tada:", "/unreact 2 tada", "#random hello", "/edit changed", "/delete 3"):
        there.act(line)
    assert "t1 [2] :tada: by ada" in said and "t1 [2] no :tada: by ada any more" in said
    assert "#random [3] = changed" in said and "#random [3] is gone" in said
    there.act("/reply 1 in its thread")
    assert any(line.startswith("t1 [") and line.endswith("ada: in its thread") for line in said)
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
        ("/close", "! No form was shown to ada."),
        ("/stop", "! The stop button is in the thread in which the bot works: t1 /stop."),
    ],
)
async def test_what_cannot_be_done_is_a_sentence(playground: There, line: str, said: str) -> None:
    there, lines = playground
    assert there.act(line)
    assert lines == [said]


async def test_buttons_and_forms(playground: There) -> None:
    there, said = playground
    there.act("ada #general buttons")
    await there.until(lambda: "    (1) Yes   (2) Form   Go: https://example.com/" in said, 5)
    there.act("/click 2")
    await there.until(lambda: "ada sees the form 'About you': Name; /fill TEXT | TEXT" in said, 5)
    there.act("/fill Bob")
    await there.until(lambda: said[-1] == "ada is told: Not that one.", 5)
    there.act("/fill Ada")
    await there.until(lambda: not there.waits, 5)
    there.act("/close")
    assert said[-1] == "! No form was shown to ada."
    there.act("/click 1")
    await there.until(lambda: "    no more buttons" in said, 5)
    assert any(line.endswith("= yes it is") for line in said)
    there.act("/click 1")
    assert said[-1] == "! ada cannot choose (1): it is gone, or not to be seen."


async def test_commands_and_the_home_tab(playground: There) -> None:
    there, said = playground
    there.act("bob #general /roost status")
    await there.until(lambda: "#general [1] roost (only for bob): you said status" in said, 5)
    there.act("/home")
    await there.until(lambda: "bob home: (1) Yes   (2) Form   Go: https://example.com/" in said, 5)
    there.act("/click 2")
    await there.until(lambda: "bob sees the form 'About you': Name; /fill TEXT | TEXT" in said, 5)
    there.act("/roost nothing")
    await there.until(lambda: f"bob is told: {NO_ANSWER}" in said, 5)


async def test_the_stop_button_is_there_while_the_bot_works(playground: There) -> None:
    there, said = playground
    there.act("ada dm work")
    await there.until(lambda: "t1 the bot is processing" in said, 5)
    assert there.waits
    there.act("t1 /stop")
    await there.until(lambda: "t1 the bot is active" in said, 5)
    await there.until(lambda: not there.waits, 5)
    there.act("/stop")
    assert said[-1] == "! Nothing can be stopped here."


async def test_a_cut_is_mended(playground: There) -> None:
    there, said = playground
    there.act("/cut")
    await there.until(lambda: there.slack.hub.opened == 2, 5)
    there.act("ada #general hello")
    await there.until(lambda: "#general [1] :thumbsup: by roost" in said, 5)


def test_lines_are_piped_in_and_answered_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    lines = [
        "ada #general @roost hello",
        "bob dm a choice",
        "/click 2",
        "#general /roost status",
        "/cut",
        "ada #random @roost your words",
        "/click 3",
        "/fill Rover",
        "/home",
    ]
    done = subprocess.run(
        [ROOST, "slack", "demo", "--config", "config.toml"],
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
    named = r"t1 is (a thread|called): hello, \[1\] in #general"
    assert any(re.fullmatch(named, line) for line in after[lines[0]])
    assert any(re.fullmatch(r"t1 \[\d+\] roost: You said: hello", line) for line in said)
    assert "    (1) red   (2) blue" in after[lines[1]]
    assert "    no more buttons" in after[lines[2]]
    assert any("(only for bob): Roost" in line for line in after[lines[3]])
    assert "    (3) Answer" in after[lines[5]]
    assert any("sees the form 'Answer'" in line for line in after[lines[6]])
    assert any("answered: Rover" in line for line in after[lines[7]])
    assert any(line.startswith("ada home:") for line in after[lines[8]])
    assert not [line for line in said if line.startswith("!")]


def test_without_the_source_there_is_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_demo, "ROOT", tmp_path)
    done = CliRunner().invoke(cli.app, ["slack", "demo"])
    assert isinstance(done.exception, CommandFailed)
    assert str(done.exception) == cli_demo.NOT_HERE.format(name="Slack", platform="slack")
