"""Answers on Slack while they are written: by a stream, by edits where there is none, and whole in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.base import Outgoing, SendFailed
from adapters.slack import ids
from adapters.slack.render import live
from tests.fakes.host import FakeNotes
from tests.fakes.slack_api import How
from tests.fakes.slack_server import SlackServer
from tests.service.slack_out import Out, Talk, out, talk

TABLE = "| a | b |\n| - | - |\n| 1 | 2 |\n"


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer(limits="none") as server:
        yield server


@pytest.fixture
def ask(slack: SlackServer) -> Talk:
    return talk(slack)


@pytest.fixture
async def life(slack: SlackServer, ask: Talk) -> AsyncIterator[Out]:
    async with out(slack) as made:
        made.heard(ask.question)
        yield made


async def shows(life: Out, ask: Talk, text: str) -> None:
    """So much of an answer is written, and comes to be seen as far as it can be."""
    life.streams.show(ask.live(text))
    await life.slack.until(lambda: ask.question.reply_texts[-1:] == [live(text)])


def calls(slack: SlackServer, *methods: str) -> list[int]:
    """How many calls of each were made."""
    return [len(slack.called(f"chat.{each}")) for each in methods]


async def test_an_answer_grows_and_is_not_rewritten(life: Out, ask: Talk) -> None:
    await shows(life, ask, "It is ")
    assert ask.replies[0].streaming
    await shows(life, ask, "It is **so")
    await shows(life, ask, "It is **so** because ")
    assert life.streams.visible(ask.route)
    (sent,) = await life.send(ask.answer("It is **so** because it is."))
    (reply,) = ask.replies
    assert reply.shown == "It is **so** because it is." and not reply.streaming
    assert sent == ids.part_id(ask.general.id, reply.ts)
    assert reply.metadata is not None and reply.metadata["event_payload"]["out"] == "1"
    assert calls(life.slack, "startStream", "stopStream", "update", "postMessage") == [1, 1, 0, 0]
    (begun,) = life.slack.called("chat.startStream")
    assert begun.arguments["recipient_user_id"] == ask.ada.id
    assert begun.arguments["recipient_team_id"] == ask.ada.team
    await life.streams.end("turn")
    assert not life.notes.texts


async def test_what_is_not_text_alone_is_put_there_in_the_end(life: Out, ask: Talk) -> None:
    await shows(life, ask, "Look:\n\n" + TABLE)
    await life.send(ask.answer("Look:\n\n" + TABLE))
    (reply,) = ask.replies
    assert [each["type"] for each in reply.blocks] == ["markdown", "table"]


async def test_an_answer_that_turned_out_otherwise_is_rewritten(life: Out, ask: Talk) -> None:
    await shows(life, ask, "It is so. ")
    await life.send(ask.answer("It is not so."))
    assert ask.question.reply_texts == ["It is not so."]
    assert calls(life.slack, "stopStream", "update") == [1, 1]


async def test_live_text_that_changes_goes_on_by_edits(life: Out, ask: Talk) -> None:
    await shows(life, ask, "It is so. ")
    await shows(life, ask, "Perhaps it is. ")
    await shows(life, ask, "Perhaps it is. Or ")
    assert calls(life.slack, "startStream", "appendStream", "stopStream") == [1, 0, 1]
    await life.send(ask.answer("Perhaps it is. Or not."))
    assert ask.question.reply_texts == ["Perhaps it is. Or not."]


@pytest.mark.parametrize("error", ["unknown_method", "missing_scope", "channel_type_not_supported"])
async def test_where_nothing_can_be_streamed_it_is_edited(life: Out, ask: Talk, error: str) -> None:
    life.slack.fail("chat.startStream", error=error, times=99)
    await shows(life, ask, "It is ")
    await shows(life, ask, "It is so ")
    await life.send(ask.answer("It is so."))
    assert ask.question.reply_texts == ["It is so."] and not ask.replies[0].unfurls
    await life.streams.end("turn")
    again = talk(life.slack)
    life.heard(again.question)
    life.streams.show(again.live("So it is ", turn_id="next"))
    await life.slack.until(lambda: again.question.reply_texts == ["So it is"])
    assert calls(life.slack, "startStream") == [1], "it is not tried again before an hour"


async def test_an_answer_to_nobody_is_edited(slack: SlackServer, ask: Talk) -> None:
    async with out(slack) as life:
        await shows(life, ask, "It is ")
        await life.send(ask.answer("It is so."))
    assert ask.question.reply_texts == ["It is so."]
    assert calls(slack, "startStream", "postMessage") == [0, 1]


@pytest.mark.parametrize("error", ["message_not_in_streaming_state", "msg_too_long", "stopped_by_user"])
async def test_a_stream_that_takes_no_more_goes_on_by_edits(life: Out, ask: Talk, error: str) -> None:
    await shows(life, ask, "It is ")
    life.slack.fail("chat.appendStream", error=error)
    if error != "msg_too_long":
        ask.replies[0].streaming = False
    await shows(life, ask, "It is so ")
    await life.send(ask.answer("It is so."))
    assert ask.question.reply_texts == ["It is so."]


@pytest.mark.parametrize("how", ["reset_after", "reset_before", "status"])
async def test_an_addition_that_may_be_there_is_not_made_twice(life: Out, ask: Talk, how: How) -> None:
    await shows(life, ask, "It is ")
    life.slack.fail("chat.appendStream", how)
    life.streams.show(ask.live("It is so, and "))
    await life.slack.until(lambda: calls(life.slack, "appendStream") == [1])
    await life.send(ask.answer("It is so, and so."))
    assert ask.question.reply_texts == ["It is so, and so."]


@pytest.mark.parametrize("method", ["chat.startStream", "chat.postMessage"])
async def test_a_beginning_that_may_be_there_is_not_made_twice(
    slack: SlackServer, ask: Talk, method: str
) -> None:
    slack.fail(method, "reset_after")
    async with out(slack) as life:
        if method == "chat.startStream":
            life.heard(ask.question)
        await shows(life, ask, "It is ")
        await shows(life, ask, "It is so, ")
        await life.send(ask.answer("It is so, and so."))
    assert ask.question.reply_texts == ["It is so, and so."]


async def test_a_limit_in_the_middle_pauses_what_is_shown(life: Out, ask: Talk) -> None:
    await shows(life, ask, "It is ")
    life.slack.fail("chat.appendStream", "limited", seconds=30)
    life.streams.show(ask.live("It is so "))
    await life.slack.until(lambda: life.slack.limited)
    life.streams.show(ask.live("It is so, and "))
    await life.send(ask.answer("It is so, and so."))
    assert ask.question.reply_texts == ["It is so, and so."]
    assert calls(life.slack, "appendStream") == [1], "nobody asks again before the time"


async def test_the_end_of_a_stream_that_may_have_come_is_made_whole(life: Out, ask: Talk) -> None:
    await shows(life, ask, "It is ")
    life.slack.fail("chat.stopStream", "reset_after")
    with pytest.raises(SendFailed) as failed:
        await life.send(ask.answer("It is so."))
    assert failed.value.retry_after == 0
    await life.send(ask.answer("It is so."), since=1)
    assert ask.question.reply_texts == ["It is so."] and not ask.replies[0].streaming


async def test_a_message_that_somebody_took_away_is_said_anew(life: Out, ask: Talk) -> None:
    await shows(life, ask, "It is ")
    life.slack.world.remove(ask.replies[0])
    await life.send(ask.answer("It is so."))
    assert ask.question.reply_texts == ["It is so."]


async def test_what_else_is_said_in_a_turn_stands_above_its_answer(life: Out, ask: Talk) -> None:
    await shows(life, ask, "It is ")
    await life.send(replace(ask.answer("By the way.", out="2"), ends=()))
    await shows(life, ask, "It is so ")
    await life.slack.until(lambda: ask.question.reply_texts == ["By the way.", "It is so"])
    await life.send(ask.answer("It is so."))
    assert ask.question.reply_texts == ["By the way.", "It is so."]


async def test_a_notice_stands_below_what_was_written(life: Out, ask: Talk) -> None:
    await shows(life, ask, "It is so. ")
    await life.send(Outgoing("n", ask.route, "It was stopped.", answers=ask.event, notice=True, session="s"))
    await life.streams.end("turn")
    assert ask.question.reply_texts == ["It is so.\n\nIt was stopped."]


async def test_a_stream_that_was_stopped_by_the_button_takes_the_last_word(life: Out, ask: Talk) -> None:
    await shows(life, ask, "It is so. ")
    life.status.begin(ask.route)
    await life.slack.until(lambda: life.slack.session(ask.question).status == "processing")
    ask.ada.stop(ask.question)
    await life.streams.stopped(ask.general.id, ask.question.ts, [ask.replies[0].ts])
    await life.send(Outgoing("n", ask.route, "It was stopped.", answers=ask.event, notice=True, session="s"))
    assert ask.question.reply_texts == ["It is so.\n\nIt was stopped."]
    assert calls(life.slack, "stopStream") == [0]


async def test_a_turn_that_ends_without_an_answer_leaves_no_stream_open(life: Out, ask: Talk) -> None:
    await shows(life, ask, "It is so. ")
    await life.streams.end("turn")
    assert not ask.replies[0].streaming and ask.question.reply_texts == ["It is so."]
    assert not life.notes.texts


async def test_a_long_answer_begins_in_the_stream_and_goes_on_below(life: Out, ask: Talk) -> None:
    text = "\n\n".join("word " * 100 for _ in range(40))
    life.streams.show(ask.live(text[:11_000]))
    await life.slack.until(lambda: ask.replies and len(ask.replies[0].shown) > 10_000)
    await life.send(ask.answer(text))
    assert len(ask.replies) == 2 and not any(each.streaming for each in ask.replies)
    assert " ".join(ask.question.reply_texts).split() == text.split()


# ---------------------------------------------------------------- a service that is started anew


async def test_the_next_service_goes_on_with_the_same_message(slack: SlackServer, ask: Talk) -> None:
    notes = FakeNotes()
    async with out(slack, notes) as life:
        life.heard(ask.question)
        await shows(life, ask, "It is ")
    async with out(slack, notes) as life:
        await slack.until(lambda: not ask.replies[0].streaming)
        await shows(life, ask, "It is so, ")
        await life.send(ask.answer("It is so, and so."))
        await life.streams.end("turn")
    assert ask.question.reply_texts == ["It is so, and so."] and not notes.texts


async def test_the_answer_itself_finds_the_message_of_an_earlier_service(
    slack: SlackServer, ask: Talk
) -> None:
    notes = FakeNotes()
    async with out(slack, notes) as life:
        life.heard(ask.question)
        await shows(life, ask, "It is ")
    async with out(slack, notes) as life:
        await life.send(ask.answer("It is so."), since=1)
    assert ask.question.reply_texts == ["It is so."] and not ask.replies[0].streaming


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_message_that_was_just_begun_is_found(
    slack: SlackServer, ask: Talk, *, streaming: bool
) -> None:
    notes = FakeNotes()
    async with out(slack, notes) as life:
        if streaming:
            life.heard(ask.question)
        slack.fail("chat.startStream" if streaming else "chat.postMessage", "stall")
        life.streams.show(ask.live("It is so "))
        await slack.until(lambda: ask.question.reply_texts == ["It is so"])
        killed = FakeNotes()
        killed.texts = dict(notes.texts)
    async with out(slack, killed) as life:
        await life.send(ask.answer("It is so."), since=1)
        await life.streams.end("turn")
    assert ask.question.reply_texts == ["It is so."] and not ask.replies[0].streaming
    assert not killed.texts
