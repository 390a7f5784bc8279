"""`roost slack check` and `roost slack manifest` as somebody types them, before a Slack on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from adapters.checkup import Checkup
from adapters.slack import advice, doctor, intakes, methods
from adapters.slack.doctor import APPS
from adapters.slack.errors import UNAUTHORIZED
from adapters.slack.examine import Wanted
from adapters.slack.normalize import Me
from agent.protocol.clock import now_ms
from bot.config_slack import API_URL
from bot.slack_check import OFF
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Place

ROOT = Path(__file__).parents[2]
ROOST = str(Path(sys.executable).with_name("roost"))
SECRET = "0123456789abcdef" * 2
APP = f"{APPS}/A0TEST"
"""The pages of the fake's app."""


@dataclass
class Setup:
    """A Slack, and a folder with a configuration for it."""

    slack: SlackServer
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    more: str = ""

    async def roost(self, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Exit status, output and standard error."""
        told = {"enabled": True, "api_url": self.slack.api_url, **self.settings}
        table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in told.items())
        (self.folder / "config.toml").write_text(f"[slack]\n{table}\n{self.more}")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "PYTHON", "SLACK"))}
        given = {
            "PYTHONPATH": str(ROOT),
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_SIGNING_SECRET": SECRET,
        }
        child = await asyncio.create_subprocess_exec(
            ROOST,
            "slack",
            *arguments,
            cwd=self.folder,
            env={**kept, **given, **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            said, complained = await child.communicate()
        assert child.returncode is not None
        return child.returncode, said.decode(), complained.decode()

    async def findings(self, **env: str) -> list[tuple[str, str, str]]:
        """State, subject and sentence of everything that is not fine. The exit status is held against them."""
        status, said, complained = await self.roost("check", "--json", **env)
        assert complained == ""
        told = json.loads(said)
        found = [(each["state"], each["about"], each["text"]) for each in told["findings"]]
        problems = [each for each in found if each[0] == "problem"]
        assert (status, told["ok"]) == ((1, False) if problems else (0, True))
        return [each for each in found if each[0] != "ok"]

    async def only_finding(self, **env: str) -> tuple[str, str, str]:
        """The one thing that is not fine."""
        (found,) = await self.findings(**env)
        return found

    def wire(self, place: str) -> None:
        """A wiring names this place."""
        self.more += f'\n[[wirings]]\nchannel = "slack"\nplace = "{place}"\n'

    def tells_app(self, app: str) -> None:
        """Slack says whose bot it is, as it does in the profile of a bot."""
        user = {"id": self.slack.bot.id, "profile": {"api_app_id": app}}
        self.slack.fail("users.info", more={"ok": True, "user": user}, times=9)

    def wanted(self, **more: Any) -> Wanted:
        """What the command would ask about, for a check in this process."""
        told: Mapping[str, Any] = {
            "bot_token": self.slack.bot_token,
            "app_token": self.slack.app_token,
            "signing_secret": SECRET,
            "mode": "socket",
            "api_url": self.slack.api_url,
            "sockets": 2,
            "listen": ("127.0.0.1", 9),
            "path": "/slack/events",
            "agent_view": True,
            "places": (),
        }
        return Wanted(**{**told, **more})


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    """One in which everything is as it should be: a channel, and somebody who has written to the bot."""
    async with SlackServer() as slack:
        slack.channel("general")
        ada = slack.person("Ada")
        ada.say(slack.dm(ada), "hello")
        yield Setup(slack, tmp_path)


@pytest.fixture
def free_port() -> int:
    """One on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number: int = taken.getsockname()[1]
        return number


def general(setup: Setup) -> Place:
    return next(each for each in setup.slack.world.places.values() if each.name == "general")


def not_fine(found: Checkup) -> list[str]:
    return [each.text for each in found.findings if each.state != "ok"]


# ---------------------------------------------------------------- all is well


async def test_what_is_set_up_well_is_said_line_by_line(setup: Setup) -> None:
    setup.wire(general(setup).id)
    status, said, complained = await setup.roost("check")
    assert (status, complained) == (0, "")
    lines = said.splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * len(lines)
    assert [line.split()[1] for line in lines] == [
        "token", "scopes", "sockets", "agent", "messages", "channel",
    ]  # fmt: skip


async def test_nothing_is_changed_and_nothing_said(setup: Setup) -> None:
    world = setup.slack.world
    said = {each.id: len(each.messages) for each in world.places.values()}
    setup.wire(general(setup).id)
    await setup.roost("check")
    assert {each.id: len(each.messages) for each in world.places.values()} == said
    assert (world.sessions, world.statuses, world.prompts, world.homes) == ({}, {}, {}, {})
    assert setup.slack.hub.opened == 1
    assert [each.acked for each in setup.slack.hub.envelopes] == [None]
    await setup.slack.until(lambda: not setup.slack.hub.connections)
    assert {each.method for each in setup.slack.requests} <= set(methods.METHODS)


async def test_every_call_is_within_the_scopes_of_the_manifest(setup: Setup) -> None:
    setup.wire(general(setup).id)
    await setup.roost("check")
    refused = [each.method for each in setup.slack.requests if each.answer.get("error") == "missing_scope"]
    assert refused == []


async def test_a_service_that_listens_notices_nothing(setup: Setup) -> None:
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(base_url=setup.slack.api_url)
        sockets = []
        for _ in range(2):
            opened = await client.apps_connections_open(app_token=setup.slack.app_token)
            sockets.append(await session.ws_connect(opened["url"]))
        assert await setup.findings() == []
        await setup.slack.until(lambda: len(setup.slack.hub.connections) == 2)
        assert not any(each.closed for each in sockets)


# ---------------------------------------------------------------- tokens and rights


async def test_tokens_that_are_missing_or_mixed_up(setup: Setup) -> None:
    found = await setup.findings(SLACK_BOT_TOKEN="", SLACK_APP_TOKEN="")
    assert [each[:2] for each in found] == [("problem", "token")] * 2
    assert "no bot token" in found[0][2] and "no app-level token" in found[1][2]
    (mixed,) = await setup.findings(SLACK_BOT_TOKEN=setup.slack.app_token)
    assert "begins with xoxb-" in mixed[2]
    assert setup.slack.requests == []


async def test_a_token_that_slack_refuses(setup: Setup) -> None:
    wrong = "xoxb-" + "made-up"
    assert await setup.only_finding(SLACK_BOT_TOKEN=wrong) == ("problem", "token", UNAUTHORIZED)
    setup.slack.deny("account_inactive")
    assert await setup.only_finding() == ("problem", "token", UNAUTHORIZED)
    assert setup.slack.hub.opened == 0


async def test_a_person_s_token(setup: Setup) -> None:
    told = {"ok": True, "user_id": "U01", "user": "ada", "team": "Lab", "team_id": "T0LAB"}
    setup.slack.fail("auth.test", more=told)
    assert await setup.only_finding() == ("problem", "token", advice.NO_BOT.format(link=APPS))


async def test_tokens_of_two_apps(setup: Setup) -> None:
    setup.tells_app("A0OTHER")
    told = advice.TWO_APPS.format(bot="A0OTHER", app="A0TEST")
    assert await setup.only_finding() == ("problem", "token", told)


async def test_each_scope_that_is_missing(setup: Setup) -> None:
    setup.slack.world.scopes -= {"chat:write", "files:read", "reactions:write"}
    told = [
        advice.MISSING_SCOPE.format(scope=each, loss=advice.LOSSES[each], link=f"{APP}/oauth")
        for each in ("chat:write", "files:read", "reactions:write")
    ]
    found = await setup.findings()
    assert [each[2] for each in found] == told
    assert [each[0] for each in found] == ["problem", "warning", "warning"]


async def test_without_any_scope_the_check_goes_through(setup: Setup) -> None:
    setup.slack.world.scopes.clear()
    setup.wire(general(setup).id)
    found = await setup.findings()
    assert len([each for each in found if each[1] == "scopes"]) == len(methods.scopes())
    unseen = advice.UNSEEN.format(where="wirings[0].place", id=general(setup).id, error="missing_scope")
    assert ("warning", "channel", unseen) in found


async def test_switched_off_is_a_warning(setup: Setup) -> None:
    setup.settings["enabled"] = False
    assert await setup.only_finding() == ("warning", "settings", OFF)


# ---------------------------------------------------------------- sockets


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("missing_scope", advice.NO_CONNECTIONS_SCOPE.format(link=f"{APP}/general")),
        ("invalid_auth", advice.BAD_APP.format(error="invalid_auth", link=f"{APP}/general")),
        (
            "not_allowed_token_type",
            advice.BAD_APP.format(error="not_allowed_token_type", link=f"{APP}/general"),
        ),
    ],
)
async def test_an_app_level_token_that_is_refused(setup: Setup, error: str, sentence: str) -> None:
    setup.slack.fail("apps.connections.open", error=error)
    assert await setup.only_finding() == ("problem", "sockets", sentence)


async def told_by_a_socket(setup: Setup, **message: Any) -> Checkup:
    """The check where the first thing that comes on a connection is this."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        if message:
            await connection.send_json(message)
            await connection.receive()
        return connection

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
        warned = message.pop("warned", ())
        remarks = {"messages": list(warned)}
        answer = {"ok": True, "url": url, "response_metadata": remarks}
        setup.slack.fail("apps.connections.open", more=answer)
        return await doctor.check(setup.wanted(), clock=now_ms)
    finally:
        await runner.cleanup()


async def test_socket_mode_that_is_off(setup: Setup) -> None:
    found = await told_by_a_socket(setup, type="disconnect", reason="link_disabled")
    assert not_fine(found) == [advice.SOCKET_OFF.format(link=f"{APP}/socket-mode")]
    found = await told_by_a_socket(setup, type="hello", warned=["[WARN] Socket Mode is not turned on."])
    assert not_fine(found) == [advice.SOCKET_DOUBTED.format(link=f"{APP}/socket-mode")]


async def test_too_many_connections(setup: Setup) -> None:
    found = await told_by_a_socket(setup, type="disconnect", reason="too_many_websockets")
    assert not_fine(found) == [advice.TOO_MANY.format(link=f"{APP}/general")]


async def test_another_program_that_listens(setup: Setup) -> None:
    found = await told_by_a_socket(setup, type="hello", num_connections=3)
    assert not_fine(found) == []
    found = await told_by_a_socket(setup, type="hello", num_connections=4)
    assert not_fine(found) == [advice.OTHERS.format(others=3, sockets=2, link=f"{APP}/general")]


async def test_a_connection_on_which_nothing_comes(setup: Setup, free_port: int) -> None:
    found = await told_by_a_socket(setup)
    assert not_fine(found) == [advice.NO_SOCKET.format(reason="it says nothing")]
    answer = {"ok": True, "url": f"ws://127.0.0.1:{free_port}/"}
    setup.slack.fail("apps.connections.open", more=answer)
    assert await setup.only_finding() == (
        "problem", "sockets", advice.NO_SOCKET.format(reason="ClientConnectorError"),
    )  # fmt: skip


# ---------------------------------------------------------------- signed HTTP


async def test_http_before_the_service_runs(setup: Setup, free_port: int) -> None:
    setup.tells_app("A0TEST")
    setup.settings |= {"mode": "http", "listen": f"127.0.0.1:{free_port}"}
    url = f"http://127.0.0.1:{free_port}/slack/events"
    told = advice.DOOR_CLOSED.format(url=url, link=f"{APP}/event-subscriptions")
    assert await setup.only_finding() == ("warning", "http", told)
    assert setup.slack.hub.opened == 0
    odd, _ = await setup.findings(SLACK_SIGNING_SECRET="abc")  # noqa: S106  made up
    assert odd == ("warning", "http", advice.ODD.format(link=f"{APP}/general"))


@dataclass
class Listener:
    """Roost's own listener, which is told nothing but what a check says."""

    async def on_event(self, body: intakes.Body) -> None:
        raise AssertionError(body)

    async def on_typed(self, body: intakes.Body) -> list[dict[str, Any]]:
        raise AssertionError(body)

    on_command = on_pressed = on_entered = on_shortcut = on_event


async def test_the_listener_of_a_service_that_runs(setup: Setup, free_port: int) -> None:
    setup.tells_app("A0TEST")
    app = intakes.build(
        AsyncWebClient("made-up"), Me("U1", "B1", "T1", "roost"), Listener(), signing_secret=SECRET
    )

    async def checked() -> None:
        wanted = setup.wanted(mode="http", listen=("0.0.0.0", free_port))  # noqa: S104 - nothing is bound to it
        url = f"http://127.0.0.1:{free_port}/slack/events"
        found = await doctor.check(wanted, clock=now_ms)
        assert not_fine(found) == []
        assert advice.DOOR.format(url=url, link=APP) in [each.text for each in found.findings]
        other = setup.wanted(mode="http", listen=("127.0.0.1", free_port), signing_secret="f" * 32)
        assert not_fine(await doctor.check(other, clock=now_ms)) == [advice.DOOR_REFUSED.format(url=url)]
        elsewhere = setup.wanted(mode="http", listen=("127.0.0.1", free_port), path="/else")
        url = f"http://127.0.0.1:{free_port}/else"
        assert not_fine(await doctor.check(elsewhere, clock=now_ms)) == [
            advice.DOOR_OTHER.format(url=url, status=404)
        ]

    await intakes.serve(
        intakes.by_http(app, "/slack/events", signing_secret=SECRET), "127.0.0.1", free_port, checked
    )


async def test_a_clock_that_is_wrong(setup: Setup, free_port: int) -> None:
    def ahead() -> int:
        return now_ms() + 600_000

    found = await doctor.check(setup.wanted(), clock=ahead)
    told = advice.CLOCK.format(minutes=10)
    assert [(each.state, each.text) for each in found.findings if each.state != "ok"] == [("warning", told)]
    found = await doctor.check(setup.wanted(mode="http", listen=("127.0.0.1", free_port)), clock=ahead)
    assert ("problem", told) in [(each.state, each.text) for each in found.findings]


# ---------------------------------------------------------------- conversations


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("not_agent_app", advice.NO_AGENT.format(link=APP)),
        ("feature_disabled", advice.AGENT_DISABLED.format(error="feature_disabled")),
        ("unknown_method", advice.AGENT_DISABLED.format(error="unknown_method")),
    ],
)
async def test_an_app_that_is_no_agent(setup: Setup, error: str, sentence: str) -> None:
    setup.slack.fail("agents.sessions.setStatus", error=error, times=2)
    assert await setup.only_finding() == ("warning", "agent", sentence)
    setup.settings["agent_view"] = False
    assert await setup.findings() == []


async def test_an_answer_that_tells_nothing_of_agents(setup: Setup) -> None:
    setup.slack.fail("agents.sessions.setStatus", error="internal_error")
    _, said, _ = await setup.roost("check")
    assert advice.AGENT not in said


async def test_a_stop_button_of_which_nobody_hears(setup: Setup) -> None:
    warned = {"warnings": ["missing_agent_session_stopped_event_subscription"]}
    setup.slack.fail(
        "agents.sessions.setStatus", error="thread_ts_required", more={"response_metadata": warned}
    )
    told = advice.NO_STOPS.format(link=f"{APP}/event-subscriptions")
    assert await setup.only_finding() == ("warning", "agent", told)


async def test_nobody_has_written_to_the_bot(tmp_path: Path) -> None:
    async with SlackServer() as slack:
        slack.channel("general")
        setup = Setup(slack, tmp_path)
        told = advice.UNWRITTEN.format(link=f"{APP}/app-home")
        assert await setup.only_finding() == ("warning", "messages", told)


async def test_channels_that_the_configuration_names(setup: Setup) -> None:
    slack = setup.slack
    outside, secret = slack.channel("outside", bot=False), slack.channel("secret", private=True, bot=False)
    old = slack.channel("old")
    old.is_archived = True
    ada = next(each for each in slack.world.users.values() if each.name == "Ada")
    for place in (outside.id, secret.id, old.id, ada.id, "general", slack.dm(ada).id):
        setup.wire(place)
    at = "wirings[{}].place".format
    assert await setup.findings() == [
        ("problem", "channel", text)
        for text in (
            advice.NO_MEMBER.format(where=at(0), channel=f"#outside ({outside.id})", name="roost"),
            advice.UNKNOWN.format(where=at(1), id=secret.id, name="roost"),
            advice.ARCHIVED.format(where=at(2), channel=f"#old ({old.id})"),
            advice.PERSON.format(where=at(3), id=ada.id),
            advice.UNKNOWN.format(where=at(4), id="general", name="roost"),
        )
    ]


async def test_a_destination_that_is_a_thread(setup: Setup) -> None:
    place = general(setup)
    ada = next(each for each in setup.slack.world.users.values() if each.name == "Ada")
    place.members.append(ada)
    root = ada.say(place, "news")  # type: ignore[attr-defined]
    setup.more = (
        f'[[agents.assistant.destinations]]\nname = "news"\nchannel = "slack"\nplatform_id = "{place.id}"\n'
        'thread_id = "{ts}"\n'
    )
    whole, setup.more = setup.more, setup.more.format(ts=root.ts)
    assert await setup.findings() == []
    setup.more = whole.format(ts="1.5")
    where, shown = "[agents.assistant] destinations[0]", f"#general ({place.id})"
    told = advice.NO_THREAD.format(where=where, channel=shown, thread="1.5")
    assert await setup.only_finding() == ("problem", "channel", told)


async def test_without_a_named_channel_all_are_listed(setup: Setup) -> None:
    for number in range(12):
        setup.slack.channel(f"c{number}")
    _, said, _ = await setup.roost("check")
    assert "The bot is in 13 channels: #general, #c0" in said and "and 3 more." in said
    for place in setup.slack.world.places.values():
        if place.kind != "im":
            place.members.remove(setup.slack.bot)
    told = advice.NO_CHANNEL.format(name="roost")
    assert await setup.only_finding() == ("warning", "channel", told)


# ---------------------------------------------------------------- a Slack that does not answer


async def test_a_slack_that_is_not_there(setup: Setup, free_port: int) -> None:
    setup.settings["api_url"] = url = f"http://127.0.0.1:{free_port}/api/"
    told = advice.UNREACHABLE.format(url=url, reason="ClientConnectorError")
    assert await setup.only_finding() == ("problem", "connection", told)


async def test_a_server_that_is_not_slack(setup: Setup) -> None:
    setup.settings["api_url"] = url = setup.slack.api_url.replace("/api/", "/else/")
    told = advice.NOT_SLACK.format(url=url, example=API_URL)
    assert await setup.only_finding() == ("problem", "connection", told)


async def test_a_slack_that_says_nothing_is_not_waited_for(setup: Setup) -> None:
    setup.slack.fail("users.conversations", how="stall")
    found = await doctor.check(setup.wanted(), clock=now_ms, seconds=2.0)
    assert [each.text for each in found.findings] == [advice.SLOW.format(seconds=2)]


async def test_a_trouble_of_slack_s_is_one_sentence(setup: Setup) -> None:
    setup.slack.fail("auth.test", how="status", status=503)
    state, about, text = await setup.only_finding()
    assert (state, about) == ("problem", "connection") and text.startswith(
        "Slack does not answer the check ("
    )


async def test_a_token_that_others_can_read_is_warned_of_in_words(setup: Setup) -> None:
    token = setup.folder / "bot.token"
    token.write_text(setup.slack.bot_token)
    token.chmod(0o644)
    setup.settings["bot_token_file"] = "bot.token"  # noqa: S105  a file's name
    status, _, complained = await setup.roost("check")
    assert status == 0 and "chmod 600 it" in complained and "{" not in complained


# ---------------------------------------------------------------- the manifest


async def test_the_manifest_is_printed_and_the_steps_beside_it(setup: Setup) -> None:
    status, said, complained = await setup.roost("manifest", "--name", "Helper")
    assert status == 0
    made = json.loads(said)
    assert made["display_information"]["name"] == "Helper"
    assert made["settings"]["socket_mode_enabled"] is True
    assert [line[:2] for line in complained.splitlines()] == ["1.", "2.", "3.", "4."]
    assert "connections:write" in complained


async def test_the_manifest_is_the_configuration_s(setup: Setup) -> None:
    setup.settings |= {"mode": "http", "agent_view": False}
    url = "https://roost.example.com/slack/events"
    status, said, complained = await setup.roost("manifest", "--url", url)
    assert status == 0 and "Signing Secret" in complained
    made = json.loads(said)
    assert made["settings"]["event_subscriptions"]["request_url"] == url
    assert "agent_view" not in made["features"]
    status, said, complained = await setup.roost("manifest")
    assert (status, said) == (1, "") and "--url" in complained
