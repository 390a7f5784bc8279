"""Staying alive on Discord, over the wire: connections that break, stay silent or are refused, and what was said
meanwhile. Nothing is lost, and nothing is answered twice."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.discord.gaps import HEARD
from tests.fakes.discord_gateway import GatewaySettings
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place
from tests.service.conftest import House
from tests.service.town import QUICK, Town

BEATS = GatewaySettings(heartbeat_seconds=0.1)
TOLD = re.compile(r"I was offline <t:(\d+):t>–<t:(\d+):t>; answering (\d+) missed messages?\.")


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with DiscordServer(clock=house.now, gateway=BEATS) as discord:
        yield Town(house, discord)


async def answered(town: Town, *asked: Message) -> None:
    """Returns when each of them is answered, in a thread of its own; raises AssertionError where one is twice."""
    for message in asked:
        thread = await town.thread_of(message)
        await town.until(lambda: thread.messages)  # noqa: B023 - awaited at once
    await town.house.until_quiet_everywhere()
    for message in asked:
        assert message.thread is not None
        text = message.text.removeprefix(f"{town.discord.bot.mention} ")
        assert message.thread.texts == [f"You said: {text}"]


async def ready(town: Town) -> None:
    """Returns when a connection has begun: it is noted anew until when all was heard, and not only from when on."""

    def noted() -> list[str]:
        return [row["text"] for row in town.house.query("SELECT text FROM notes WHERE key = ?", HEARD)]

    await town.house.until(lambda: bool(noted()))
    before = noted()
    await town.house.until(lambda: noted() != before)


def ask(town: Town, text: str, *, place: Place | None = None) -> Message:
    """Ada asks the bot something."""
    return town.ada.say(place or town.general, text, mention=[town.discord.bot])


def notices(place: Place) -> list[tuple[int, int, int]]:
    """What was told of gaps there: from when until when in epoch seconds, and how many messages."""
    found = [TOLD.search(text) for text in place.texts]
    return [(int(each[1]), int(each[2]), int(each[3])) for each in found if each is not None]


async def away(town: Town, *, minutes: int) -> None:
    """The session is over, and the connection is gone for so long; returns before there is another one."""
    hub = town.discord.hub
    tried = hub.connections
    hub.refuse(times=3)
    hub.forget_sessions()
    hub.drop()
    await town.until(lambda: hub.connections > tried)
    town.house.clock_ahead_ms += minutes * 60_000


# -------------------------------------------------------------------- connections that can be resumed


async def test_what_is_said_while_the_connection_is_cut_comes_by_resume(town: Town) -> None:
    async with town.open():
        before = ask(town, "before")
        await answered(town, before)
        town.discord.hub.drop()
        missed = [ask(town, f"missed {n}") for n in range(3)]
        await answered(town, before, *missed)
        (session,) = town.discord.hub.sessions
        assert len(session.resumes) == 1
        assert notices(town.general) == []


async def test_a_cut_in_mid_turn_leaves_a_streamed_answer_whole(town: Town) -> None:
    words = [f"word{n} " for n in range(30)]
    steps = [
        step for word in words for step in ({"do": "delta", "text": word}, {"do": "stall", "seconds": 0.03})
    ]
    town.house.script({"steps": steps})
    async with town.open():
        await ready(town)
        thread = await town.thread_of(ask(town, "go on"))
        await town.until(lambda: thread.messages and thread.messages[0].text.count("word") > 3)
        town.discord.hub.drop()
        await town.reads(thread, "".join(words).strip())
        await town.until(lambda: town.discord.hub.live)
        assert len(town.discord.hub.sessions) == 1


@pytest.mark.parametrize("how", ["reconnect", "resumable"])
async def test_a_connection_that_discord_ends_is_resumed(town: Town, how: str) -> None:
    async with town.open():
        await ready(town)
        hub = town.discord.hub
        if how == "reconnect":
            hub.reconnect()
        else:
            hub.invalidate(resumable=True)
        missed = ask(town, "meanwhile")
        await answered(town, missed)
        assert len(hub.sessions) == 1
        assert len(hub.sessions[0].resumes) == 1


async def test_a_zombie_is_noticed_and_resumed(house: House, town: Town) -> None:
    town.timing = replace(QUICK, heartbeat=0.6)
    async with town.open():
        await ready(town)
        town.discord.hub.mute()
        missed = ask(town, "said to a zombie")
        await answered(town, missed)
        (session,) = town.discord.hub.sessions
        assert len(session.resumes) == 1


async def test_a_connection_that_answers_heartbeats_and_nothing_else_is_noticed_and_resumed(
    town: Town,
) -> None:
    town.timing = replace(QUICK, silence=0.6, probe=0.4)
    async with town.open():
        (session,) = town.discord.hub.sessions
        await answered(town, ask(town, "before"))
        session.deaf = True
        beats = len(session.heartbeats)
        # Told of nothing, but it is kept: what a RESUME gives.
        town.discord.hub.hold()
        missed = ask(town, "said to the deaf")
        await town.until(lambda: session.member_requests and session.resumes)
        session.deaf = False
        town.discord.hub.release()
        await answered(town, missed)
        assert len(session.heartbeats) > beats
        assert len(town.discord.hub.sessions) == 1


async def test_a_gateway_that_refuses_connections_is_tried_until_it_takes_one(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    town.house.script(
        {"match": "slow", "steps": [{"do": "stall", "seconds": 0.5}, {"do": "result", "text": "done"}]}
    )
    caplog.set_level("INFO", "roost.troubles")
    async with town.open():
        await ready(town)
        thread = await town.thread_of(ask(town, "slow"))
        hub = town.discord.hub
        hub.refuse(times=12)
        tried = hub.connections
        hub.drop()
        missed = ask(town, "missed")
        # The reply goes out meanwhile: it needs no gateway.
        await town.reads(thread, "done")
        assert not hub.live
        await town.thread_of(missed)
        assert hub.connections - tried == 13
        assert len(hub.sessions) == 1
        assert "discord does not work: Discord cannot be reached (its gateway answers 503)" in caplog.text
        assert "Traceback" not in caplog.text
        await town.house.until(lambda: "discord works again" in caplog.text)


# -------------------------------------------------------------------- connections that begin anew


@pytest.mark.parametrize("minutes", [0, 10])
async def test_what_an_ended_session_has_missed_is_read_and_a_long_gap_is_told(
    town: Town, minutes: int
) -> None:
    async with town.open():
        old = ask(town, "before")
        await answered(town, old)
        thread, direct = await town.thread_of(old), town.discord.dm(town.ada)
        town.ada.say(direct, "hello")
        await town.reads(direct, "hello", "You said: hello")
        hub = town.discord.hub
        await away(town, minutes=minutes)
        missed = [ask(town, f"missed {n}") for n in range(2)]
        follow_up = town.ada.say(thread, "and then?")
        town.ada.say(direct, "still there?")
        town.ada.say(town.general, "not for the bot")
        robot = town.discord.person("Robot", bot=True)
        town.lab.join(robot)
        robot.say(town.general, "I am one, too", mention=[town.discord.bot])
        await answered(town, *missed)
        await town.until(
            lambda: "You said: and then?" in thread.texts and "You said: still there?" in direct.texts
        )
        await town.house.until_quiet_everywhere()
        if minutes:
            await town.until(lambda: all(notices(each) for each in (town.general, thread, direct)))
        assert len(hub.sessions) == 2
        assert [n for _, _, n in notices(town.general)] == ([2] if minutes else [])
        assert [n for _, _, n in notices(thread)] == ([1] if minutes else [])
        assert [n for _, _, n in notices(direct)] == ([1] if minutes else [])
        assert thread.texts.count("You said: before") == thread.texts.count("You said: and then?") == 1
        assert follow_up.place is thread
        assert len(town.general.threads) == 3
        for began, ended, _ in notices(town.general):
            assert 9 * 60 < ended - began < 12 * 60


async def test_an_edit_in_a_gap_is_told_as_well(town: Town) -> None:
    async with town.open():
        said = ask(town, "before")
        await answered(town, said)
        await away(town, minutes=1)
        town.ada.edit(said, f"{town.discord.bot.mention} as it reads now")
        await town.house.until(
            lambda: bool(town.house.query("SELECT 1 FROM inbox WHERE content LIKE '%as it reads now%'"))
        )
        assert notices(town.general) == []


async def test_a_gap_in_which_nothing_was_missed_is_not_told(town: Town) -> None:
    async with town.open():
        await answered(town, ask(town, "before"))
        town.ada.say(town.general, "I talk to myself")
        await away(town, minutes=10)
        await town.until(lambda: len(town.discord.hub.sessions) == 2)
        await answered(town, ask(town, "after"))
        assert len(town.general.texts) == 3


async def test_of_a_channel_with_too_much_the_newest_is_read_and_that_is_told(town: Town) -> None:
    async with town.open():
        await answered(town, ask(town, "before"))
    lost = ask(town, "too long ago")
    for n in range(99):
        town.ada.say(town.general, f"talk {n}")
    found = ask(town, "recent")
    town.house.clock_ahead_ms += 600_000
    async with town.open():
        await answered(town, found)
        await town.until(lambda: notices(town.general))
        assert lost.thread is None
        assert town.general.texts[-1].endswith("There were more; I have read the newest 100.")
        assert notices(town.general)[0][2] == 1


async def test_what_is_said_while_the_service_is_stopped_is_answered_once_when_it_starts(town: Town) -> None:
    async with town.open():
        before = ask(town, "before")
        await answered(town, before)
    missed = [ask(town, f"missed {n}") for n in range(3)]
    async with town.open():
        await answered(town, before, *missed)
    async with town.open():
        await answered(town, ask(town, "after"), before, *missed)


async def test_a_channel_that_cannot_be_read_at_first_is_read_later(town: Town) -> None:
    async with town.open():
        await answered(town, ask(town, "before"))
    missed = ask(town, "missed")
    fault = town.discord.fail("GET", rf"^/channels/{town.general.id}/messages$", how="reset_before", times=4)
    async with town.open():
        await answered(town, missed)
        assert fault.met == 4


async def test_every_shard_reads_its_own_gap_and_is_watched_by_itself(house: House) -> None:
    settings = replace(BEATS, shards=2)
    async with DiscordServer(clock=house.now, gateway=settings) as discord:
        town = Town(house, discord, timing=replace(QUICK, silence=0.8, probe=0.3))
        guilds = [town.lab]
        while len({(int(each.id) >> 22) % 2 for each in guilds}) < 2:
            guilds.append(discord.guild(f"Lab {len(guilds)}"))
            guilds[-1].join(town.ada)
        other = guilds[-1].channel("other")
        places = [town.general, other]
        hub = discord.hub
        async with town.open():
            await town.until(lambda: len(hub.live) == 2)
            await answered(town, *(ask(town, "before", place=each) for each in places))
        missed = [ask(town, "missed", place=each) for each in places]
        async with town.open():
            await answered(town, *missed)
            one, two = sorted(hub.live, key=lambda each: each.shard)
            assert (one.shard, two.shard) == ((0, 2), (1, 2))
            quiet = one if one.serves(other.guild.id if other.guild else None) else two
            busy = two if quiet is one else one
            quiet.deaf = True

            said = 0

            def resumed() -> bool:
                nonlocal said
                if not quiet.resumes and said < len(busy.heartbeats):
                    said = len(busy.heartbeats)
                    town.ada.say(town.general, "busy")
                return bool(quiet.resumes)

            await town.until(resumed)
            assert said and not busy.resumes


async def test_what_is_said_after_the_service_was_killed_is_answered_once_by_the_next_one(town: Town) -> None:
    discord = town.discord
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.service.town_child", str(town.house.data.parent)),
        *(discord.rest_url, discord.gateway_url, discord.token, town.ada.id),
    )
    try:
        async with asyncio.timeout(30):
            await discord.until(lambda: discord.hub.live, seconds=30)
            await ready(town)
            before = ask(town, "before")
            await town.thread_of(before)
    finally:
        child.kill()
        await child.wait()
    missed = [ask(town, f"missed {n}") for n in range(3)]
    async with town.open():
        await answered(town, before, *missed)


async def test_the_service_stops_also_while_it_connects_anew(town: Town) -> None:
    async with asyncio.timeout(20):
        async with town.open():
            await ready(town)
            tried = town.discord.hub.connections
            town.discord.hub.refuse(times=1_000)
            town.discord.hub.drop()
            await town.until(lambda: town.discord.hub.connections > tried + 2)
