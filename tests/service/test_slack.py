"""A person's day on Slack, over the wire: the real client library, the real service, real runners."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.slack_server import SlackServer
from tests.service.conftest import House
from tests.service.slack_town import Town


@pytest.fixture(params=["socket", "http"])
async def town(house: House, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    async with SlackServer() as slack:
        yield Town(house, slack, mode=request.param)


async def test_a_mention_is_answered_in_a_thread_that_begins_with_it(town: Town) -> None:
    async with town.open():
        asked = town.ask("What is the *time*?")
        await town.answers(asked, "You said: What is the *time*?")
        assert town.general.texts == [asked.text]


async def test_two_threads_at_once_and_a_follow_up_stay_each_in_their_own(town: Town) -> None:
    async with town.open():
        one, two = town.ask("one"), town.ask("two")
        await town.answers(one, "You said: one")
        await town.answers(two, "You said: two")
        town.ada.say(town.general, "and one more", thread=one)
        town.ada.say(town.general, "and two more", thread=two)
        await town.answers(one, "You said: one", "and one more", "You said: and one more")
        await town.answers(two, "You said: two", "and two more", "You said: and two more")


async def test_a_direct_message_needs_no_mention_and_begins_a_thread(town: Town) -> None:
    async with town.open():
        place = town.slack.dm(town.ada)
        one, two = town.ada.say(place, "hello"), town.ada.say(place, "something else")
        await town.answers(one, "You said: hello")
        await town.answers(two, "You said: something else")


async def test_what_is_not_for_the_bot_and_what_strangers_say_is_let_be(town: Town) -> None:
    async with town.open():
        town.ada.say(town.general, "hello everybody")
        town.bob.say(town.general, "hello bot", mention=[town.slack.bot])
        assert await town.answer_to("now") == "You said: now"
        assert not any(each.replies for each in town.general.messages[:2])
