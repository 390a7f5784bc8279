"""Typed options of commands on Discord, and forms for the long ones."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.base import Receipt
from adapters.discord.forms import GONE, NOTES
from adapters.discord.interactions import NOT_READ
from tests.fakes.discord_asking import CannotDo
from tests.fakes.discord_interactions import Asked
from tests.service.discord_lab import Lab, standing


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with standing() as made:
        yield made


async def test_people_roles_and_channels_are_chosen_and_come_as_ids(lab: Lab) -> None:
    role = lab.lab.role("Admins")
    async with lab.open():
        given = lab.ada.command(
            "role grant", lab.general, who=role, person=lab.bob, group=role, place=lab.general
        )
        assert (await given.answer()).ephemeral
        event = await lab.one("command")
        assert event.command == "role grant"
        assert event.arguments == {
            "who": f"<@&{role.id}>",
            "person": lab.bob.id,
            "group": role.id,
            "place": lab.general.id,
        }
        await lab.ada.command("role grant", lab.general, who=lab.bob).answer()
        assert lab.of_kind("command")[1].arguments == {"who": f"<@{lab.bob.id}>"}


async def test_commands_for_admins_can_be_hidden_from_those_who_do_not_manage_the_server(lab: Lab) -> None:
    manager = lab.lab.role("Managers", 1 << 5)
    lab.lab.join(lab.ada, [manager])
    async with lab.open(hide_admins=True):
        await lab.ada.command("role grant", lab.general, who=lab.bob).answer()
        with pytest.raises(CannotDo):
            lab.bob.command("role grant", lab.general, who=lab.bob)
        await lab.bob.command("status", lab.general).answer()


async def test_a_long_option_that_is_left_out_is_asked_for_in_a_form(lab: Lab) -> None:
    text = "You are kind.\n\n" + "And patient. " * 250
    async with lab.open():
        form = lab.ada.command("agent instruct", lab.general, name="helper & <co>")
        shown = (await form.answer()).modal
        assert shown is not None and not lab.host.events
        assert shown["title"] == "agent instruct"
        fields = [each["component"] for each in shown["components"]]
        assert [(each["custom_id"], each["required"], each["max_length"]) for each in fields] == [
            ("text", True, 4_000),
            ("more", False, 2_000),
        ]
        lab.host.receipts = [Receipt("accepted", "It is so.")]
        told = await lab.ada.submit(form, {"text": text}).answer()
        assert (told.text, told.ephemeral) == ("It is so.", True)
        event = await lab.one("command")
        assert (event.kind, event.command) == ("command", "agent instruct")
        assert event.arguments == {"name": "helper & <co>", "text": text}
        assert event.sender.id == lab.ada.id


async def test_what_is_given_at_once_needs_no_form(lab: Lab) -> None:
    async with lab.open():
        await lab.ada.command(
            "agent instruct", lab.general, name="helper", text="Be kind.", more="x"
        ).answer()
        assert (await lab.one("command")).arguments == {"name": "helper", "text": "Be kind.", "more": "x"}


async def test_a_form_can_be_filled_in_after_a_restart_also_where_much_was_given(lab: Lab) -> None:
    name = "x" * 120
    async with lab.open():
        short = lab.ada.command("agent instruct", lab.general, name="helper")
        long = lab.ada.command("agent instruct", lab.general, name=name)
        await short.answer()
        await long.answer()
    async with lab.open():
        await lab.ada.submit(short, {"text": "one"}).answer()
        await lab.ada.submit(long, {"text": "two"}).answer()
        assert [each.arguments for each in lab.of_kind("command")] == [
            {"name": "helper", "text": "one"},
            {"name": name, "text": "two"},
        ]
        await lab.until(lambda: not [key for key in lab.host.notes.texts if key.startswith(NOTES)])
        again = lab.bob.submit(long, {"text": "three"})
        assert (await again.answer()).text == GONE
        assert len(lab.of_kind("command")) == 2


async def test_what_a_form_was_about_is_forgotten_after_a_day(lab: Lab) -> None:
    async with lab.open():
        await lab.ada.command("agent instruct", lab.general, name="x" * 120).answer()
        assert [key for key in lab.host.notes.texts if key.startswith(NOTES)]
    lab.ahead_ms = 86_400_001
    async with lab.open():
        assert not [key for key in lab.host.notes.texts if key.startswith(NOTES)]


async def test_a_form_that_is_forged_gives_a_command_of_whoever_sends_it(lab: Lab) -> None:
    async with lab.open():
        lab.host.receipts = [Receipt("refused", "This command is for people with the role admin.")]
        told = await forged(lab, "rc:agent instruct?name=helper", "text")
        assert told == "This command is for people with the role admin."
        event = await lab.one("command")
        assert (event.sender.id, event.arguments) == (lab.bob.id, {"name": "helper", "text": "words"})


@pytest.mark.parametrize("custom_id", ["", "rx:agent instruct?", "rm", "rq:0:card:abc", "ra:x", "ra:"])
async def test_a_form_that_is_none_is_refused(lab: Lab, custom_id: str) -> None:
    async with lab.open():
        assert await forged(lab, custom_id, "answer") == NOT_READ
        assert not lab.host.events


async def forged(lab: Lab, custom_id: str, field: str) -> str:
    """What Bob is told, who sends a form that nobody has shown him."""
    component = {"type": 4, "id": 11, "custom_id": field, "value": "words"}
    data = {"custom_id": custom_id, "components": [{"type": 18, "id": 10, "component": component}]}
    given = lab.bob.interactions.begin(Asked.MODAL, lab.bob, lab.general, data)
    return (await given.answer()).text
