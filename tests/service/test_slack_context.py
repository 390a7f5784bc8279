"""The bot is called into a thread on Slack in which people have talked before."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator

import pytest

from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message
from tests.service.conftest import House
from tests.service.slack_town import Town


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    house.script({"steps": [{"do": "result", "text": "{prompt}"}]})
    async with SlackServer() as slack:
        yield Town(house, slack)


async def told(town: Town, root: Message, text: str, answers: int) -> list[tuple[str, str]]:
    """Who had said what in a thread, as the agent reads it that answers there."""

    def mine() -> list[str]:
        said = (each for each in root.replies if each.user is town.slack.bot and not each.streaming)
        return [each.shown for each in said][answers:]

    await town.until(lambda: "".join(mine()).endswith("</messages>"))
    prompt = ET.fromstring("".join(mine()))  # noqa: S314  # it is our own
    assert [each.text for each in prompt.findall("message")] == [text]
    return [(said.attrib["by"], said.text or "") for said in prompt.findall("thread/said")]


async def asked(town: Town, root: Message, text: str = "why?") -> list[tuple[str, str]]:
    """Ada calls the bot into a thread."""
    answers = sum(each.user is town.slack.bot for each in root.replies)
    town.ada.say(root.place, text, thread=root, mention=[town.slack.bot])
    return await told(town, root, text, answers)


async def test_the_agent_reads_what_was_said_in_the_thread_once(town: Town) -> None:
    async with town.open():
        root = town.bob.say(town.general, "The door is stuck")
        town.bob.say(town.general, thread=root, files=[("door.png", b"x", "image/png")])
        town.ada.say(town.general, "Which one?", thread=root)
        assert await asked(town, root) == [
            ("Bob", "The door is stuck"),
            ("Bob", "\n[file] door.png"),
            ("Ada", "Which one?"),
        ]
        town.bob.say(town.general, "the red one", thread=root)
        assert await asked(town, root, "and now?") == [], "what it was told it remembers"


async def test_the_words_of_the_bot_are_left_out_unless_the_thread_begins_with_them(town: Town) -> None:
    slack = town.slack
    async with town.open():
        root = slack.world.post(Message(town.general, slack.world.ts(), slack.bot, "Good morning"))
        town.bob.say(town.general, "one", thread=root)
        slack.world.post(Message(town.general, slack.world.ts(), slack.bot, "I was offline", thread=root))
        assert await asked(town, root) == [("roost", "Good morning"), ("Bob", "one")]


async def test_of_a_long_thread_it_reads_how_it_began_and_how_it_went_on_last(town: Town) -> None:
    async with town.open():
        root = town.bob.say(town.general, "The door is stuck")
        for number in range(1_100):
            slack = town.slack
            said = Message(town.general, slack.world.ts(), town.bob, f"{number}", thread=root)
            town.general.known[said.ts] = said
            root.replies.append(said)
        texts = [text for _, text in await asked(town, root)]
        assert texts == ["The door is stuck", *map(str, range(1_071, 1_100))]


async def test_a_message_in_a_channel_brings_nothing(town: Town) -> None:
    async with town.open():
        town.bob.say(town.general, "The door is stuck")
        said = town.ask("why?")
        assert await told(town, said, "why?", 0) == []


async def test_a_thread_that_cannot_be_read_costs_no_answer(town: Town) -> None:
    async with town.open():
        root = town.bob.say(town.general, "The door is stuck")
        town.slack.refuse("missing_scope", "conversations.replies")
        assert await asked(town, root) == []


async def test_whoever_asks_about_a_message_brings_its_thread(town: Town) -> None:
    async with town.open():
        root = town.bob.say(town.general, "The door is stuck")
        about = town.bob.say(town.general, "It is the red one", thread=root)
        town.ada.say(town.general, "I see", thread=root)
        await town.until(lambda: all(each.acked for each in town.slack.hub.envelopes))
        given = town.ada.shortcut(about)
        await town.until(lambda: given.views)
        town.ada.fill(given, "why?")
        assert await told(town, root, "why?", 0) == [
            ("Bob", "The door is stuck"),
            ("Bob", "It is the red one"),
            ("Ada", "I see"),
        ]
