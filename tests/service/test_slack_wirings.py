"""How a wiring changes what happens on Slack, and the setting of the agent view, over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.slack.status import EMOJI
from tests.fakes.slack_server import SlackServer
from tests.service.conftest import House
from tests.service.slack_town import Town, wirings


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with SlackServer() as slack:
        yield Town(house, slack)


async def test_without_threads_it_is_answered_in_place_and_one_conversation(town: Town) -> None:
    town.house.wirings = wirings({"threads": False})
    async with town.open():
        one = town.ask("one")
        await town.reads(town.general, one.shown, "You said: one")
        two = town.ask("two")
        await town.reads(town.general, one.shown, "You said: one", two.shown, "You said: two")
        assert not one.replies and not two.replies
        assert len(town.house.query("SELECT 1 FROM sessions WHERE channel = 'slack'")) == 1
        # A thread that somebody has opened stays one.
        three = town.ada.say(town.general, "three", thread=one, mention=[town.slack.bot])
        await town.answers(one, three.shown, "You said: three")


@pytest.mark.parametrize("place", ["channel", "direct"])
async def test_where_there_are_no_threads_what_is_asked_bears_a_sign_while_it_is_answered(
    town: Town, place: str
) -> None:
    town.house.script({"steps": [{"do": "stall", "seconds": 1.0}, {"do": "result", "text": "thought"}]})
    town.house.wirings = wirings({"threads": False})
    town.settings = {"agent_view": False}
    async with town.open():
        asked = town.ask("think") if place == "channel" else town.ada.say(town.slack.dm(town.ada), "think")
        beside = town.bob.say(town.general, "nobody asks anything")
        await town.until(lambda: list(asked.reactions) == [EMOJI])
        await town.until(lambda: asked.place.texts[-1] == "thought")
        await town.until(lambda: not asked.reactions and not beside.reactions)
        again = town.ask("think") if place == "channel" else town.ada.say(asked.place, "think")
        await town.until(lambda: list(again.reactions) == [EMOJI])


async def test_without_the_agent_view_a_direct_conversation_is_one(town: Town) -> None:
    town.settings = {"agent_view": False}
    async with town.open():
        place = town.slack.dm(town.ada)
        town.ada.say(place, "one")
        await town.reads(place, "one", "You said: one")
        town.ada.say(place, "two")
        await town.reads(place, "one", "You said: one", "two", "You said: two")
        assert len(town.house.query("SELECT 1 FROM sessions WHERE channel = 'slack'")) == 1


async def test_a_conversation_of_several_is_a_channel(town: Town) -> None:
    async with town.open():
        place = town.slack.group_dm(town.ada, town.bob)
        town.ada.say(place, "lunch?")
        asked = town.ask("where?", place=place)
        await town.answers(asked, "You said: where?")
        assert place.texts == ["lunch?", asked.shown]


async def test_a_private_channel_is_a_channel(town: Town) -> None:
    place = town.slack.channel("secret", private=True)
    place.join(town.ada)
    async with town.open():
        assert await town.answer_to("here", place=place) == "You said: here"


async def test_a_place_where_everything_is_for_the_agent_and_anybody_may_talk(town: Town) -> None:
    town.house.wirings = wirings({"place": town.general.id, "engage": "all", "strangers": "answer"})
    other = town.slack.channel("other")
    other.join(town.ada, town.bob)
    async with town.open():
        said = town.bob.say(town.general, "hello everybody")
        await town.answers(said, "You said: hello everybody")
        town.bob.say(other, "hello", mention=[town.slack.bot])
        assert await town.answer_to("now", place=other) == "You said: now"
        assert sum(bool(each.replies) for each in other.messages) == 1


async def test_a_thread_that_the_bot_was_not_called_into_is_not_its_own(town: Town) -> None:
    async with town.open():
        root = town.ada.say(town.general, "among us")
        town.ada.say(town.general, "shall we have lunch?", thread=root)
        town.ada.say(town.general, "and you?", thread=root, mention=[town.slack.bot])
        await town.until(lambda: root.reply_texts[-1] == "You said: and you?")
        assert town.slack.session(root).title == "and you?"
        town.ada.say(town.general, "good idea", thread=root)
        await town.until(lambda: root.reply_texts[-1] == "You said: good idea")
        town.ada.say(town.general, "what do you think?", thread=root, mention=[town.bob])
        town.ada.say(town.general, "last one", thread=root)
        await town.until(lambda: root.reply_texts[-1] == "You said: last one")
        assert not [text for text in root.reply_texts if "you think" in text and text.startswith("You")]


async def test_nobody_is_notified_and_no_link_is_looked_behind_unless_a_wiring_says_so(town: Town) -> None:
    text = f"<!channel> ask <@{town.bob.id}> about https://example.org"
    town.house.script({"steps": [{"do": "result", "text": text}]})
    quiet, loud = town.slack.channel("quiet"), town.slack.channel("loud")
    quiet.join(town.ada)
    loud.join(town.ada)
    town.house.wirings = wirings({"place": loud.id, "mentions": True, "previews": True, "streaming": False})
    async with town.open():
        said = {}
        for place in (quiet, loud):
            asked = town.ask("who?", place=place)
            await town.until(lambda asked=asked: asked.replies and not asked.replies[0].streaming)
            said[place.name] = asked.replies[0]
        assert not said["quiet"].unfurls and said["loud"].unfurls
        for each in said.values():
            assert "<!channel>" not in str(each.blocks) + each.text
        assert town.bob.mention not in str(said["quiet"].blocks) + said["quiet"].text
        assert town.bob.mention in str(said["loud"].blocks) + said["loud"].text


async def test_an_answer_that_may_not_stream_is_posted_once(town: Town) -> None:
    steps = [
        step
        for n in range(10)
        for step in ({"do": "delta", "text": f"w{n} "}, {"do": "stall", "seconds": 0.1})
    ]
    town.house.script({"steps": steps})
    town.house.wirings = wirings({"streaming": False})
    async with town.open():
        asked = town.ask("go")
        await town.answers(asked, "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9")
        assert len(asked.replies[0].edits) == 1
        assert not town.slack.called("chat.startStream")


async def test_each_place_has_the_agent_of_its_wiring(town: Town) -> None:
    other = town.slack.channel("other")
    other.join(town.ada)
    answers = {name: [{"steps": [{"do": "result", "text": f"{name} here"}]}] for name in ("bob", "cleo")}
    town.house.agents = {
        name: {**town.house.agent, "provider_options": {"script": script}} for name, script in answers.items()
    }
    town.house.wirings = wirings({"agent": "bob"}, {"place": other.id, "agent": "cleo"})
    async with town.open():
        assert await town.answer_to("who?") == "bob here"
        assert await town.answer_to("who?", place=other) == "cleo here"
