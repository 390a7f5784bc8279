"""A budget on Discord, over the wire: it is used up in a conversation, and an admin extends it by a button."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from bot.db import people
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place
from tests.service.conftest import House
from tests.service.town import Town


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with DiscordServer() as discord:
        yield Town(house, discord)


def card_in(place: Place) -> Message | None:
    return next((each for each in place.messages if each.components), None)


async def test_a_conversation_goes_on_when_an_admin_has_pressed_extend(town: Town) -> None:
    town.house.money = {
        "gateway": {"prices": {"mock": {"input": 1_000.0, "output": 1_000.0}}},
        "usage": {"footer": True},
    }
    async with town.open():
        await town.until(lambda: list(town.discord.commands.leaves(None)))
        await town.house.app.db.write(
            partial(people.grant, channel="discord", user_id=town.bob.id, role="member", now=0)
        )
        made = await town.ada.command(
            "budget set", town.general, subject=f"<@{town.bob.id}>", period="day", usd="0.01"
        ).answer()
        assert made.ephemeral and f"the person discord:{town.bob.id} is $0.01 for each day now" in made.text
        said = town.bob.say(town.general, "one two three four five six", mention=[town.discord.bot])
        thread = await town.thread_of(said)
        await town.until(lambda: any("14 tokens · $0.0140 · " in text for text in thread.texts))
        town.bob.say(thread, "and now?")
        await town.until(lambda: any("is used up ($0.01); it begins again" in text for text in thread.texts))
        await town.until(lambda: card_in(thread) is not None)
        card = card_in(thread)
        assert card is not None
        told = await town.bob.click(card, "Extend by half ($0.0050)").answer()
        assert told.ephemeral and "admin" in told.text
        assert not any("You said: and now?" in text for text in thread.texts)
        told = await town.ada.click(card, "Extend by the same again ($0.01)").answer()
        assert "is $0.02 now, $0.01 more; $0.0140 of it is spent" in told.text
        await town.until(lambda: any("You said: and now?" in text for text in thread.texts))
        await town.until(lambda: not card.components and "Extended by $0.01 by " in card.text)
        used = await town.bob.command("usage", thread).answer()
        assert used.ephemeral and "Usage of yours" in used.text
        shown = await town.bob.command("budget show", thread, subject="me").answer()
        assert "this month" not in shown.text and "$0.02 spent" in shown.text
