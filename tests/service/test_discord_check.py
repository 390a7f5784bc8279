"""`roost discord check` as somebody types it, before a Discord on loopback: everything that can be wrong, once."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.discord import advice, doctor, layout, permissions
from adapters.discord.errors import UNAUTHORIZED
from adapters.discord.examine import Wanted
from adapters.discord.session import NO_INTENT
from agent.protocol.clock import now_ms
from bot.commands import ALL
from bot.commands.registry import Registry
from bot.config_discord import API_URL
from bot.discord_check import OFF
from tests.fakes.discord_gateway import GatewaySettings
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Guild, Place
from tests.fakes.discord_values import Permission
from tests.service.conftest import House
from tests.service.town import Town

WRONG = "made.up.token"
ROOT = Path(__file__).parents[2]
ROOST = str(Path(sys.executable).with_name("roost"))


@dataclass
class Setup:
    """A Discord, and a folder with a configuration for it."""

    discord: DiscordServer
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    more: str = ""

    async def check(self, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Exit status, output and standard error."""
        told = {
            "enabled": True,
            "rest_url": self.discord.rest_url,
            "gateway_url": self.discord.gateway_url,
            **self.settings,
        }
        table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in told.items())
        (self.folder / "config.toml").write_text(f"[discord]\n{table}\n{self.more}")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "PYTHON", "DISCORD"))}
        child = await asyncio.create_subprocess_exec(
            ROOST,
            "discord",
            "check",
            *arguments,
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(ROOT), "DISCORD_TOKEN": self.discord.token, **env},
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
        status, said, complained = await self.check("--json", **env)
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
        self.more += f'\n[[wirings]]\nchannel = "discord"\nplace = "{place}"\n'

    async def application(self, **changes: Any) -> None:
        """The developer portal says something else of the bot, from now on."""
        async with aiohttp.ClientSession(headers={"Authorization": f"Bot {self.discord.token}"}) as session:
            url = f"{self.discord.rest_url}/applications/@me"
            told = await (await session.get(url)).json()
        self.discord.fail("GET", "^/applications/@me$", status=200, times=9, body={**told, **changes})


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    """One in which everything is as it should be: a server, a channel, and the commands."""
    async with DiscordServer() as discord:
        discord.guild("Lab").channel("general")
        discord.commands.overwrite("", layout.payload(Registry[Any](None, ALL).infos))
        yield Setup(discord, tmp_path)


@pytest.fixture
def free_port() -> int:
    """One on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number: int = taken.getsockname()[1]
        return number


def lab(setup: Setup) -> Guild:
    return next(iter(setup.discord.world.guilds.values()))


def general(setup: Setup) -> Place:
    return next(iter(lab(setup).places.values()))


async def test_what_is_set_up_well_is_said_line_by_line_with_the_link(setup: Setup) -> None:
    setup.wire(general(setup).id)
    status, said, complained = await setup.check()
    assert (status, complained) == (0, "")
    link = permissions.invite_link(int(setup.discord.application_id))
    *lines, last = said.splitlines()
    assert last == f"Invite link: {link}"
    assert [line.split()[0] for line in lines] == ["ok"] * len(lines)
    assert [line.split()[1] for line in lines] == [
        "token", "application", "intents", "gateway", "servers", "channel", "commands",
    ]  # fmt: skip


async def test_nothing_is_changed_and_nothing_said(setup: Setup) -> None:
    await setup.check()
    assert {each.method for each in setup.discord.requests} == {"GET"}
    (session,) = setup.discord.hub.sessions
    assert session.close_codes == [1000]
    assert general(setup).messages == []


async def test_a_token_that_is_missing_or_refused(setup: Setup) -> None:
    state, about, text = await setup.only_finding(DISCORD_TOKEN="")
    assert (state, about) == ("problem", "token") and "there is no token" in text
    assert await setup.only_finding(DISCORD_TOKEN=WRONG) == ("problem", "token", UNAUTHORIZED)
    assert setup.discord.hub.connections == 0


async def test_messages_that_may_not_be_read(setup: Setup) -> None:
    setup.discord.message_content(False)
    assert await setup.only_finding() == ("problem", "intents", NO_INTENT)


async def test_the_gateway_is_believed_more_than_the_portal(setup: Setup) -> None:
    await setup.application(flags=1 << 19)
    setup.discord.message_content(False)
    assert await setup.only_finding() == ("problem", "intents", NO_INTENT)


async def test_what_the_portal_has_wrong(setup: Setup) -> None:
    await setup.application(
        interactions_endpoint_url="https://example.org/hook", bot_require_code_grant=True, bot_public=True
    )
    assert await setup.findings() == [
        ("problem", "application", advice.CODE_GRANT),
        ("warning", "application", advice.PUBLIC),
        ("problem", "application", advice.ENDPOINT.format(url="https://example.org/hook")),
    ]


async def test_switched_off_is_a_warning(setup: Setup) -> None:
    setup.settings["enabled"] = False
    assert await setup.only_finding() == ("warning", "settings", OFF)


async def test_no_server(setup: Setup) -> None:
    lab(setup).leave(setup.discord.bot)
    assert await setup.only_finding() == ("problem", "servers", advice.NO_SERVER)


async def test_channels_that_the_configuration_names(setup: Setup) -> None:
    discord, server = setup.discord, lab(setup)
    mute, hidden, group = (
        server.channel("mute"), server.channel("hidden"), server.channel("group", "category"),
    )  # fmt: skip
    mute.deny(server.everyone, Permission.SEND_MESSAGES | Permission.ADD_REACTIONS)
    mute.deny(next(each for each in server.roles.values() if each.bot_id), Permission.SEND_MESSAGES)
    mute.allow(discord.bot, Permission.ADD_REACTIONS)
    hidden.deny(discord.bot, Permission.VIEW_CHANNEL)
    ada = discord.person("Ada")
    server.join(ada)
    thread = discord.world.add_thread(general(setup), "old", ada)
    for place in (mute.id, hidden.id, group.id, thread.id, "12345", "general"):
        setup.wire(place)
    names = {"channel": f"#group ({group.id})", "parent": general(setup).id}
    at = "wirings[{}].place".format
    assert [text for _, _, text in await setup.findings()] == [
        advice.LACKS_NEEDED.format(server="Lab", channel=f"#mute ({mute.id})", permissions="Send Messages"),
        advice.HIDDEN.format(where=at(1), id=hidden.id),
        advice.NO_MESSAGES.format(where=at(2), **names),
        advice.IS_THREAD.format(where=at(3), channel=f"#old ({thread.id})", parent=general(setup).id),
        advice.UNKNOWN.format(where=at(4), id="12345"),
        advice.UNKNOWN.format(where=at(5), id="general"),
    ]


async def test_a_destination_that_is_a_locked_thread(setup: Setup) -> None:
    ada = setup.discord.person("Ada")
    lab(setup).join(ada)
    thread = setup.discord.world.add_thread(general(setup), "old", ada)
    thread.archive(locked=True)
    setup.more = (
        '[[agents.assistant.destinations]]\nname = "news"\nchannel = "discord"\n'
        f'platform_id = "{general(setup).id}"\nthread_id = "{thread.id}"\n'
    )
    where = "[agents.assistant] destinations[0]"
    said = advice.LOCKED.format(where=where, channel=f"#old ({thread.id})")
    assert await setup.only_finding() == ("problem", "channel", said)


async def test_without_a_named_channel_all_are_looked_at(setup: Setup) -> None:
    server = lab(setup)
    quiet = server.channel("quiet")
    quiet.deny(setup.discord.bot, Permission.ATTACH_FILES)
    shy = server.channel("shy")
    shy.deny(setup.discord.bot, Permission.ADD_REACTIONS)
    server.channel("private").deny(setup.discord.bot, Permission.VIEW_CHANNEL)
    assert await setup.findings() == [
        (
            "warning",
            "channel",
            advice.LACKS_NEEDED.format(
                server="Lab", channel=f"#quiet ({quiet.id})", permissions="Attach Files"
            ),
        ),
        (
            "warning",
            "channel",
            advice.LACKS.format(server="Lab", channel=f"#shy ({shy.id})", permissions="Add Reactions"),
        ),
    ]


async def test_commands_that_are_missing_or_others(setup: Setup) -> None:
    setup.discord.commands.overwrite("", [{"name": "other", "type": 3}])
    told = advice.OTHER_COMMANDS.format(where="for all servers")
    assert await setup.only_finding() == ("warning", "commands", told)
    setup.settings["development_servers"] = [lab(setup).id, "123"]
    assert await setup.findings() == [
        ("warning", "commands", advice.NO_COMMANDS.format(where=f"for the server {lab(setup).id}")),
        ("problem", "commands", advice.NOT_IN_SERVER.format(id=123)),
    ]


async def test_a_discord_that_is_not_there(setup: Setup, free_port: int) -> None:
    setup.settings["rest_url"] = url = f"http://127.0.0.1:{free_port}/api/v10"
    state, about, text = await setup.only_finding()
    assert (state, about) == ("problem", "connection")
    assert text == advice.UNREACHABLE.format(url=url, reason="ClientConnectorError")


async def test_a_server_that_is_not_discord(setup: Setup) -> None:
    setup.settings["rest_url"] = url = setup.discord.cdn_url
    told = advice.NOT_DISCORD.format(url=url, example=API_URL)
    assert await setup.only_finding() == ("problem", "connection", told)


async def test_a_gateway_that_is_not_there(setup: Setup, free_port: int) -> None:
    setup.settings["gateway_url"] = url = f"ws://127.0.0.1:{free_port}/"
    told = advice.NO_GATEWAY.format(url=url, reason="ClientConnectorError")
    assert await setup.only_finding() == ("problem", "gateway", told)


async def test_a_discord_that_says_nothing_is_not_waited_for(setup: Setup) -> None:
    discord = setup.discord
    discord.fail("GET", "^/users/@me/guilds", how="stall")
    wanted = Wanted(discord.token, discord.rest_url, discord.gateway_url, (), ())
    found = await doctor.check(wanted, (), clock=now_ms, seconds=2.0)
    assert [each.text for each in found.findings] == [advice.SLOW.format(seconds=2)]


async def test_a_trouble_of_discord_s_is_one_sentence(setup: Setup) -> None:
    setup.discord.fail("GET", "^/users/@me$", status=503)
    told = advice.REFUSED.format(reason="Discord is in trouble (503)")
    assert await setup.only_finding() == ("problem", "connection", told)


async def test_a_server_that_discord_does_not_tell_of_hides_no_other(setup: Setup) -> None:
    setup.discord.guild("Den").channel("general")
    setup.discord.fail("GET", f"^/guilds/{lab(setup).id}/roles", status=403)
    told = advice.MORE_SERVERS.format(count="1 server")
    assert await setup.only_finding() == ("warning", "servers", told)


async def test_a_gateway_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    """Discord lets a bot begin one session in five seconds."""
    async with DiscordServer(gateway=GatewaySettings(identify_seconds=3.0)) as discord:
        wanted = Wanted(discord.token, discord.rest_url, discord.gateway_url, (), ())
        told = [await doctor.check(wanted, (), clock=now_ms) for _ in range(2)]
        assert [[each.state for each in found.findings if each.about == "gateway"] for found in told] == [
            ["ok"],
            ["ok"],
        ]
        assert len(discord.hub.sessions) == 2 and discord.hub.connections == 3


async def test_the_last_sessions_of_a_day_are_left_alone(tmp_path: Path) -> None:
    async with DiscordServer(gateway=GatewaySettings(session_starts=4)) as discord:
        discord.guild("Lab").channel("general")
        found = await Setup(discord, tmp_path).findings()
        assert ("problem", "gateway", advice.NO_START.format(left=4, hours=24)) in found
        assert discord.hub.connections == 0


async def test_a_running_service_notices_nothing(house: House, tmp_path: Path) -> None:
    async with DiscordServer() as discord:
        town = Town(house, discord)
        async with town.open():
            await town.until(lambda: discord.commands.listed())
            (service,) = discord.hub.sessions
            assert await Setup(discord, tmp_path).findings() == []
            assert service.close_codes == []
            assert await town.answer_to("still there?") == "You said: still there?"


async def test_a_token_that_others_can_read_is_warned_of_in_words(setup: Setup) -> None:
    token = setup.folder / "discord.token"
    token.write_text(setup.discord.token)
    token.chmod(0o644)
    setup.settings["token_file"] = "discord.token"  # noqa: S105  a file's name
    status, _, complained = await setup.check()
    assert status == 0 and "chmod 600 it" in complained and "{" not in complained
