"""All that a message on Slack can be, over the wire: by what subtypes it comes, and what is attached to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.fakes.slack_server import SlackServer
from tests.service.conftest import House
from tests.service.slack_town import Town


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with SlackServer() as slack:
        yield Town(house, slack)


def heard(town: Town) -> list[str]:
    """The texts that agents were given."""
    rows = town.house.query("SELECT content FROM inbox WHERE kind = 'chat' ORDER BY accepted_at, seq")
    return [json.loads(row["content"])["text"] for row in rows]


async def test_what_somebody_does_is_said_as_well(town: Town) -> None:
    async with town.open():
        place = town.slack.dm(town.ada)
        asked = town.ada.say(place, "waves", subtype="me_message")
        await town.answers(asked, "You said: waves")


async def test_a_reply_that_stands_in_the_channel_as_well_is_a_reply(town: Town) -> None:
    async with town.open():
        asked = town.ask("hello")
        await town.answers(asked, "You said: hello")
        town.ada.say(town.general, "all of you", thread=asked, broadcast=True)
        await town.answers(asked, "You said: hello", "all of you", "You said: all of you")
        assert town.general.texts == [asked.shown, "all of you"]


async def test_a_file_without_a_word_is_a_message(town: Town) -> None:
    async with town.open():
        asked = town.ada.say(town.slack.dm(town.ada), files=[("a.txt", b"abc", "text/plain")])
        await town.until(lambda: asked.replies and not asked.replies[0].streaming)
        assert "I received a.txt (3 bytes)." in asked.replies[0].shown


async def test_what_is_forwarded_is_read(town: Town) -> None:
    shared = {
        "is_msg_unfurl": True,
        "is_share": True,
        "author_name": "Bob",
        "text": "The door &amp; the <https://example.org|window>",
        "from_url": "https://lab.slack.com/archives/C1/p1",
    }
    preview = {"from_url": "https://example.org/", "text": "A page about nothing"}
    async with town.open():
        asked = town.ada.say(town.slack.dm(town.ada), "look", attachments=[shared, preview])
        await town.until(lambda: asked.replies)
        assert heard(town) == ["look\n[forwarded] Bob: The door & the window (https://example.org)"]


async def test_slack_s_own_remarks_are_nobody_s_words(town: Town) -> None:
    async with town.open():
        remark = town.slack.world.remark(
            town.general, town.ada, "channel_topic", f"{town.slack.bot.mention} set the topic: help"
        )
        assert await town.answer_to("now") == "You said: now"
        assert not remark.replies and heard(town) == ["now"]


async def test_whoever_is_named_only_by_an_edit_is_asked_then(town: Town) -> None:
    async with town.open():
        asked = town.ada.say(town.general, "what is it")
        assert await town.answer_to("first") == "You said: first"
        before = asked.told()
        asked.text = f"{town.slack.bot.mention} what is it?"
        asked.blocks = []
        town.slack.world.rewrite(asked, before)
        await town.answers(asked, "You said: what is it?")


async def test_a_mention_that_comes_before_its_message_is_one_question(town: Town) -> None:
    town.slack.world.mention_first = True
    async with town.open():
        asked = town.ask("hello")
        await town.answers(asked, "You said: hello")
        await town.house.until_quiet_everywhere()
        assert heard(town) == ["hello"]


async def test_the_beginning_of_a_thread_that_is_taken_away_is_taken_back(town: Town) -> None:
    async with town.open():
        asked = town.ask("hello")
        await town.answers(asked, "You said: hello")
        await town.house.until_quiet_everywhere()
        town.ada.delete(asked)
        gone = "SELECT 1 FROM inbox WHERE kind = 'system'"
        await town.house.until(lambda: bool(town.house.query(gone)))


async def test_what_is_suggested_is_what_the_configuration_has(town: Town) -> None:
    town.settings = {"prompts": [("Today", "What is on today?")]}
    async with town.open():
        town.ada.open_messages()
        place = town.slack.dm(town.ada)
        await town.until(lambda: place.id in town.slack.prompts)
        assert town.slack.prompts[place.id] == [{"title": "Today", "message": "What is on today?"}]
        asked = town.ada.say(place, "What is on today?")
        await town.answers(asked, "You said: What is on today?")
        assert town.slack.session(asked).title in ("", "What is on today?")
