"""How a wiring changes what happens on Discord, over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.discord_server import DiscordServer
from tests.service.conftest import House
from tests.service.town import Town, wirings

SUPPRESS_EMBEDS = 1 << 2


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with DiscordServer() as discord:
        yield Town(house, discord)


async def test_without_threads_it_is_answered_in_place_and_one_conversation(town: Town) -> None:
    town.house.wirings = wirings({"threads": False})
    async with town.open():
        first = town.ada.say(town.general, "one", mention=[town.discord.bot])
        await town.until(lambda: len(town.general.messages) == 2)
        second = town.ada.say(town.general, "two", mention=[town.discord.bot])
        await town.until(lambda: len(town.general.messages) == 4)
        answers = [each for each in town.general.messages if each.author is town.discord.bot]
        assert [each.text for each in answers] == ["You said: one", "You said: two"]
        assert [each.reference for each in answers] == [first, second]
        assert town.general.threads == []
        assert len(town.house.query("SELECT 1 FROM sessions WHERE channel = 'discord'")) == 1


async def test_a_place_where_everything_is_for_the_agent_and_anybody_may_talk(town: Town) -> None:
    town.house.wirings = wirings({"place": town.general.id, "engage": "all", "strangers": "answer"})
    other = town.lab.channel("other")
    async with town.open():
        said = town.bob.say(town.general, "hello everybody")
        thread = await town.thread_of(said)
        await town.reads(thread, "You said: hello everybody")
        town.bob.say(other, "hello", mention=[town.discord.bot])
        assert await town.answer_to("now", place=other) == "You said: now"
        assert len(other.threads) == 1


async def test_a_thread_that_the_bot_was_not_called_into_is_not_its_own(town: Town) -> None:
    async with town.open():
        thread = town.ada.thread(town.general, "among us")
        town.ada.say(thread, "shall we have lunch?")
        town.ada.say(thread, "and you?", mention=[town.discord.bot])
        await town.until(lambda: thread.texts[-1] == "You said: and you?")
        town.ada.say(thread, "good idea")
        await town.until(lambda: thread.texts[-1] == "You said: good idea")
        town.ada.say(thread, "what do you think?", mention=[town.bob])
        town.ada.say(thread, "last one")
        await town.until(lambda: thread.texts[-1] == "You said: last one")
        assert not [
            text for text in thread.texts if "what do you think" in text and text.startswith("You said")
        ]


async def test_nobody_is_notified_and_no_link_is_looked_behind_unless_a_wiring_says_so(town: Town) -> None:
    text = f"@everyone ask <@{town.bob.id}> about https://example.org"
    town.house.script({"steps": [{"do": "result", "text": text}]})
    quiet, loud = town.lab.channel("quiet"), town.lab.channel("loud")
    town.house.wirings = wirings({"place": loud.id, "mentions": True, "previews": True})
    async with town.open():
        said = {}
        for place in (quiet, loud):
            asked = town.ada.say(place, "who?", mention=[town.discord.bot])
            thread = await town.thread_of(asked)
            await town.until(lambda thread=thread: thread.messages)
            said[place.name] = thread.messages[0]
        assert said["quiet"].flags & SUPPRESS_EMBEDS and not said["loud"].flags & SUPPRESS_EMBEDS
        assert not said["quiet"].pings.users and list(said["loud"].pings.users) == [town.bob]
        assert not said["loud"].pings.everyone


async def test_an_answer_that_may_not_stream_is_posted_once(town: Town) -> None:
    steps = [
        step
        for n in range(10)
        for step in ({"do": "delta", "text": f"w{n} "}, {"do": "stall", "seconds": 0.1})
    ]
    town.house.script({"steps": steps})
    town.house.wirings = wirings({"streaming": False})
    async with town.open():
        asked = town.ada.say(town.general, "go", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: thread.messages)
        assert thread.messages[0].text == "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9"
        assert len(thread.messages[0].edits) == 1


async def test_commands_of_a_development_server_are_registered_there_alone(town: Town) -> None:
    async with town.open():
        await town.until(lambda: list(town.discord.commands.leaves(None)))
    town.servers = [int(town.lab.id)]
    async with town.open():
        await town.until(lambda: list(town.discord.commands.leaves(town.lab.id)))
        assert not list(town.discord.commands.leaves(None))


def says(text: str) -> dict[str, object]:
    """An agent that says this whatever it is asked."""
    return {
        "idle_seconds": 0.3,
        "provider_options": {"script": [{"steps": [{"do": "result", "text": text}]}]},
    }


async def test_two_agents_serve_one_channel(town: Town) -> None:
    here, bot = town.general.id, town.discord.bot
    town.house.agents = {"helper": says("I help."), "reviewer": says("I review.")}
    town.house.wirings = wirings(
        {"place": here, "agent": "reviewer"}, {"place": here, "agent": "helper", "priority": 5}
    )
    async with town.open():
        for said, answer in (
            ("hello", "I help."),
            ("reviewer: look at this", "I review."),
            ("@reviewer look at this", "I review."),
            ("Helper, hello", "I help."),
        ):
            thread = await town.thread_of(town.ada.say(town.general, said, mention=[bot]))
            await town.reads(thread, answer)
        # Whoever talks in a thread goes on talking there, and its own words are nobody's question.
        town.ada.say(thread, "and now?")
        await town.reads(thread, "I help.", "and now?", "I help.")
        town.ada.say(thread, "reviewer: your turn", mention=[bot])
        await town.until(lambda: thread.texts[-1] == "I review.")
        town.ada.say(thread, "all of you?")
        await town.until(lambda: len(thread.texts) == 8)
        assert sorted(thread.texts[-2:]) == ["I help.", "I review."]
        await town.house.until_quiet_everywhere()
        assert len(thread.texts) == 8


async def test_one_message_for_two_agents_is_answered_by_both_in_its_thread(town: Town) -> None:
    here = town.general.id
    town.house.agents = {"helper": says("I help."), "log": says("I log.")}
    town.house.wirings = wirings(
        {"place": here, "agent": "helper"}, {"place": here, "agent": "log", "engage": "all"}
    )
    async with town.open():
        said = town.ada.say(town.general, "hello", mention=[town.discord.bot])
        thread = await town.thread_of(said)
        await town.until(lambda: len(thread.texts) == 2)
        assert sorted(thread.texts) == ["I help.", "I log."]
        town.ada.edit(said, "hello?")
        town.ada.delete(said)
        await town.house.until_quiet_everywhere()
    counted = town.house.query("SELECT count(*) FROM inbox WHERE kind = 'chat' GROUP BY event_id")
    assert [row[0] for row in counted] == [2]
    async with town.open():
        town.ada.say(thread, "still there?")
        await town.until(lambda: "I log." in thread.texts[2:])


async def test_a_channel_with_its_threads_is_one_conversation_that_answers_where_it_was_asked(
    town: Town,
) -> None:
    town.house.wirings = wirings({"place": town.general.id, "sessions": "channel"})
    async with town.open():
        thread = town.ada.thread(town.general, "about it")
        town.ada.say(town.general, "one", mention=[town.discord.bot])
        await town.until(lambda: town.general.texts[1:] == ["You said: one"])
        town.ada.say(thread, "two", mention=[town.discord.bot])
        await town.until(lambda: thread.texts[-1] == "You said: two")
        town.ada.say(thread, "three")
        await town.until(lambda: thread.texts[-1] == "You said: three")
        await town.until(lambda: town.general.texts[1:] == ["You said: one"])
        assert len(town.house.query("SELECT 1 FROM sessions WHERE channel = 'discord'")) == 1


async def test_what_is_said_around_a_question_is_told_with_it(town: Town) -> None:
    town.house.script({"steps": [{"do": "result", "text": "{prompt}"}]})
    town.house.wirings = wirings({"place": town.general.id, "others": "accumulate"})
    async with town.open():
        town.ada.say(town.general, "we have lunch at noon")
        for _ in range(2):
            thread = await town.thread_of(town.ada.say(town.general, "when?", mention=[town.discord.bot]))
            await town.until(lambda thread=thread: thread.texts)
            before, _, asked = thread.texts[0].partition("</context>")
            assert "we have lunch at noon" in before and "when?" in asked
        assert len(town.general.threads) == 2
