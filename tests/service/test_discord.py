"""A person's day on Discord, over the wire: the real client library, the real service, real runners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from tests.fakes.discord_server import DiscordServer
from tests.service.conftest import House
from tests.service.town import Town


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with DiscordServer() as discord:
        yield Town(house, discord)


async def test_a_mention_opens_a_thread_named_after_the_question_and_is_answered_there(town: Town) -> None:
    async with town.open():
        asked = town.ada.say(town.general, "What is the *time*?", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.reads(thread, "You said: What is the *time*?")
        assert thread.name == "What is the time?"
        assert town.general.texts == [asked.text]


async def test_two_threads_at_once_and_a_follow_up_stay_each_in_their_own(town: Town) -> None:
    async with town.open():
        bot = town.discord.bot
        one = town.ada.say(town.general, "one", mention=[bot])
        two = town.ada.say(town.general, "two", mention=[bot])
        first, second = await town.thread_of(one), await town.thread_of(two)
        await town.reads(first, "You said: one")
        await town.reads(second, "You said: two")
        town.ada.say(first, "and one more")
        town.ada.say(second, "and two more")
        await town.reads(first, "You said: one", "and one more", "You said: and one more")
        await town.reads(second, "You said: two", "and two more", "You said: and two more")


async def test_an_answer_refers_to_the_message_that_asked_where_it_stands_beside_it(town: Town) -> None:
    async with town.open():
        asked = town.ada.say(town.general, "one", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: len(thread.messages) == 1)
        more = town.ada.say(thread, "more")
        await town.until(lambda: len(thread.messages) == 3)
        first, _, second = thread.messages
        assert first.reference is None
        assert second.reference is more
        assert not second.pings.users


async def test_a_direct_message_needs_no_mention(town: Town) -> None:
    async with town.open():
        place = town.discord.dm(town.ada)
        town.ada.say(place, "hello")
        await town.reads(place, "hello", "You said: hello")


async def test_what_is_not_for_the_bot_and_what_strangers_say_is_let_be(town: Town) -> None:
    async with town.open():
        town.ada.say(town.general, "hello everybody")
        town.bob.say(town.general, "hello bot", mention=[town.discord.bot])
        assert await town.answer_to("now") == "You said: now"
        assert town.general.texts[:2] == ["hello everybody", f"{town.discord.bot.mention} hello bot"]
        assert len(town.general.threads) == 1


async def test_an_answer_streams_by_edits_and_ends_complete(town: Town) -> None:
    words = [f"word{n} " for n in range(40)]
    town.house.script(
        {
            "steps": [
                step
                for word in words
                for step in ({"do": "delta", "text": word}, {"do": "stall", "seconds": 0.03})
            ]
        }
    )
    async with town.open():
        asked = town.ada.say(town.general, "go on", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: thread.texts == ["".join(words).strip()])
        (answer,) = thread.messages
        texts = [text for _, text in answer.edits]
        assert len(texts) > 2
        assert all("".join(words).startswith(text) for text in texts)
        times = [at for at, _ in answer.edits]
        gaps = [b - a for a, b in pairwise(times)]
        assert all(gap >= town.timing.edit * 1000 - 5 for gap in gaps), gaps
        assert not thread.typing


async def test_typing_is_shown_while_a_turn_runs_and_not_afterwards(town: Town) -> None:
    town.house.script({"steps": [{"do": "stall", "seconds": 0.8}, {"do": "result", "text": "done"}]})
    async with town.open():
        asked = town.ada.say(town.general, "think", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: thread.typing)
        await town.reads(thread, "done")
        assert not thread.typing
        typed = len(thread.typed)
        assert await town.answer_to("again") == "done"
        assert len(thread.typed) == typed


async def test_a_long_answer_is_cut_and_comes_as_a_file_as_well(town: Town) -> None:
    paragraph = "All work and no play makes Jack a dull boy. " * 20
    text = "\n\n".join(f"{n}. {paragraph}" for n in range(14))
    town.house.script({"steps": [{"do": "result", "text": text}]})
    async with town.open():
        asked = town.ada.say(town.general, "much", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: thread.messages and thread.messages[-1].attachments)
        *texts, last = thread.messages
        assert len(texts) > 6
        assert "".join("".join(each.text for each in texts).split()) == "".join(text.split())
        assert last.attachments[0].data.decode().strip() == text.strip()


async def test_a_file_goes_in_and_a_file_comes_out(town: Town) -> None:
    town.house.script(
        {
            "steps": [
                {"do": "tool", "name": "send_file", "arguments": {"path": "note.txt", "text": "Here it is."}},
                {"do": "result", "text": "done"},
            ]
        }
    )
    async with town.open():
        asked = town.ada.say(
            town.general, "read", mention=[town.discord.bot], files=[("data.csv", b"1,2\n3,4\n", "text/csv")]
        )
        thread = await town.thread_of(asked)
        await town.until(lambda: "done" in thread.texts)
        received = list(town.house.folder(town.general.id).glob("in/files/*/*data.csv"))
        assert [each.read_bytes() for each in received] == [b"1,2\n3,4\n"]


async def test_a_question_is_answered_by_a_button_also_after_a_restart(town: Town) -> None:
    town.house.script(
        {
            "match": "ask",
            "steps": [
                {
                    "do": "tool",
                    "name": "ask_user_question",
                    "arguments": {"title": "Colour", "question": "Which one?", "options": ["Red", "Green"]},
                },
                {"do": "result", "text": "You chose {tool}"},
            ],
        }
    )
    async with town.open():
        asked = town.ada.say(town.general, "ask me", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: thread.messages and thread.messages[0].components)
    (question,) = thread.messages
    async with town.open():
        town.ada.click(question, "Green")
        await town.until(lambda: len(thread.messages) == 2)
        assert "Green" in thread.messages[1].text
        assert not question.components
        assert question.text.endswith("**Ada** answered: Green")


async def test_a_turn_is_stopped_by_a_command(town: Town) -> None:
    town.house.script(
        {
            "steps": [
                {"do": "delta", "text": "I begin with the first of it now"},
                {"do": "stall", "seconds": 60},
            ]
        }
    )
    async with town.open():
        asked = town.ada.say(town.general, "go on for ever", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.reads(thread, "I begin with the first of it")
        shown = await town.ada.command("roost stop", thread).answer()
        assert shown.ephemeral
        assert shown.text == "Stopping."
        await town.until(lambda: thread.texts != ["I begin with the first of it"])
        assert thread.texts == ["I begin with the first of it now\n\n(Stopped.)"]
        await town.until(lambda: not thread.typing)


async def test_an_edit_and_a_deletion_before_the_turn_count(town: Town) -> None:
    async with town.open():
        place = town.discord.dm(town.ada)
        said = town.ada.say(place, "frist")
        town.ada.edit(said, "first")
        await town.reads(place, "first", "You said: first")
        gone = town.ada.say(town.general, "never mind", mention=[town.discord.bot])
        town.ada.delete(gone)
        assert await town.answer_to("now") == "You said: now"
        await town.house.until_quiet_everywhere()
        assert len(town.general.threads) == 1
        # An edit that changes nothing for the agent is no event of its own.
        town.ada.edit(said, "first")
        assert town.house.query("SELECT count(*) FROM inbox WHERE kind = 'system'")[0][0] == 2


async def test_an_answer_goes_on_below_what_its_turn_has_said_meanwhile(town: Town) -> None:
    town.house.script(
        {
            "steps": [
                {"do": "delta", "text": "Let me look at this. "},
                {"do": "stall", "seconds": 0.5},
                {"do": "tool", "name": "send_message", "arguments": {"text": "a word beside it"}},
                {"do": "stall", "seconds": 0.3},
                {"do": "delta", "text": "It is all well now, I say."},
                {"do": "stall", "seconds": 0.5},
            ]
        }
    )
    async with town.open():
        asked = town.ada.say(town.general, "look", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: "a word beside it" in thread.texts)
        assert thread.texts == ["Let me look at this.", "a word beside it"]
        await town.reads(thread, "a word beside it", "Let me look at this. It is all well now, I say.")
        await town.house.until(
            lambda: not town.house.query("SELECT 1 FROM notes WHERE key LIKE 'discord:stream:%'")
        )
