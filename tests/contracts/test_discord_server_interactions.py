"""The fake Discord's commands and interactions, answered by the real discord.py client and by a raw one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import discord
import pytest
from discord import app_commands

from tests.contracts.discord_rig import Bot, HandClock, Rig, connected, serving
from tests.fakes.discord_asking import CannotDo
from tests.fakes.discord_interactions import Asked, Callback, Interaction

Patch = pytest.MonkeyPatch
Chat = discord.Interaction[Bot]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def rig(clock: HandClock) -> AsyncIterator[Rig]:
    async with serving(clock=clock, limits="none") as made:
        yield made


class Form(discord.ui.Modal, title="A form"):
    """Asks for a text."""

    name: discord.ui.TextInput[Form] = discord.ui.TextInput(label="Name", custom_id="name")

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"hello {self.name.value}", ephemeral=True)


class Buttons(discord.ui.View):
    """Two buttons and a select."""

    @discord.ui.button(label="Yes", custom_id="yes")
    async def yes(self, chat: Chat, button: discord.ui.Button[Buttons]) -> None:
        button.disabled = True
        await chat.response.edit_message(content="yes it is", view=self)

    @discord.ui.button(label="Form", custom_id="form")
    async def form(self, chat: Chat, button: discord.ui.Button[Buttons]) -> None:
        await chat.response.send_modal(Form())

    @discord.ui.button(label="Later", custom_id="later")
    async def later(self, chat: Chat, button: discord.ui.Button[Buttons]) -> None:
        await chat.response.defer()
        await chat.followup.send("later it is")

    @discord.ui.select(custom_id="pick", options=[discord.SelectOption(label=each) for each in "abc"])
    async def pick(self, chat: Chat, select: discord.ui.Select[Buttons]) -> None:
        await chat.response.send_message(f"picked {select.values}", ephemeral=True)


def commands(bot: Bot) -> None:
    """Registers what the tests give."""
    roost = app_commands.Group(name="roost", description="Everything of Roost's")
    session = app_commands.Group(name="session", description="Sessions", parent=roost)

    @session.command(name="show", description="Shows a session")
    @app_commands.rename(session_id="id")
    async def show(chat: Chat, session_id: str, full: bool = False) -> None:
        await chat.response.send_message(f"session {session_id} {full}", ephemeral=True)

    @show.autocomplete("session_id")
    async def ids(chat: Chat, current: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=f"{current}{n}", value=f"{current}{n}") for n in range(3)]

    @roost.command(name="think", description="Thinks")
    async def think(chat: Chat, who: discord.Member) -> None:
        await chat.response.defer(thinking=True)
        await chat.followup.send(f"thought of {who.display_name}")
        await chat.followup.send("and more", ephemeral=True)

    @roost.command(name="ask", description="Asks")
    async def ask(chat: Chat) -> None:
        await chat.response.send_message("is it?", view=Buttons(timeout=None))

    @bot.tree.context_menu(name="Ask Roost about this")
    async def about(chat: Chat, message: discord.Message) -> None:
        await chat.response.send_message(f"about {message.content!r}")

    bot.tree.add_command(roost)


async def test_commands_are_given_suggested_and_answered(rig: Rig, monkeypatch: Patch) -> None:
    async with connected(rig, monkeypatch) as bot:
        commands(bot)
        registered = await bot.tree.sync()
        assert {each.name for each in registered} == {"roost", "Ask Roost about this"}
        again = {each.name: each.id for each in await bot.tree.sync()}
        assert again == {each.name: each.id for each in registered}

        suggested = await rig.ada.complete("session show", id="ab").answer()
        assert [each["value"] for each in suggested.choices] == ["ab0", "ab1", "ab2"]
        shown = await rig.ada.command("session show", id="abc", full=True).answer()
        assert (shown.text, shown.ephemeral) == ("session abc True", True)
        assert not rig.general.messages
        assert [each.content for each in rig.ada.sees(rig.general)] == ["session abc True"]

        grace = rig.discord.person("Grace")
        rig.lab.join(grace)
        assert not grace.sees(rig.general)
        thinks = rig.ada.command("roost think", rig.general, who=grace)
        assert await thinks.acknowledged() is Callback.THINKING
        assert (await thinks.answer()).text == "thought of Grace"
        (more,) = await thinks.followed()
        assert more.is_ephemeral and more.seen_only_by is rig.ada

        said = rig.ada.say(rig.general, "this")
        about = await rig.ada.menu("Ask Roost about this", said).answer()
        assert about.text == "about 'this'"


async def test_buttons_selects_and_forms(rig: Rig, monkeypatch: Patch) -> None:
    async with connected(rig, monkeypatch) as bot:
        commands(bot)
        await bot.tree.sync(guild=None)
        asked = (await rig.ada.command("roost ask").answer()).message
        assert asked is not None
        picked = await rig.ada.choose(asked, "b").answer()
        assert picked.text == "picked ['b']"
        form = rig.ada.click(asked, "Form")
        modal = (await form.answer()).modal
        assert modal is not None and modal["title"] == "A form"
        with pytest.raises(CannotDo):
            rig.ada.submit(form, {"Name": ""})
        hello = await rig.ada.submit(form, {"Name": "Ada"}).answer()
        assert (hello.text, hello.ephemeral) == ("hello Ada", True)
        later = await rig.ada.click(asked, "later").answer()
        assert later.text == "later it is"
        assert (await rig.ada.click(asked, "Yes").answer()).text == "yes it is"
        assert asked.content == "yes it is"
        with pytest.raises(CannotDo):
            rig.ada.click(asked, "Yes")


async def test_a_command_in_direct_messages(rig: Rig, monkeypatch: Patch) -> None:
    async with connected(rig, monkeypatch) as bot:
        commands(bot)
        await bot.tree.sync()
        shown = await rig.ada.command("session show", rig.discord.dm(rig.ada), id="x").answer()
        assert shown.text == "session x False"


# -------------------------------------------------------------------- registration


async def register(rig: Rig, form: Any, *, guild: bool = False) -> tuple[int, Any]:
    where = f"/guilds/{rig.lab.id}" if guild else ""
    path = f"/applications/{rig.discord.application_id}{where}/commands"
    status, body, _ = await rig.ask("PUT" if isinstance(form, list) else "POST", path, form)
    return status, body


PLAIN: dict[str, Any] = {"name": "plain", "description": "Does it"}


async def test_commands_are_registered_one_by_one(rig: Rig) -> None:
    status, made = await register(rig, PLAIN)
    assert (status, made["type"]) == (201, 1)
    status, same = await register(rig, {**PLAIN, "description": "Does it better"})
    assert (status, same["id"]) == (200, made["id"])
    _, own = await register(rig, PLAIN, guild=True)
    assert own["guild_id"] == rig.lab.id
    one = f"/applications/{rig.discord.application_id}/commands/{made['id']}"
    _, edited, _ = await rig.ask("PATCH", one, {"name": "other"})
    assert (edited["name"], edited["description"]) == ("other", "Does it better")
    assert (await rig.ask("DELETE", one))[0] == 204
    status, body, _ = await rig.ask("GET", one)
    assert (status, body["code"]) == (404, 10063)


def text(name: str, **more: Any) -> dict[str, Any]:
    return {"type": 3, "name": name, "description": "d", **more}


WRONG: list[tuple[Any, str]] = [
    ({**PLAIN, "name": "With Space"}, "name"),
    ({**PLAIN, "name": "n" * 33}, "name"),
    ({**PLAIN, "description": ""}, "description"),
    ({**PLAIN, "options": [text(f"o{n}") for n in range(26)]}, "options"),
    ({**PLAIN, "options": [text("a"), text("b", required=True)]}, "options"),
    ({**PLAIN, "options": [text("a"), text("a")]}, "options"),
    ({**PLAIN, "options": [text("a"), {**text("b"), "type": 1}]}, "options"),
    ([PLAIN, PLAIN], "1"),
]


@pytest.mark.parametrize(("form", "field"), WRONG, ids=range(len(WRONG)))
async def test_commands_that_are_wrong_name_the_field(rig: Rig, form: Any, field: str) -> None:
    status, body = await register(rig, form)
    assert (status, body["code"], list(body["errors"])) == (400, 50035, [field])
    rig.discord.take_violations()


# -------------------------------------------------------------------- deadlines


async def given(rig: Rig) -> Interaction:
    await register(rig, PLAIN)
    return rig.ada.command("plain")


async def respond(rig: Rig, interaction: Interaction, form: Any) -> tuple[int, int]:
    path = f"/interactions/{interaction.id}/{interaction.token}/callback"
    status, body, _ = await rig.ask("POST", path, form, token="none")  # noqa: S106
    return status, body["code"] if status >= 400 else 0


async def test_an_answer_has_three_seconds_and_comes_once(rig: Rig, clock: HandClock) -> None:
    late = await given(rig)
    clock.forward(3.1)
    assert late.is_late
    assert await respond(rig, late, {"type": 4, "data": {"content": "late"}}) == (404, 10062)
    asked = await given(rig)
    assert await respond(rig, asked, {"type": 8, "data": {"choices": []}}) == (400, 50035)
    assert await respond(rig, asked, {"type": 4, "data": {"content": "in time"}}) == (204, 0)
    assert await respond(rig, asked, {"type": 5}) == (400, 40060)
    assert (await asked.answer()).text == "in time"
    assert asked.kind is Asked.COMMAND


async def test_a_token_is_good_for_fifteen_minutes(rig: Rig, clock: HandClock) -> None:
    asked = await given(rig)
    path = f"/webhooks/{rig.discord.application_id}/{asked.token}"
    assert (await rig.ask("POST", path, {"content": "too early"}))[1]["code"] == 10015
    await respond(rig, asked, {"type": 5, "data": {"flags": 64}})
    assert asked.is_thinking
    with pytest.raises(TimeoutError):
        await asked.answer(seconds=0.02)
    status, body, _ = await rig.ask("PATCH", path + "/messages/@original", {"content": "thought"})
    assert (status, body["content"], body["flags"]) == (200, "thought", 64)
    assert (await asked.answer()).ephemeral
    _, followed, _ = await rig.ask("POST", path, {"content": "more"})
    one = f"{path}/messages/{followed['id']}"
    assert (await rig.ask("PATCH", one, {"content": "most"}))[1]["content"] == "most"
    assert (await rig.ask("DELETE", one))[0] == 204
    assert (await rig.ask("GET", one))[1]["code"] == 10008
    assert (await rig.ask("DELETE", path + "/messages/@original"))[0] == 204
    clock.forward(15 * 60 + 1)
    status, body, _ = await rig.ask("POST", path, {"content": "too late"})
    assert (status, body["code"]) == (401, 50027)


async def test_what_the_client_does_not_offer_cannot_be_done(rig: Rig) -> None:
    await register(rig, {**PLAIN, "options": [text("a", required=True, max_length=3)]})
    for name, options in (("plane", {}), ("plain", {}), ("plain", {"a": "long"}), ("plain", {"a": 1})):
        with pytest.raises(CannotDo):
            rig.ada.command(name, **options)
    await asyncio.sleep(0)
    assert not rig.discord.interactions.by_id
