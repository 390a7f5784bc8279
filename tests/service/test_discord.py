"""A person's day on Discord, over the wire: the real client library, the real service, real runners."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.discord_server import DiscordServer
from tests.service.conftest import House
from tests.service.town import Town


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with DiscordServer() as discord:
        yield Town(house, discord)


async def test_a_mention_opens_a_thread_named_after_the_question_and_is_answered_there(town: Town) -> None:
    async with town.open():
        asked = town.ada.say(town.general, "What is the *time*?", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.reads(thread, "You said: What is the *time*?")
        assert thread.name == "What is the time?"
        assert town.general.texts == [asked.text]
