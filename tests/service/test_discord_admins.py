"""The bot run by its admins on Discord, over the wire: roles of the server, forms, and names of channels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from bot.db import places
from bot.db.places import Place
from tests.fakes.discord_server import DiscordServer
from tests.service.conftest import House
from tests.service.town import Town


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with DiscordServer() as discord:
        yield Town(house, discord)


async def ready(town: Town) -> None:
    await town.until(lambda: list(town.discord.commands.leaves(None)))


async def test_a_role_of_the_server_lets_people_in_as_long_as_they_have_it(town: Town) -> None:
    helpers = town.lab.role("Helpers")
    other = town.lab.role("Others")
    async with town.open():
        await ready(town)
        town.lab.join(town.bob, [helpers])
        told = await town.ada.command("role grant", town.general, who=helpers, role="member").answer()
        assert told.ephemeral and "member" in told.text
        said = town.bob.say(town.general, "hello", mention=[town.discord.bot])
        thread = await town.thread_of(said)
        await town.reads(thread, "You said: hello")
        town.lab.join(town.bob, [other])
        town.bob.say(thread, "and now?")
        town.ada.say(thread, "still there?")
        await town.until(lambda: "You said: still there?" in thread.texts)
        assert "You said: and now?" not in thread.texts
        assert (await town.bob.command("whoami", thread).answer()).ephemeral


async def test_who_has_the_role_may_speak_also_while_nobody_listens(town: Town) -> None:
    helpers = town.lab.role("Helpers")
    async with town.open():
        await ready(town)
        town.lab.join(town.bob, [helpers])
        await town.ada.command("role grant", town.general, who=helpers, role="member").answer()
    said = town.bob.say(town.general, "anybody?", mention=[town.discord.bot])
    async with town.open():
        await town.reads(await town.thread_of(said), "You said: anybody?")


async def test_an_agent_is_made_in_the_channel_with_its_instructions_in_a_form(town: Town) -> None:
    text = "You are kind.\n\n" + "And patient. " * 300
    async with town.open():
        await ready(town)
        form = town.ada.command("agent create", town.general, name="helper")
        assert (await form.answer()).modal is not None
        told = await town.ada.submit(form, {"instructions": text}).answer()
        assert told.ephemeral and "helper" in told.text
        assert town.house.app.context.roster["helper"].instructions == text
        refused = town.bob.command("agent create", town.general, name="mine")
        await refused.answer()
        assert "may not" in (await town.bob.submit(refused, {"instructions": "x"}).answer()).text
        assert "mine" not in town.house.app.context.roster


async def test_a_place_that_admins_have_set_keeps_its_name(town: Town) -> None:
    async with town.open():
        await ready(town)
        row = Place("discord", town.general.id)
        await town.house.app.db.write(partial(places.put, place=row, now=1))
        town.general.rename("lobby")
        key = ("discord", town.general.id)
        await town.until(lambda: town.house.app.context.place_names.of(*key) == "lobby")
        await town.house.until(lambda: town.house.query("SELECT 1 FROM places WHERE name = 'lobby'") != [])


async def test_what_is_said_to_a_report_goes_on_with_its_conversation(town: Town) -> None:
    async with town.open():
        await ready(town)
        given = {"when": "every Monday at 8", "prompt": "report", "yes": True}
        made = await town.ada.command("schedule create", town.general, **given).answer()
        (series,) = town.house.query("SELECT id FROM series")
        assert series["id"] in made.text
        await town.ada.command("schedule run", town.general, id=series["id"]).answer()
        await town.until(lambda: any("report" in each.text for each in town.general.messages))
        report = next(each for each in town.general.messages if "report" in each.text)
        town.ada.say(town.general, "and then?", reply_to=report)
        await town.until(lambda: any("You said: and then?" in text for text in town.general.texts))
        asked = town.house.query("SELECT DISTINCT session FROM inbox WHERE kind IN ('chat', 'task')")
        assert len(asked) == 1 and town.general.threads == []
