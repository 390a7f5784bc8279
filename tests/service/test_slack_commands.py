"""Commands, the menu of a message, questions and the Home tab on Slack, over the wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from adapters.slack.status import EMOJI
from bot.db import people
from tests.fakes.slack_server import SlackServer
from tests.service.conftest import House
from tests.service.slack_town import Town

ASK = {
    "do": "tool",
    "name": "ask_user_question",
    "arguments": {"title": "Colour", "question": "Which one?", "options": ["Red", "Green"]},
}


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with SlackServer() as slack:
        yield Town(house, slack)


async def told(town: Town, text: str, *, by: str = "ada") -> str:
    """What a slash command is answered."""
    given = getattr(town, by).command(text, town.general)
    await town.until(lambda: given.texts)
    assert not given.public
    return str(given.text)


def home(town: Town) -> str:
    """All that stands in Ada's Home tab."""
    return json.dumps(town.slack.homes.get(town.ada.id), ensure_ascii=False)


async def test_admins_run_the_service_from_the_channel(town: Town) -> None:
    async with town.open():
        asked = town.ask("hello")
        await town.answers(asked, "You said: hello")
        session = town.house.session_id(town.general.id)
        listed = await told(town, "session list")
        assert session in listed and "```" in listed
        assert session in await told(town, f"session show {session}")
        assert "Runners: 1 of" in await told(town, "status")
        assert "is stopped" in await told(town, f"session stop {session}")
        assert await told(town, "whoami") == f"You are Ada (slack:{town.ada.id}), owner."
        assert "session" in await told(town, "help")
        assert asked.reply_texts == ["You said: hello"]


async def test_a_stranger_is_told_that_they_may_not_and_nothing_else(town: Town) -> None:
    async with town.open():
        said = await told(town, "session list", by="bob")
        assert said == "You may not do this here; whoever runs me can let you in."


async def test_the_owner_claims_the_bot_with_the_code(town: Town) -> None:
    async with town.open():
        await town.house.app.db.write(lambda db: db.execute("DELETE FROM roles WHERE channel = 'slack'"))
        code = await town.house.app.db.write(lambda db: people.new_code(db, "slack", now=0))
        assert "not valid" in await told(town, "claim wrong", by="bob")
        assert await told(town, f"claim {code}", by="bob") == "You are the owner now."
        asked = town.bob.say(town.general, "hello", mention=[town.slack.bot])
        await town.answers(asked, "You said: hello")


async def test_the_menu_of_a_message_asks_about_what_a_program_has_posted(town: Town) -> None:
    build = town.slack.person("Build", bot=True)
    town.general.join(build)
    card = {"id": 1, "title": "Build 7", "text": "all red", "fields": [{"title": "Took", "value": "3 min"}]}
    async with town.open():
        about = build.say(town.general, files=[("log.txt", b"it broke", "text/plain")], attachments=[card])
        given = town.ada.shortcut(about)
        await town.until(lambda: given.views)
        town.ada.fill(given, "Why?")
        await town.answers(about, "You said: Why?\nI received log.txt (8 bytes).")
        (row,) = town.house.query("SELECT content FROM inbox WHERE kind = 'chat'")
        assert json.loads(row["content"])["reply_to"]["text"] == "[card] Build 7\nall red\nTook: 3 min"


async def test_a_command_is_no_message_and_neither_is_what_it_is_changed_into(town: Town) -> None:
    async with town.open():
        asked = town.ask("hello")
        await town.answers(asked, "You said: hello")
        given = town.ada.say(town.general, "!status", thread=asked)
        await town.until(lambda: town.general.ephemeral)
        assert "Runners" in town.general.ephemeral[0].shown and town.general.ephemeral[0].thread is asked
        town.ada.edit(given, "!stop")
        town.ada.edit(given, "never mind")
        town.ada.delete(given)
        town.ada.say(town.general, "next", thread=asked)
        await town.answers(asked, "You said: hello", "next", "You said: next")
        assert len(town.general.ephemeral) == 1


async def test_the_home_tab_lists_ones_own_conversations_and_nobody_elses(town: Town) -> None:
    async with town.open():
        await town.house.app.db.write(
            lambda db: people.grant(db, channel="slack", user_id=town.bob.id, role="member", now=0)
        )
        asked = town.ask("What is <that>?")
        other = town.bob.say(town.general, "a secret", mention=[town.slack.bot])
        await town.until(lambda: asked.replies and other.replies)
        town.ada.open_home()
        await town.until(lambda: town.ada.id in town.slack.homes)
        assert "secret" not in home(town) and "What is &lt;that&gt;?" in home(town)
        assert f"/thread/{town.general.id}-{asked.ts}|" in home(town) and "<!date^" in home(town)
        assert f"You are Ada (slack:{town.ada.id}), owner." in home(town)


async def test_an_agent_edits_reacts_and_shows_cards(town: Town) -> None:
    fields = [{"name": "Took", "value": "3 min"}]
    card = {"title": "Build 7", "text": "all green", "fields": fields, "fallback_text": "Build 7: all green"}
    town.house.script(
        {
            "match": "card",
            "steps": [
                {"do": "tool", "name": "send_card", "arguments": card},
                {"do": "tool", "name": "send_message", "arguments": {"text": "draft"}},
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
        asked = town.ask("react please")
        await town.answers(asked, "done")
        assert asked.reactions == {"+1": [town.slack.bot]}
        town.ada.say(town.general, "card please", thread=asked)
        await town.until(lambda: "shown" in asked.reply_texts)
        (shown,) = [each for each in asked.replies if "Build 7" in each.shown]
        assert shown.blocks[0]["type"] == "header"


async def test_a_reaction_on_an_answer_is_told_to_the_agent(town: Town) -> None:
    async with town.open():
        asked = town.ask("hello")
        await town.answers(asked, "You said: hello")
        await town.house.until_quiet_everywhere()
        town.ada.react(asked.replies[0], "tada")
        told = "SELECT 1 FROM inbox WHERE content LIKE '%reacted%' AND content LIKE '%:tada:%'"
        await town.house.until(lambda: bool(town.house.query(told)))


async def test_an_edit_and_a_deletion_before_the_turn_count(town: Town) -> None:
    async with town.open():
        place = town.slack.dm(town.ada)
        said = town.ada.say(place, "frist")
        town.ada.edit(said, "first")
        await town.answers(said, "You said: first")
        gone = town.ask("never mind")
        town.ada.delete(gone)
        assert await town.answer_to("now") == "You said: now"
        await town.house.until_quiet_everywhere()
        assert not gone.replies
        # A change that changes nothing for the agent is no event of its own.
        town.slack.unfurl(said)
        assert await town.answer_to("and now") == "You said: and now"
        assert town.house.query("SELECT count(*) FROM inbox WHERE kind = 'system'")[0][0] == 2


async def test_a_question_is_answered_once_and_not_by_a_stranger(town: Town) -> None:
    town.house.script({"steps": [ASK, {"do": "result", "text": "{tool}"}]})
    async with town.open():
        asked = town.ask("which?")
        await town.until(lambda: asked.replies and asked.replies[0].labels)
        question = asked.replies[0]
        town.bob.click(question, "Red")
        await town.until(lambda: town.general.ephemeral)
        assert "may not" in town.general.ephemeral[0].shown and town.general.ephemeral[0].only_for is town.bob
        town.ada.click(question, "Red")
        town.ada.click(question, "Green")
        await town.until(lambda: len(town.general.ephemeral) == 2)
        assert town.general.ephemeral[1].shown == "This question is answered already."
        await town.until(lambda: len(asked.replies) == 2 and not question.labels)


async def test_a_question_that_has_expired_is_closed_by_who_comes_too_late(town: Town) -> None:
    town.house.script({"steps": [ASK, {"do": "result", "text": "{tool}"}]})
    async with town.open():
        asked = town.ask("which?")
        await town.until(lambda: asked.replies and asked.replies[0].labels)
        town.house.clock_ahead_ms += 3_600_000
        town.ada.click(asked.replies[0], "Red")
        await town.until(lambda: not asked.replies[0].labels)
        assert asked.replies[0].shown.endswith("_Nobody answered in time._")
        await town.until(lambda: any("expired" in each.shown for each in town.general.ephemeral))


@pytest.mark.parametrize("options", [[f"option {n}" for n in range(20)], []])
async def test_a_question_with_many_options_has_a_menu_and_one_without_has_a_form(
    town: Town, options: list[str]
) -> None:
    arguments = {"title": "T", "question": "Q?", "options": options}
    ask = {"do": "tool", "name": "ask_user_question", "arguments": arguments}
    town.house.script({"steps": [ask, {"do": "result", "text": "{tool}"}]})
    async with town.open():
        asked = town.ask("which?")
        await town.until(lambda: asked.replies and asked.replies[0].labels)
        if options:
            town.ada.choose(asked.replies[0], "option 17")
        else:
            given = town.ada.click(asked.replies[0], "Answer")
            await town.until(lambda: given.views)
            town.ada.fill(given, "option 17")
        await town.until(lambda: len(asked.replies) == 2)
        assert "option 17" in asked.replies[1].shown and not asked.replies[0].labels


async def test_a_turn_is_stopped_by_a_command_where_there_is_no_button(house: House) -> None:
    steps = [{"do": "delta", "text": "I begin with it now"}, {"do": "stall", "seconds": 60}]
    house.script({"steps": steps})
    async with SlackServer(agent_view=False, assistant=False, streaming=False) as slack:
        town = Town(house, slack)
        async with town.open():
            asked = town.ask("go on for ever")
            await town.until(lambda: asked.replies and list(asked.reactions) == [EMOJI])
            town.ada.say(town.general, "!stop", thread=asked)
            await town.until(lambda: asked.replies[0].shown.endswith("(Stopped.)") and not asked.reactions)
            assert asked.replies[0].shown.startswith("I begin with it now")
