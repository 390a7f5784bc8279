"""The bot is called into a thread on Discord in which people have talked before."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator

import pytest

from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Place
from tests.fakes.discord_values import Permission
from tests.service.conftest import House
from tests.service.town import Town


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    house.script({"steps": [{"do": "result", "text": "{prompt}"}]})
    async with DiscordServer() as discord:
        yield Town(house, discord)


async def asked(town: Town, thread: Place, text: str = "why?") -> list[tuple[str, str]]:
    """Ada calls the bot into a thread: who had said what there, as the agent reads it."""
    before = sum(each.author is town.discord.bot for each in thread.messages)
    town.ada.say(thread, text, mention=[town.discord.bot])

    def answers() -> list[str]:
        return [each.text for each in thread.messages if each.author is town.discord.bot][before:]

    await town.until(lambda: "".join(answers()).endswith("</messages>"))
    prompt = "".join(answers())
    root = ET.fromstring(prompt)  # noqa: S314  # it is our own
    assert [each.text for each in root.findall("message")] == [text]
    return [(said.attrib["by"], said.text or "") for said in root.findall("thread/said")]


async def test_the_agent_reads_what_was_said_in_the_thread_once(town: Town) -> None:
    async with town.open():
        topic = town.bob.say(town.general, "The door is stuck")
        thread = town.bob.thread(town.general, "Door", topic)
        town.bob.say(thread, "since noon", files=[("door.png", b"x", "image/png")])
        town.ada.say(thread, "Which one?")
        assert await asked(town, thread) == [
            ("Bob", "The door is stuck"),
            ("Bob", "since noon\n[file] door.png"),
            ("Ada", "Which one?"),
        ]
        town.bob.say(thread, "the red one")
        assert await asked(town, thread, "and now?") == [], "what it was told it remembers"


async def test_the_words_of_the_bot_and_of_discord_are_left_out(town: Town) -> None:
    async with town.open():
        thread = town.bob.thread(town.general, "Plain")
        town.bob.say(thread, "one")
        town.discord.world.post(town.discord.world.draft(thread, town.discord.bot, "I was offline"))
        town.discord.world.add_thread(town.general, "Another", town.bob)
        assert await asked(town, thread) == [("Bob", "one")]


async def test_a_message_in_a_channel_brings_nothing(town: Town) -> None:
    async with town.open():
        town.bob.say(town.general, "The door is stuck")
        said = town.ada.say(town.general, "why?", mention=[town.discord.bot])
        thread = await town.thread_of(said)
        await town.until(lambda: any(each.text.endswith("</messages>") for each in thread.messages))
        assert "<said" not in thread.texts[0]


async def test_of_a_long_thread_it_reads_how_it_began_and_how_it_went_on_last(town: Town) -> None:
    async with town.open():
        thread = town.bob.thread(town.general, "Door", town.bob.say(town.general, "The door is stuck"))
        for number in range(130):
            town.bob.say(thread, f"{number}")
        told = [text for _, text in await asked(town, thread)]
        assert told == ["The door is stuck", *map(str, range(101, 130))]


async def test_a_thread_that_cannot_be_read_costs_no_answer(town: Town) -> None:
    async with town.open():
        thread = town.bob.thread(town.general, "Door")
        town.bob.say(thread, "since noon")
        town.general.deny(town.discord.bot, Permission.READ_MESSAGE_HISTORY)
        assert await asked(town, thread) == []
