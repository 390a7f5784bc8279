"""Places on Discord that are not as they should be, over the wire: gone, shut, of other kinds, without permissions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from adapters.discord.errors import SENTENCES
from bot.booking import NOT_DELIVERED
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place
from tests.fakes.discord_values import Permission
from tests.service.conftest import House
from tests.service.test_actions import rule, use
from tests.service.test_discord_bad_input import answers, bot_says, draft, tell
from tests.service.town import Town, wirings

SLOW: Final = rule("slow", {"do": "stall", "seconds": 1.0}, "done at last")
NO_PERMISSION: Final = SENTENCES[50013]
NOT_SEEN: Final = SENTENCES[50001]
REPLIES: Final = "SELECT * FROM dead_letters WHERE kind = 'reply'"
MADE: Final = b"made by the agent"


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    house.script(SLOW)
    async with DiscordServer() as discord_:
        yield Town(house, discord_)


async def turn_in(town: Town, place: Place, text: str = "slow, please") -> tuple[Message, Place]:
    """A question in a channel whose turn has begun, and the thread that is typed in."""
    asked = town.ada.say(place, text, mention=[town.discord.bot])
    thread = await town.thread_of(asked)
    await town.until(lambda: thread.typing)
    return asked, thread


async def letter(town: Town) -> dict[str, Any]:
    """The only reply that could not be delivered, once it is kept."""
    await town.house.until(lambda: len(town.house.query(REPLIES)) == 1)
    return dict(town.house.query(REPLIES)[0])


async def replay(town: Town, place: Place, letter_id: str) -> None:
    """Ada has it sent again, by a command in some channel."""
    await town.until(
        lambda: any(each.method == "PUT" and "/commands" in each.path for each in town.discord.requests)
    )
    given = town.ada.command("deadletter replay", place, id=letter_id)
    assert "is being sent again" in (await given.answer()).text


# ---------------------------------------------------------------- gone during the turn


async def test_a_server_that_is_away_during_a_turn_has_its_answer_when_it_is_back(town: Town) -> None:
    async with town.open():
        _, thread = await turn_in(town, town.general)
        town.lab.unavailable()
        refused = town.discord.fail("POST", f"/channels/{thread.id}/messages$", status=503, times=2)
        await town.until(lambda: refused.met == 2)
        town.lab.available()
        await bot_says(town, thread, "done at last")
        assert await town.answer_to("and now?") == "You said: and now?"


async def test_an_answer_whose_thread_was_deleted_is_kept_and_the_channel_is_told(town: Town) -> None:
    async with town.open():
        asked, thread = await turn_in(town, town.general)
        thread.delete()
        kept = await letter(town)
        assert kept["reason"] == "the thread was deleted"
        await bot_says(town, town.general, NOT_DELIVERED.format(reason=kept["reason"]))
        await town.house.until_quiet_everywhere()
        calls = [each for each in town.discord.requests if asked.id in each.path and each.method == "POST"]
        assert sum(each.path.endswith("/threads") for each in calls) == 1, "nobody opens it again"
        assert await town.answer_to("and now?") == "You said: and now?"


@pytest.mark.parametrize(
    ("taken", "reason"),
    [
        (Permission.SEND_MESSAGES_IN_THREADS, NO_PERMISSION),
        (Permission.VIEW_CHANNEL, NOT_SEEN),
    ],
)
async def test_a_channel_that_is_shut_during_a_turn_keeps_the_answer_until_it_is_open(
    town: Town, taken: Permission, reason: str
) -> None:
    other = town.lab.channel("other")
    async with town.open():
        _, thread = await turn_in(town, town.general)
        town.general.deny(town.discord.bot, taken)
        kept = await letter(town)
        assert kept["reason"] == reason
        assert await town.answer_to("elsewhere", place=other) == "You said: elsewhere"
        town.general.allow(town.discord.bot, taken)
        await replay(town, other, kept["id"])
        await town.until(lambda: "done at last" in answers(town, thread))
        await town.house.until(lambda: [each["state"] for each in town.house.query(REPLIES)] == ["replayed"])


async def test_an_answer_for_a_channel_that_was_deleted_is_kept_with_the_right_reason(town: Town) -> None:
    other = town.lab.channel("other")
    async with town.open():
        await turn_in(town, other)
        other.delete()
        assert (await letter(town))["reason"] in (SENTENCES[10003], "the thread was deleted")
        await town.house.until_quiet_everywhere()
        assert await town.answer_to("and now?") == "You said: and now?"


async def test_an_answer_for_a_server_that_the_bot_was_removed_from_is_kept(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    async with town.open():
        await turn_in(town, town.general)
        town.lab.leave(town.discord.bot)
        assert (await letter(town))["reason"] in (SENTENCES[10003], NOT_SEEN)
        town.ada.say(dm, "and here?")
        await bot_says(town, dm, "You said: and here?")


async def test_a_thread_that_was_out_of_sight_for_a_while_does_not_count_as_deleted(town: Town) -> None:
    """Of a thread that Discord does not show it says as well that there is none."""
    async with town.open():
        _, thread = await turn_in(town, town.general)
        unknown = {"message": "Unknown Channel", "code": 10003}
        denied = {"message": "Missing Access", "code": 50001}
        town.discord.fail("POST", f"/channels/{thread.id}/messages$", status=404, body=unknown, times=2)
        town.discord.fail("GET", f"/channels/{town.general.id}/messages/", status=403, body=denied, times=2)
        kept = await letter(town)
        assert kept["reason"] == NOT_SEEN
        await town.house.until_quiet_everywhere()
        await replay(town, town.general, kept["id"])
        await town.until(lambda: "done at last" in answers(town, thread))


async def test_a_person_who_takes_no_direct_messages_any_more_costs_nobody_else_anything(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    async with town.open():
        town.ada.say(dm, "slow, please")
        await town.until(lambda: dm.typing)
        town.ada.takes_dms = False
        assert (await letter(town))["reason"] == SENTENCES[50007]
        assert await town.answer_to("and here?") == "You said: and here?"
        await town.house.until_quiet_everywhere()
        refused = [each for each in town.discord.requests if each.status == 403 and dm.id in each.path]
        assert len(refused) <= 4, "no one knocks on a closed door for ever"


# ---------------------------------------------------------------- permissions that were never there


async def test_where_there_may_be_no_threads_the_answer_stands_in_the_channel(town: Town) -> None:
    town.general.deny(town.discord.bot, Permission.CREATE_PUBLIC_THREADS)
    async with town.open():
        asked = town.ada.say(town.general, "hello", mention=[town.discord.bot])
        await bot_says(town, town.general, "You said: hello")
        assert asked.thread is None
        assert town.general.messages[-1].reference is asked


async def test_where_no_more_threads_can_be_opened_the_answer_stands_in_the_channel(town: Town) -> None:
    body = {"message": "Maximum number of active threads reached", "code": 160006}
    async with town.open():
        town.discord.fail("POST", "/threads$", status=400, body=body)
        town.ada.say(town.general, "hello", mention=[town.discord.bot])
        await bot_says(town, town.general, "You said: hello")


async def test_where_the_bot_may_not_read_what_was_it_answers_without_a_quotation(town: Town) -> None:
    town.general.deny(town.discord.bot, Permission.READ_MESSAGE_HISTORY)
    async with town.open():
        town.ada.say(town.general, "hello", mention=[town.discord.bot])
        await bot_says(town, town.general, "You said: hello")
        assert town.general.messages[-1].reference is None
        files = [(f"{number}.txt", b"x", None) for number in range(20)]
        town.ada.say(town.general, "too much", files=files, mention=[town.discord.bot])
        refused = "A message can have 10 files; this one has 20."
        await bot_says(town, town.general, "You said: hello", refused)
        assert town.house.query("SELECT id FROM dead_letters") == []


async def test_what_is_asked_in_a_server_that_discord_has_not_told_of_is_answered(town: Town) -> None:
    dark = town.discord.guild("Dark")
    dark.join(town.ada)
    room = dark.channel("room")
    dark.is_unavailable = True
    async with town.open():
        asked = draft(town, room, f"{town.discord.bot.mention} hello")
        asked.names = (town.discord.bot,)
        tell(town, asked)
        await bot_says(town, room, "You said: hello")


async def test_where_there_may_be_no_files_a_sentence_stands_in_the_place_of_one(town: Town) -> None:
    dm, script = (
        town.discord.dm(town.ada),
        rule("file", use("send_file", path="made.txt", text="Here."), "end"),
    )
    town.house.script(script)
    town.house.wirings = wirings({"threads": False})
    town.general.deny(town.discord.bot, Permission.ATTACH_FILES)
    async with town.open():
        town.ada.say(town.general, "hello", mention=[town.discord.bot])
        await bot_says(town, town.general, "You said: hello")
        (town.house.workspace(town.general.id).work / "made.txt").write_bytes(MADE)
        town.ada.say(town.general, "file", mention=[town.discord.bot])
        await bot_says(
            town,
            town.general,
            "You said: hello",
            "Here.",
            "(The file made.txt is missing: this place takes no files.)",
            "end",
        )
        assert town.house.query("SELECT id FROM dead_letters") == []
        assert answers(town, dm) == []


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        (413, 40005, "it is larger than this server takes"),
        (403, 50013, "the bot may not attach files here"),
    ],
)
async def test_a_file_that_discord_refuses_is_a_sentence_as_well(
    town: Town, status: int, code: int, why: str
) -> None:
    """What is known of a place may be out of date."""
    town.house.script(rule("file", use("send_file", path="made.txt", text="Here."), "end"))
    dm = town.discord.dm(town.ada)
    async with town.open():
        town.ada.say(dm, "hello")
        await bot_says(town, dm, "You said: hello")
        (town.house.workspace(dm.id).work / "made.txt").write_bytes(MADE)
        body = {"message": "no", "code": code}
        town.discord.fail("POST", f"/channels/{dm.id}/messages$", status=status, body=body, after=1)
        town.ada.say(dm, "file")
        missing = f"(The file made.txt is missing: {why}.)"
        await bot_says(town, dm, "You said: hello", "Here.", missing, "end")


async def test_where_there_may_be_no_embeds_the_words_of_a_card_stand_in_its_place(town: Town) -> None:
    fields = [{"name": "took", "value": "3 min"}]
    card = use("send_card", title="Build", text="All *well*", fields=fields, fallback_text="Build: 3 min")
    town.house.script(rule("card", card, "end"))
    town.house.wirings = wirings({"threads": False})
    town.general.deny(town.discord.bot, Permission.EMBED_LINKS)
    async with town.open():
        town.ada.say(town.general, "card", mention=[town.discord.bot])
        await bot_says(town, town.general, "Build: 3 min", "end")
        assert town.house.query("SELECT id FROM dead_letters") == []
        assert all(not each.embeds for each in town.general.messages)


# ---------------------------------------------------------------- threads that are shut


async def test_an_answer_for_a_locked_thread_is_kept_with_what_a_moderator_has_to_do(town: Town) -> None:
    async with town.open():
        _, thread = await turn_in(town, town.general)
        thread.archive(locked=True)
        kept = await letter(town)
        assert kept["reason"] == "the thread is locked; a moderator has to unlock it"
        town.discord.world.archive(thread, False, locked=False)
        await replay(town, town.general, kept["id"])
        await town.until(lambda: "done at last" in answers(town, thread))


async def test_an_archived_thread_that_somebody_writes_in_goes_on(town: Town) -> None:
    async with town.open():
        asked = town.ada.say(town.general, "hello", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await bot_says(town, thread, "You said: hello")
        thread.archive()
        town.ada.say(thread, "once more")
        await bot_says(town, thread, "You said: hello", "You said: once more")
        thread.archive()
    async with town.open():
        town.ada.say(thread, "and again")
        await bot_says(town, thread, "You said: hello", "You said: once more", "You said: and again")
        assert not thread.is_archived and len(town.house.query("SELECT id FROM sessions")) == 1


async def test_live_text_in_a_thread_that_is_archived_meanwhile_becomes_the_answer(town: Town) -> None:
    town.house.script(
        rule("slow", {"do": "delta", "text": "so far"}, {"do": "stall", "seconds": 1.5}, "so far, so good")
    )
    async with town.open():
        asked = town.ada.say(town.general, "slow, please", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: answers(town, thread))
        assert answers(town, thread) != ["so far, so good"]
        thread.archive()
        await bot_says(town, thread, "so far, so good")
        assert not thread.is_archived and town.house.query("SELECT id FROM dead_letters") == []


# ---------------------------------------------------------------- places of every kind


async def test_direct_messages_and_group_messages_are_answered_where_they_stand(town: Town) -> None:
    dm, group = town.discord.dm(town.ada), town.discord.group_dm(town.ada, town.bob)
    async with town.open():
        town.ada.say(dm, "alone")
        await bot_says(town, dm, "You said: alone")
        town.ada.say(group, "not for the bot")
        town.ada.say(group, "for the bot", mention=[town.discord.bot])
        await bot_says(town, group, "You said: for the bot")


async def test_a_post_of_a_forum_is_answered_in_the_post(town: Town) -> None:
    forum = town.lab.channel("help", "forum")
    async with town.open():
        post = town.ada.post(forum, "It is broken", f"{town.discord.bot.mention} what now?")
        await bot_says(town, post, "You said: what now?")
        town.ada.say(post, "and then?")
        await bot_says(town, post, "You said: what now?", "You said: and then?")


async def test_an_announcement_has_a_thread_and_the_chat_of_a_voice_channel_has_none(town: Town) -> None:
    news, voice = town.lab.channel("news", "announcement"), town.lab.channel("Lounge", "voice")
    async with town.open():
        assert await town.answer_to("what is new?", place=news) == "You said: what is new?"
        asked = town.ada.say(voice, "can you hear me?", mention=[town.discord.bot])
        await bot_says(town, voice, "You said: can you hear me?")
        assert asked.thread is None


# ---------------------------------------------------------------- what an answer must not do


async def test_an_answer_notifies_nobody_and_shows_nothing_of_a_link(town: Town) -> None:
    town.general.allow(town.discord.bot, Permission.MENTION_EVERYONE)
    loud = f"@everyone @here {town.bob.mention} https://example.org/secret"
    town.house.script(rule("loud", loud))
    async with town.open():
        asked = town.ada.say(town.general, "loud", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: len(answers(town, thread)) == 1)
        (said,) = [each for each in thread.messages if each.author is town.discord.bot]
        assert not said.pings.everyone and said.pings.users == ()
        assert "@everyone" not in said.text and "https://example.org/secret" in said.text
        assert said.flags & 4, "SUPPRESS_EMBEDS"
