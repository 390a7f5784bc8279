"""The roles of people on Discord: told with every kind of event, and looked up where Discord leaves them out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.base import Outgoing
from adapters.discord import ids
from tests.fakes.discord_things import Role
from tests.service.discord_lab import Lab, standing


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with standing() as made:
        yield made


def roles(lab: Lab) -> list[Role]:
    """Two, which Ada has from now on."""
    made = [lab.lab.role("Admins"), lab.lab.role("Helpers")]
    lab.lab.join(lab.ada, made)
    return made


def looked_up(lab: Lab) -> int:
    """How often somebody's roles were asked for."""
    return sum("/members/" in each.path for each in lab.discord.requests)


async def test_messages_edits_and_reactions_say_which_roles_their_person_has(lab: Lab) -> None:
    mine = tuple(each.id for each in roles(lab))
    async with lab.open():
        said = lab.ada.say(lab.general, "hello")
        assert (await lab.one("message")).sender.groups == mine
        lab.ada.edit(said, "hello there")
        assert (await lab.one("edit")).sender.groups == mine
        (sent,) = lab.messages(await lab.send(_out(lab, "well")))
        lab.ada.react(sent, "\N{THUMBS UP SIGN}")
        assert (await lab.one("reaction")).sender.groups == mine
        lab.ada.unreact(sent, "\N{THUMBS UP SIGN}")
        await lab.until(lambda: len(lab.of_kind("reaction")) == 2)
        back = lab.of_kind("reaction")[1]
        # Discord does not say who has which roles there; it was known a moment ago.
        assert back.taken_back and back.sender.groups == mine
        lab.bob.say(lab.general, "hello")
        await lab.until(lambda: len(lab.of_kind("message")) == 2)
        assert lab.of_kind("message")[1].sender.groups == ()
        assert looked_up(lab) == 0


async def test_what_is_known_of_somebody_is_forgotten_within_a_minute(lab: Lab) -> None:
    roles(lab)
    async with lab.open():
        lab.ada.say(lab.general, "hello")
        await lab.one("message")
        (sent,) = lab.messages(await lab.send(_out(lab, "well")))
        lab.ada.react(sent, "\N{THUMBS UP SIGN}")
        await lab.one("reaction")
        lab.ahead_ms = 60_000
        lab.ada.unreact(sent, "\N{THUMBS UP SIGN}")
        await lab.until(lambda: len(lab.of_kind("reaction")) == 2)
        assert lab.of_kind("reaction")[1].sender.groups == ()


async def test_commands_forms_and_what_is_typed_say_so_as_well(lab: Lab) -> None:
    mine = tuple(each.id for each in roles(lab))
    async with lab.open():
        await lab.ada.command("status", lab.general).answer()
        form = lab.ada.command("agent instruct", lab.general, name="helper")
        await form.answer()
        await lab.ada.submit(form, {"text": "Be kind."}).answer()
        said = lab.bob.say(lab.general, "the moon is made of cheese")
        form = lab.ada.menu("Ask Roost about this", said)
        await form.answer()
        await lab.ada.submit(form, {"answer": "Is that so?"}).answer()
        assert [each.sender.groups for each in lab.of_kind("command")] == [mine, mine]
        assert lab.of_kind("message")[-1].sender.groups == mine


async def test_in_direct_messages_nobody_has_roles(lab: Lab) -> None:
    roles(lab)
    async with lab.open():
        lab.ada.say(lab.discord.dm(lab.ada), "hello")
        assert (await lab.one("message")).sender.groups == ()
        await lab.ada.command("status", lab.discord.dm(lab.ada)).answer()
        event = await lab.one("command")
        assert event.sender.groups == () and event.direct
        assert looked_up(lab) == 0


async def test_a_role_of_one_server_says_nothing_in_another(lab: Lab) -> None:
    (admins, _) = roles(lab)
    other = lab.discord.guild("Other")
    same_name = other.role("Admins")
    other.join(lab.ada, [same_name])
    there = other.channel("there")
    async with lab.open():
        lab.ada.say(there, "hello")
        event = await lab.one("message")
        assert event.sender.groups == (same_name.id,) and same_name.id != admins.id


async def test_the_roles_of_whoever_spoke_in_a_gap_are_looked_up_once(lab: Lab) -> None:
    mine = tuple(each.id for each in roles(lab))
    async with lab.open():
        lab.ada.say(lab.general, "before")
        await lab.one("message")
    lab.ada.say(lab.general, "one")
    lab.ada.say(lab.general, "two")
    lab.lab.webhook("News", lab.general).say("three")
    lab.ahead_ms = 120_000
    async with lab.open():
        await lab.until(lambda: len(lab.of_kind("message")) >= 5)
        said = {each.text: each.sender for each in lab.of_kind("message")}
        assert said["one"].groups == said["two"].groups == mine
        assert said["three"].groups == () and said["three"].is_bot
        assert looked_up(lab) == 1


async def test_who_has_left_or_cannot_be_looked_up_has_no_roles(lab: Lab) -> None:
    roles(lab)
    async with lab.open():
        lab.ada.say(lab.general, "before")
        await lab.one("message")
    lab.ada.say(lab.general, "one")
    lab.lab.leave(lab.ada)
    lab.ahead_ms = 120_000
    async with lab.open():
        await lab.until(lambda: [each for each in lab.of_kind("message") if each.text == "one"])
        (event,) = [each for each in lab.of_kind("message") if each.text == "one"]
        assert event.sender.groups == ()


# ---------------------------------------------------------------- the names of places


async def test_the_service_is_told_of_channels_of_their_names_and_of_their_end(lab: Lab) -> None:
    lobby = lab.lab.channel("lobby")
    async with lab.open():
        await lab.until(lambda: len(lab.host.places) >= 2)
        assert ("discord", lobby.id, "lobby", False) in lab.host.places
        lobby.rename("hall")
        await lab.until(lambda: ("discord", lobby.id, "hall", False) in lab.host.places)
        new = lab.lab.channel("new")
        await lab.until(lambda: ("discord", new.id, "new", False) in lab.host.places)
        lobby.delete()
        await lab.until(lambda: ("discord", lobby.id, "hall", True) in lab.host.places)


def _out(lab: Lab, text: str) -> Outgoing:
    return Outgoing(f"o-{text}", ids.route(int(lab.general.id)), text, session="s")
