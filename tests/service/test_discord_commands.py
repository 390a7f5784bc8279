"""Commands, menus, questions and forms on Discord, over the wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.fakes.discord_asking import CannotDo
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place
from tests.service.conftest import House
from tests.service.town import Town

ASK = {
    "do": "tool",
    "name": "ask_user_question",
    "arguments": {"title": "Colour", "question": "Which one?", "options": ["Red", "Green"]},
}


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with DiscordServer() as discord:
        yield Town(house, discord)


def asks(**arguments: object) -> dict[str, object]:
    return {
        "do": "tool",
        "name": "ask_user_question",
        "arguments": {"title": "T", "question": "Q?", **arguments},
    }


async def begun(town: Town, text: str = "hello") -> tuple[Message, Place]:
    """Ada asks something in the channel; the question and its thread."""
    said = town.ada.say(town.general, text, mention=[town.discord.bot])
    return said, await town.thread_of(said)


async def test_commands_are_registered_once_and_again_only_when_they_change(town: Town) -> None:
    def puts() -> int:
        return sum(each.method == "PUT" and each.path.endswith("/commands") for each in town.discord.requests)

    for _ in range(2):
        async with town.open():
            await town.until(lambda: list(town.discord.commands.leaves(None)))
            assert (await town.ada.command("roost whoami", town.general).answer()).ephemeral
    assert puts() == 1


async def test_admins_run_the_service_from_the_channel(town: Town) -> None:
    async with town.open():
        _, thread = await begun(town)
        await town.reads(thread, "You said: hello")
        await town.until(lambda: list(town.discord.commands.leaves(None)))
        session = town.house.session_id(town.general.id)
        told = await town.ada.command("session list", thread).answer()
        assert session in told.text and told.ephemeral and "```" in told.text
        assert session in (await town.ada.command("session show", thread, id=session).answer()).text
        assert "Runners: 1 of" in (await town.ada.command("roost status", thread).answer()).text
        assert "no dead letters" in (await town.ada.command("deadletter list", thread).answer()).text
        would = await town.ada.command("session clear", thread, id=session).answer()
        assert "would forget" in would.text
        cleared = await town.ada.command("session clear", thread, id=session, yes=True).answer()
        assert "is cleared" in cleared.text
        assert "is stopped" in (await town.ada.command("session stop", thread, id=session).answer()).text
        assert [each for each in thread.texts if "stopped" in each] == []


async def test_ids_are_suggested_to_those_who_may_use_them(town: Town) -> None:
    async with town.open():
        _, thread = await begun(town)
        await town.reads(thread, "You said: hello")
        session = town.house.session_id(town.general.id)
        offered = await town.ada.complete("session show", thread, id=session[:2]).answer()
        assert [each["value"] for each in offered.choices] == [session]
        assert (await town.bob.complete("session show", thread, id="").answer()).choices == []


async def test_a_stranger_is_told_that_they_may_not_and_nothing_else(town: Town) -> None:
    async with town.open():
        _, thread = await begun(town)
        await town.reads(thread, "You said: hello")
        told = await town.bob.command("session list", thread).answer()
        assert told.ephemeral
        assert told.text == "You may not do this here; whoever runs me can let you in."


async def test_a_command_that_takes_long_is_put_off_and_answered(town: Town) -> None:
    town.timing = town.timing.__class__(**{**vars(town.timing), "defer": 0.0})
    async with town.open():
        _, thread = await begun(town)
        await town.reads(thread, "You said: hello")
        given = town.ada.command("roost whoami", thread)
        assert (await given.acknowledged()).name == "THINKING"
        assert (await given.answer()).text == f"You are Ada (discord:{town.ada.id}), owner."


async def test_the_owner_claims_the_bot_with_the_code(town: Town) -> None:
    async with town.open() as _:
        await town.house.app.db.write(lambda db: db.execute("DELETE FROM roles WHERE channel = 'discord'"))
        code = await town.house.app.db.write(_new_code)
        await town.until(lambda: list(town.discord.commands.leaves(None)))
        assert (
            "not valid" in (await town.bob.command("roost claim", town.general, code="wrong").answer()).text
        )
        assert (
            await town.bob.command("roost claim", town.general, code=code).answer()
        ).text == "You are the owner now."
        town.bob.say(town.general, "hello", mention=[town.discord.bot])
        await town.until(lambda: town.general.threads and town.general.threads[0].texts)


def _new_code(db: object) -> str:
    from bot.db import people

    return people.new_code(db, "discord", now=0)  # type: ignore[arg-type]


async def test_the_menu_of_a_message_asks_about_it(town: Town) -> None:
    async with town.open():
        await town.until(lambda: list(town.discord.commands.leaves(None)))
        about = town.bob.say(town.general, "the moon is made of cheese")
        form = town.ada.menu("Ask Roost about this", about)
        assert (await form.answer()).modal is not None
        sent = town.ada.submit(form, {"What do you want to know about it?": "Is that so?"})
        thread = await town.thread_of(about)
        await town.reads(thread, "You said: Is that so?")
        assert (await sent.answer()).text == f"I answer in <#{thread.id}>."
        (row,) = town.house.query("SELECT content FROM inbox WHERE kind = 'chat'")
        assert "made of cheese" in row["content"]


async def test_what_a_program_has_posted_is_asked_about_with_its_card_and_its_file(town: Town) -> None:
    build = town.discord.person("Build", bot=True)
    town.lab.join(build)
    card = {
        "type": "rich",
        "title": "Build 7",
        "description": "all red",
        "fields": [{"name": "Took", "value": "3 min", "inline": False}],
    }
    async with town.open():
        await town.until(lambda: list(town.discord.commands.leaves(None)))
        about = build.say(town.general, embeds=[card], files=[("log.txt", b"it broke", "text/plain")])
        form = town.ada.menu("Ask Roost about this", about)
        assert (await form.answer()).modal is not None
        town.ada.submit(form, {"What do you want to know about it?": "Why?"})
        thread = await town.thread_of(about)
        await town.reads(thread, "You said: Why?\nI received log.txt (8 bytes).")
        (row,) = town.house.query("SELECT content FROM inbox WHERE kind = 'chat'")
        assert json.loads(row["content"])["reply_to"]["text"] == "[card] Build 7\nall red\nTook: 3 min"
        (received,) = town.house.folder(town.general.id).glob("in/files/*/*log.txt")
        assert received.read_bytes() == b"it broke"


async def test_the_menu_of_a_message_stops_its_turn(town: Town) -> None:
    town.house.script(
        {"steps": [{"do": "delta", "text": "on and on and on"}, {"do": "stall", "seconds": 60}]}
    )
    async with town.open():
        said, thread = await begun(town)
        await town.until(lambda: thread.texts)
        assert (await town.ada.menu("Stop", said).answer()).text == "Stopping."
        await town.until(lambda: thread.texts[0].endswith("(Stopped.)"))
        assert (await town.ada.menu("Stop", thread.messages[0]).answer()).text == "Nothing is running."


async def test_a_question_with_many_options_has_a_menu(town: Town) -> None:
    town.house.script(
        {"steps": [asks(options=[f"option {n}" for n in range(20)]), {"do": "result", "text": "{tool}"}]}
    )
    async with town.open():
        _, thread = await begun(town)
        await town.until(lambda: thread.messages and thread.messages[0].components)
        town.ada.choose(thread.messages[0], "option 17")
        await town.until(lambda: len(thread.messages) == 2)
        assert "option 17" in thread.messages[1].text


async def test_a_question_without_options_has_a_form(town: Town) -> None:
    town.house.script({"steps": [asks(), {"do": "result", "text": "{tool}"}]})
    async with town.open():
        _, thread = await begun(town)
        await town.until(lambda: thread.messages and thread.messages[0].components)
        form = town.ada.click(thread.messages[0], "Answer")
        assert (await form.answer()).modal is not None
        town.ada.submit(form, {"Your answer": "forty-two"})
        await town.until(lambda: len(thread.messages) == 2)
        assert "forty-two" in thread.messages[1].text
        assert not thread.messages[0].components


async def test_a_question_is_answered_once_and_not_by_a_stranger(town: Town) -> None:
    town.house.script({"steps": [ASK, {"do": "result", "text": "{tool}"}]})
    async with town.open():
        _, thread = await begun(town)
        await town.until(lambda: thread.messages and thread.messages[0].components)
        question = thread.messages[0]
        told = await town.bob.click(question, "Red").answer()
        assert told.ephemeral and "may not" in told.text
        first, second = town.ada.click(question, "Red"), town.ada.click(question, "Green")
        texts = {(await each.answer()).text for each in (first, second)}
        assert "This question is answered already." in texts
        await town.until(lambda: len(thread.messages) == 2)
        with pytest.raises(CannotDo):
            town.ada.click(question, "Green")


async def test_a_question_that_has_expired_is_closed_by_who_comes_too_late(town: Town) -> None:
    town.house.script({"steps": [ASK, {"do": "result", "text": "{tool}"}]})
    async with town.open():
        _, thread = await begun(town)
        await town.until(lambda: thread.messages and thread.messages[0].components)
        town.house.clock_ahead_ms += 3_600_000
        told = await town.ada.click(thread.messages[0], "Red").answer()
        assert told.ephemeral and "expired" in told.text
        await town.until(lambda: not thread.messages[0].components)
        assert thread.messages[0].text == "**Colour**\nWhich one?\n\n*Nobody answered in time.*"


async def test_an_agent_edits_reacts_and_shows_cards(town: Town) -> None:
    fields = [{"name": "Took", "value": "3 min"}]
    card = {"title": "Build 7", "text": "all green", "fields": fields, "fallback_text": "Build 7: all green"}
    town.house.script(
        {
            "match": "card",
            "steps": [
                {"do": "tool", "name": "send_card", "arguments": card},
                {"do": "result", "text": "shown"},
            ],
        },
        {
            "match": "react",
            "steps": [
                {"do": "tool", "name": "add_reaction", "arguments": {"message": 2, "emoji": "👍"}},
                {"do": "result", "text": "done"},
            ],
        },
    )
    async with town.open():
        said, thread = await begun(town, "react please")
        await town.until(lambda: thread.texts == ["done"] and said.reactions)
        assert said.reactions == {"👍": [town.discord.bot]}
        town.ada.say(thread, "card please")
        await town.until(lambda: "shown" in thread.texts)
        (shown,) = [each for each in thread.messages if each.embeds]
        assert shown.embeds[0]["title"] == "Build 7"


async def test_a_reaction_on_an_answer_is_told_to_the_agent(town: Town) -> None:
    async with town.open():
        _, thread = await begun(town)
        await town.reads(thread, "You said: hello")
        town.ada.react(thread.messages[0], "🎉")
        await town.house.until(
            lambda: bool(
                town.house.query("SELECT 1 FROM inbox WHERE content LIKE '%reacted%' AND content LIKE '%🎉%'")
            )
        )
