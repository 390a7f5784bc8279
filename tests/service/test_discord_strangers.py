"""Over the wire to a Discord on loopback: a stranger turns to the bot, an admin presses a button, the stranger is
answered in a thread on their message."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.access import ASKED
from bot.strangers import ALLOW, WIRE
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place
from tests.service.conftest import House
from tests.service.town import Town, wirings


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    house.script({"steps": [{"do": "result", "text": "Welcome."}]})
    async with DiscordServer() as discord:
        yield Town(house, discord)


async def card(town: Town, beginning: str) -> tuple[Place, Message]:
    """The card in Ada's direct conversation."""
    place = town.discord.dm(town.ada)
    await town.until(lambda: any(each.text.startswith(beginning) for each in place.messages))
    return place, next(each for each in place.messages if each.text.startswith(beginning))


async def test_whoever_is_allowed_is_answered_in_a_thread_on_their_message(town: Town) -> None:
    town.house.wirings = wirings({"strangers": "ask"})
    async with town.open():
        said = town.bob.say(town.general, "May I?", mention=[town.discord.bot])
        await town.until(lambda: ASKED in town.general.texts)
        _, shown = await card(town, f"**Bob (discord:{town.bob.id}) wants to talk to the agent")
        assert "> May I?" in shown.text
        town.ada.click(shown, ALLOW)
        thread = await town.thread_of(said)
        await town.until(lambda: "Welcome." in thread.texts)
        await town.until(lambda: f"{ALLOW} by Ada." in shown.text)


async def test_a_place_is_wired_from_a_direct_message_to_its_owner(town: Town) -> None:
    async with town.open():
        said = town.bob.say(town.general, "Hello?", mention=[town.discord.bot])
        _, shown = await card(town, f"**Bob (discord:{town.bob.id}) wrote in a place that nobody has wired")
        assert town.general.messages == [said], "nobody is told anything there"
        town.ada.click(shown, WIRE)
        thread = await town.thread_of(said)
        await town.until(lambda: "Welcome." in thread.texts)
