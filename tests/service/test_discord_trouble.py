"""What Discord refuses, over the wire: a token, an intent, a call; storms, limits and failures in mid-call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from adapters.discord.rest import TOO_MANY_REFUSALS
from bot import control_client
from bot.config_discord import DiscordConfig
from bot.platforms import discord_token
from tests.fakes.discord_faults import How
from tests.fakes.discord_gateway import GatewaySettings
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place
from tests.fakes.platform import TIMEOUT_SECONDS
from tests.service.conftest import LOOK_SECONDS, House
from tests.service.town import QUICK, Town

BEATS = GatewaySettings(heartbeat_seconds=0.1)
DELIVERIES = "SELECT * FROM deliveries"
POST = r"^/channels/\d+/messages$"


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with DiscordServer(clock=house.now, gateway=BEATS) as discord:
        yield Town(house, discord, timing=replace(QUICK, mended=0.6))


def ask(town: Town, text: str) -> Message:
    """Ada asks the bot something."""
    return town.ada.say(town.general, text, mention=[town.discord.bot])


async def until_told(town: Town, sentence: str | None) -> None:
    """Returns when `roost status` says that of Discord, or nothing at all. Raises TimeoutError."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            answer = await control_client.ask(town.house.data / "control.sock", ["status"], None)
            texts = [each["text"] for each in answer.data["troubles"]]
            if any(sentence in each for each in texts) if sentence else not texts:
                return
            await asyncio.sleep(LOOK_SECONDS)


def spoken(words: Sequence[str]) -> list[dict[str, Any]]:
    """The steps of an answer that is written word by word."""
    pause = {"do": "stall", "seconds": 0.03}
    return [step for word in words for step in ({"do": "delta", "text": word}, pause)]


def refused(discord: DiscordServer) -> int:
    """How many calls Discord counts towards a ban."""
    return sum(each.status in (401, 403, 429) for each in discord.requests)


def posted(town: Town, place: Place) -> int:
    """How many messages of the bot's there are."""
    return sum(each.author is town.discord.bot for each in place.messages)


# -------------------------------------------------------------------- what an operator has to mend


async def test_a_token_that_is_revoked_is_said_and_tried_rarely_until_it_is_mended(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    async with town.open():
        discord, token = town.discord, town.discord.token
        assert await town.answer_to("before") == "You said: before"
        discord.revoke_token()
        await town.until(lambda: any(each.status == 401 for each in discord.requests))
        await until_told(town, "Discord does not take the bot's token")
        began = len(discord.requests)
        await town.until(lambda: len(discord.requests) >= began + 2)
        first, second = discord.requests[began], discord.requests[began + 1]
        assert second.at - first.at >= 500
        assert len(discord.hub.identifies) == 1
        discord.world.token = token
        missed = ask(town, "missed")
        thread = await town.thread_of(missed)
        await town.reads(thread, "You said: missed")
        await until_told(town, None)
        assert token not in caplog.text and "Traceback" not in caplog.text
        assert caplog.text.count("does not work: Discord does not take the bot's token") == 1


async def test_a_token_that_only_rest_refuses_is_noticed_and_the_reply_waits_for_a_better_one(
    town: Town,
) -> None:
    town.house.script({"steps": [{"do": "stall", "seconds": 0.3}, {"do": "result", "text": "done"}]})
    async with town.open():
        token = town.discord.token
        thread = await town.thread_of(ask(town, "go"))
        town.discord.world.token = "another"  # noqa: S105 - made up
        await until_told(town, "Discord does not take the bot's token")
        town.discord.world.token = token
        await town.reads(thread, "done")


@pytest.mark.parametrize("what", ["token", "content", "intents"])
async def test_what_is_wrong_from_the_start_is_said_and_not_tried_hotly(
    town: Town, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    discord = town.discord
    token, adapter = discord.token, town.adapter()
    if what == "token":
        discord.world.token = "another"  # noqa: S105 - made up
    elif what == "content":
        discord.message_content(False)
    tried = len(discord.requests), len(discord.hub.identifies)
    async with town.house.open(adapter):
        if what == "intents":
            await town.until(lambda: len(discord.hub.live) == 1)
            discord.hub.close(4013)
        sentence = {"token": "bot's token", "content": "Message Content Intent", "intents": "code 4013"}[what]
        await until_told(town, sentence)
        await town.until(lambda: len(discord.requests) >= tried[0] + 2)
        assert len(discord.hub.identifies) <= tried[1] + 2
        discord.world.token = token
        discord.message_content(True)
        await until_told(town, None)
        assert "Traceback" not in caplog.text


async def test_a_token_that_is_gone_is_said_and_asked_for_again(town: Town) -> None:
    environ = {"DISCORD_TOKEN": town.discord.token}
    read = discord_token(DiscordConfig(enabled=True), environ)
    environ.clear()
    async with town.house.open(town.adapter(read)):
        await until_told(town, "there is no token")
        environ["DISCORD_TOKEN"] = town.discord.token
        await town.until(lambda: town.discord.hub.live)
        await until_told(town, None)


# -------------------------------------------------------------------- refusals and failures of a call


async def test_after_many_refusals_the_bot_rests_before_it_is_banned(house: House) -> None:
    async with DiscordServer(clock=house.now, gateway=BEATS) as discord:
        town = Town(house, discord, refusals=10)
        async with town.open():
            thread = await town.thread_of(ask(town, "open"))
            await town.reads(thread, "You said: open")
            discord.fail("POST", POST, status=403, times=1_000, body={"message": "no", "code": 50013})
            asked = [ask(town, f"again {n}") for n in range(20)]
            await town.until(lambda: refused(discord) >= 10)
            await house.until(lambda: TOO_MANY_REFUSALS in str([*map(tuple, house.query(DELIVERIES))]))
            # Those that were under way already.
            assert refused(discord) <= 20
            assert len(asked) == 20


@pytest.mark.parametrize("scope", ["user", "global", "shared"])
async def test_a_429_costs_a_pause_and_nothing_else(town: Town, scope: str) -> None:
    async with town.open():
        fault = town.discord.fail("POST", POST, status=429, retry_after=0.3, times=2, scope=scope)  # type: ignore[arg-type]
        thread = await town.thread_of(ask(town, "go"))
        await town.reads(thread, "You said: go")
        assert fault.met == 2
        assert posted(town, thread) == 1


@pytest.mark.parametrize(
    ("how", "status"), [("status", 500), ("status", 502), ("reset_before", 0), ("reset_after", 0)]
)
async def test_a_failure_in_mid_post_leaves_the_message_there_once(town: Town, how: How, status: int) -> None:
    async with town.open():
        fault = town.discord.fail("POST", POST, how=how, status=status or 500)
        thread = await town.thread_of(ask(town, "go"))
        await town.reads(thread, "You said: go")
        await town.house.until_quiet_everywhere()
        assert fault.met == 1
        assert posted(town, thread) == 1
        nonces = {
            each.json["nonce"]
            for each in town.discord.requests
            if each.method == "POST" and each.path.endswith("/messages")
        }
        assert len(nonces) == 1


async def test_what_was_sent_before_a_long_silence_is_found_in_the_channel(town: Town) -> None:
    town.house.delivery["retry_base_seconds"] = 1.0
    async with town.open():
        fault = town.discord.fail("POST", POST, how="reset_after")
        thread = await town.thread_of(ask(town, "go"))
        await town.until(lambda: fault.met == 1)
        # Discord knows the nonce no more.
        town.house.clock_ahead_ms += 600_000
        path = f"/channels/{thread.id}/messages"
        await town.until(
            lambda: any((each.method, each.path) == ("GET", path) for each in town.discord.requests)
        )
    assert thread.texts == ["You said: go"]


async def test_edits_and_reactions_wait_for_their_limits(town: Town) -> None:
    words = [f"word{n} " for n in range(30)]
    town.house.script({"steps": spoken(words)})
    async with town.open():
        fault = town.discord.fail("PATCH", r"/messages/\d+$", status=429, retry_after=0.2, times=2)
        thread = await town.thread_of(ask(town, "go"))
        await town.reads(thread, "".join(words).strip())
        assert fault.met == 2


async def test_twenty_answers_at_once_are_streamed_within_discords_limits(town: Town) -> None:
    words = [f"word{n} " for n in range(15)]
    town.house.script({"steps": spoken(words)})
    town.house.backend["max_awake"] = 20
    other = town.lab.channel("other")
    async with town.open():
        # One more than a channel takes at once.
        places = [town.general] * 11 + [other] * 9
        asked = [town.ada.say(place, f"go {n}", mention=[town.discord.bot]) for n, place in enumerate(places)]
        final = ["".join(words).strip()]
        await town.discord.until(
            lambda: all(each.thread is not None and each.thread.texts == final for each in asked), seconds=40
        )
        assert town.discord.limited == []


async def test_heartbeats_go_on_while_a_large_file_is_fetched_and_sent(house: House) -> None:
    beats = replace(BEATS, heartbeat_seconds=0.1)
    async with DiscordServer(clock=house.now, gateway=beats) as discord:
        town = Town(house, discord, timing=replace(QUICK, heartbeat=1.0))
        # A name for each megabyte of what comes back.
        house.script(
            {
                "steps": [
                    {"do": "tool", "name": "send_file", "arguments": {"path": "big.txt", "text": "Here."}},
                    {"do": "result", "text": "done"},
                ]
            }
        )
        async with town.open():
            data = b"0123456789abcdef" * (9 * 65_536)
            asked = town.ada.say(town.general, "read", mention=[discord.bot], files=[("big.bin", data, None)])
            thread = await town.thread_of(asked)
            await town.until(lambda: "done" in thread.texts)
            (session,) = discord.hub.sessions
            assert not session.resumes
            (received,) = house.folder(town.general.id).glob("in/files/*/*big.bin")
            assert received.stat().st_size == len(data)


async def test_an_answer_waits_for_discord_while_it_cannot_be_reached_at_all(town: Town) -> None:
    town.house.script({"steps": [{"do": "stall", "seconds": 1.0}, {"do": "result", "text": "here I am"}]})
    town.house.delivery["max_attempts"] = 1
    async with town.open():
        place = town.discord.dm(town.ada)
        town.ada.say(place, "wait for it")
        await town.until(lambda: place.typing)
        port = int(town.discord.rest_url.split(":")[2].split("/")[0])
        await town.discord.stop()
        await town.house.until(
            lambda: bool(town.house.query("SELECT 1 FROM inbox WHERE kind = 'chat' AND state = 'done'"))
        )
        assert not town.house.query("SELECT 1 FROM dead_letters")
        await town.discord.start(port=port)
        await town.reads(place, "wait for it", "here I am")
        assert not town.house.query("SELECT 1 FROM dead_letters")
