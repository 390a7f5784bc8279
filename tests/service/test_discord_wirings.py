"""How a wiring changes what happens on Discord, over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.discord_server import DiscordServer
from tests.service.conftest import House
from tests.service.town import Town, wirings

SUPPRESS_EMBEDS = 1 << 2


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with DiscordServer() as discord:
        yield Town(house, discord)


async def test_without_threads_it_is_answered_in_place_and_one_conversation(town: Town) -> None:
    town.house.wirings = wirings({"threads": False})
    async with town.open():
        first = town.ada.say(town.general, "one", mention=[town.discord.bot])
        await town.until(lambda: len(town.general.messages) == 2)
        second = town.ada.say(town.general, "two", mention=[town.discord.bot])
        await town.until(lambda: len(town.general.messages) == 4)
        answers = [each for each in town.general.messages if each.author is town.discord.bot]
        assert [each.text for each in answers] == ["You said: one", "You said: two"]
        assert [each.reference for each in answers] == [first, second]
        assert town.general.threads == []
        assert len(town.house.query("SELECT 1 FROM sessions WHERE channel = 'discord'")) == 1


async def test_a_place_where_everything_is_for_the_agent_and_anybody_may_talk(town: Town) -> None:
    town.house.wirings = wirings({"place": town.general.id, "engage": "all", "strangers": "answer"})
    other = town.lab.channel("other")
    async with town.open():
        said = town.bob.say(town.general, "hello everybody")
        thread = await town.thread_of(said)
        await town.reads(thread, "You said: hello everybody")
        town.bob.say(other, "hello", mention=[town.discord.bot])
        assert await town.answer_to("now", place=other) == "You said: now"
        assert len(other.threads) == 1


async def test_a_thread_that_the_bot_was_not_called_into_is_not_its_own(town: Town) -> None:
    async with town.open():
        thread = town.ada.thread(town.general, "among us")
        town.ada.say(thread, "shall we have lunch?")
        town.ada.say(thread, "and you?", mention=[town.discord.bot])
        await town.until(lambda: thread.texts[-1] == "You said: and you?")
        town.ada.say(thread, "good idea")
        await town.until(lambda: thread.texts[-1] == "You said: good idea")
        town.ada.say(thread, "what do you think?", mention=[town.bob])
        town.ada.say(thread, "last one")
        await town.until(lambda: thread.texts[-1] == "You said: last one")
        assert not [
            text for text in thread.texts if "what do you think" in text and text.startswith("You said")
        ]


async def test_nobody_is_notified_and_no_link_is_looked_behind_unless_a_wiring_says_so(town: Town) -> None:
    text = f"@everyone ask <@{town.bob.id}> about https://example.org"
    town.house.script({"steps": [{"do": "result", "text": text}]})
    quiet, loud = town.lab.channel("quiet"), town.lab.channel("loud")
    town.house.wirings = wirings({"place": loud.id, "mentions": True, "previews": True})
    async with town.open():
        said = {}
        for place in (quiet, loud):
            asked = town.ada.say(place, "who?", mention=[town.discord.bot])
            thread = await town.thread_of(asked)
            await town.until(lambda thread=thread: thread.messages)
            said[place.name] = thread.messages[0]
        assert said["quiet"].flags & SUPPRESS_EMBEDS and not said["loud"].flags & SUPPRESS_EMBEDS
        assert not said["quiet"].pings.users and list(said["loud"].pings.users) == [town.bob]
        assert not said["loud"].pings.everyone


async def test_an_answer_that_may_not_stream_is_posted_once(town: Town) -> None:
    steps = [
        step
        for n in range(10)
        for step in ({"do": "delta", "text": f"w{n} "}, {"do": "stall", "seconds": 0.1})
    ]
    town.house.script({"steps": steps})
    town.house.wirings = wirings({"streaming": False})
    async with town.open():
        asked = town.ada.say(town.general, "go", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: thread.messages)
        assert thread.messages[0].text == "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9"
        assert len(thread.messages[0].edits) == 1


async def test_commands_of_a_development_server_are_registered_there_alone(town: Town) -> None:
    async with town.open():
        await town.until(lambda: list(town.discord.commands.leaves(None)))
    town.servers = [int(town.lab.id)]
    async with town.open():
        await town.until(lambda: list(town.discord.commands.leaves(town.lab.id)))
        assert not list(town.discord.commands.leaves(None))
