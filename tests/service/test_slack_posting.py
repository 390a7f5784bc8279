"""Parts of replies on Slack, over the wire: once each, in words where blocks are refused, with their files."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.base import Edit, Outgoing, OutgoingFile, Reaction, SendFailed
from adapters.slack import ids
from adapters.slack.errors import ChannelGone, MessageGone, error_of
from tests.fakes.slack_api import How
from tests.fakes.slack_server import SlackServer
from tests.service.slack_out import Out, Talk, out, talk

SINCE: int = 1
CHART = OutgoingFile("chart.csv", "text/csv", b"a,b\n1,2\n")


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer(limits="none") as server:
        yield server


@pytest.fixture
async def life(slack: SlackServer) -> AsyncIterator[Out]:
    async with out(slack) as made:
        yield made


@pytest.fixture
def ask(slack: SlackServer) -> Talk:
    return talk(slack)


async def test_an_answer_stands_in_the_thread_of_the_question(life: Out, ask: Talk) -> None:
    sent = await life.send(ask.answer("**Because.**"))
    assert ask.question.reply_texts == ["**Because.**"]
    (reply,) = ask.replies
    assert sent == [ids.part_id(ask.general.id, reply.ts)]
    assert reply.metadata == {
        "event_type": "roost_part",
        "event_payload": {"session": "s", "out": "1", "part": 0},
    }
    assert not reply.unfurls


@pytest.mark.parametrize("how", ["reset_after", "status", "stall"])
async def test_a_try_whose_end_nobody_saw_is_looked_for(life: Out, ask: Talk, how: How) -> None:
    life.slack.fail("chat.postMessage", how)
    with pytest.raises(SendFailed) as failed:
        await life.send(ask.answer("Because."))
    assert failed.value.retry_after == 0
    sent = await life.send(ask.answer("Because."), since=SINCE)
    assert ask.question.reply_texts == ["Because."]
    assert sent == [ids.part_id(ask.general.id, ask.replies[0].ts)]


async def test_the_same_words_of_another_reply_are_said_again(life: Out, ask: Talk) -> None:
    await life.send(ask.answer("Done."))
    await life.send(ask.answer("Done.", out="2"), since=SINCE)
    assert ask.question.reply_texts == ["Done.", "Done."]


async def test_blocks_that_are_refused_are_said_in_words(life: Out, ask: Talk) -> None:
    life.slack.fail("chat.postMessage", error="invalid_blocks")
    await life.send(ask.answer("**Because** " + "of this " * 800))
    assert len(ask.replies) == 2
    assert "*Because*" in ask.replies[0].text and not ask.replies[0].blocks
    assert [each.metadata["event_payload"]["part"] for each in ask.replies if each.metadata] == ["0.1", 0]


async def test_a_part_that_is_half_there_is_made_whole(life: Out, ask: Talk) -> None:
    answer = ask.answer("of this " * 800)
    life.slack.fail("chat.postMessage", error="invalid_blocks")
    life.slack.fail("chat.postMessage", "limited", after=1, seconds=0.01)
    with pytest.raises(SendFailed) as failed:
        await life.send(answer)
    assert failed.value.retry_after == 0 and len(ask.replies) == 1
    life.slack.fail("chat.postMessage", error="invalid_blocks")
    (sent,) = await life.send(answer, since=SINCE)
    assert len(ask.replies) == 2
    assert sent == ids.part_id(ask.general.id, ask.replies[0].ts)
    assert await life.send(answer, since=SINCE) == [sent]
    assert len(ask.replies) == 2


async def test_where_words_are_refused_as_well_it_fails(life: Out, ask: Talk) -> None:
    life.slack.fail("chat.postMessage", error="msg_too_long", times=2)
    with pytest.raises(SendFailed) as failed:
        await life.send(ask.answer("Because."))
    assert failed.value.retry_after is None and "in pieces or as a file" in str(failed.value)


async def test_an_edit_takes_the_place_of_what_stands_there(life: Out, ask: Talk) -> None:
    (sent,) = await life.send(ask.answer("Becuase."))
    assert sent is not None
    edit = Outgoing("2", ask.route, "Because.", edit=Edit([sent], 1), session="s")
    assert await life.send(edit) == [sent]
    assert ask.question.reply_texts == ["Because."]


async def test_a_shorter_edit_takes_away_what_is_left(life: Out, ask: Talk) -> None:
    sent = [*await life.send(ask.answer("one")), *await life.send(ask.answer("two", out="2"))]
    stood = [each for each in sent if each is not None]
    edit = Outgoing("3", ask.route, "only", edit=Edit(stood, 1), session="s")
    assert await life.send(edit) == [stood[0], None]
    assert ask.question.reply_texts == ["only"]
    assert (await life.send(edit))[1] is None, "what is gone is gone"


async def test_an_edit_of_what_is_gone_says_so(life: Out, ask: Talk) -> None:
    gone = ids.part_id(ask.general.id, "1.000001")
    with pytest.raises(MessageGone):
        await life.send(Outgoing("2", ask.route, "Because.", edit=Edit([gone], 1), session="s"))


@pytest.mark.parametrize("times", [1, 2])
async def test_an_emoji_is_put_on_a_message(life: Out, ask: Talk, times: int) -> None:
    reaction = Outgoing("2", ask.route, "", reaction=Reaction("\N{EYES}", 1, event=ask.event), session="s")
    for _ in range(times):
        assert await life.send(reaction) == [None]
    assert list(ask.question.reactions) == ["eyes"]


async def test_a_file_comes_after_the_words(life: Out, ask: Talk) -> None:
    sent = await life.send(ask.answer("Here.", files=[CHART]))
    words, file = ask.replies
    assert sent == [ids.part_id(ask.general.id, each.ts) for each in (words, file)]
    assert [(each.name, each.data) for each in file.files] == [("chart.csv", CHART.data)]


async def test_a_file_that_is_there_is_not_sent_again(life: Out, ask: Talk) -> None:
    life.slack.fail("files.completeUploadExternal", "reset_after")
    with pytest.raises(SendFailed) as failed:
        await life.send(ask.answer("Here.", files=[CHART]))
    assert failed.value.retry_after == 0
    sent = await life.send(ask.answer("Here.", files=[CHART]), since=SINCE, first=1)
    assert sent == [ids.part_id(ask.general.id, ask.replies[1].ts)]
    assert len(ask.replies) == 2


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("not_in_channel", "/invite"),
        ("is_archived", "unarchive"),
        ("restricted_action", "ask them"),
        ("cannot_dm_bot", "one bot"),
        ("messages_tab_disabled", "Messages tab"),
        ("user_disabled", "deactivated"),
        ("some_new_error", "some_new_error"),
    ],
)
async def test_what_slack_refuses_is_said_in_a_sentence(
    life: Out, ask: Talk, error: str, sentence: str
) -> None:
    life.slack.fail("chat.postMessage", error=error)
    with pytest.raises(SendFailed) as failed:
        await life.send(ask.answer("Because."))
    assert sentence in str(failed.value) and failed.value.retry_after is None
    assert error_of(failed.value) == error


async def test_a_missing_scope_is_named(life: Out, ask: Talk) -> None:
    life.slack.fail(
        "chat.postMessage", error="missing_scope", more={"needed": "chat:write", "provided": "users:read"}
    )
    with pytest.raises(SendFailed, match="chat:write; `roost slack check`"):
        await life.send(ask.answer("Because."))


async def test_a_channel_without_the_bot_is_no_place(life: Out, ask: Talk) -> None:
    ask.general.members.remove(life.slack.bot)
    with pytest.raises(SendFailed, match="/invite"):
        await life.send(ask.answer("Because."))


async def test_a_notice_comes_to_the_channel_when_its_thread_is_gone(life: Out, ask: Talk) -> None:
    ask.ada.delete(ask.question)
    with pytest.raises(ChannelGone):
        await life.send(ask.answer("Because."))
    await life.send(Outgoing("n", ask.route, "It has failed.", notice=True, session="s"))
    assert ask.general.texts == ["It has failed."]


async def test_a_notice_comes_to_the_channel_when_its_thread_takes_nothing_more(life: Out, ask: Talk) -> None:
    await life.send(ask.answer("Because."))
    ask.ada.delete(ask.question)
    await life.send(Outgoing("n", ask.route, "It has failed.", notice=True, session="s"))
    assert ask.general.texts[-1] == "It has failed."


@pytest.mark.parametrize("error", ["file_uploads_disabled", "storage_limit_reached"])
async def test_a_file_that_is_not_taken_is_told_of(life: Out, ask: Talk, error: str) -> None:
    life.slack.fail("files.getUploadURLExternal", error=error)
    await life.send(ask.answer("Here.", files=[CHART]))
    assert ask.question.reply_texts[0] == "Here." and "chart.csv" in ask.question.reply_texts[1]


async def test_bytes_that_do_not_arrive_are_brought_again(life: Out, ask: Talk) -> None:
    life.slack.fail("upload", "status", status=503)
    with pytest.raises(SendFailed) as failed:
        await life.send(ask.answer("", files=[CHART]))
    assert failed.value.retry_after
    await life.send(ask.answer("", files=[CHART]), since=SINCE)
    assert [each.name for each in ask.replies[0].files] == ["chart.csv"] and len(ask.replies) == 1


async def test_where_nothing_may_be_read_it_is_said_at_least_once(life: Out, ask: Talk) -> None:
    life.slack.world.scopes.discard("channels:history")
    await life.send(ask.answer("Because."), since=SINCE)
    assert ask.question.reply_texts == ["Because."]
