"""What a conversation on Slack shows while a turn runs: by the way that its workspace has, taken back in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.slack import ids
from adapters.slack.status import EMOJI, KEY, THINKING
from tests.fakes.host import FakeNotes
from tests.fakes.slack_api import How
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message
from tests.service.slack_out import QUICK, Out, Talk, out, talk

SESSION = "agents.sessions.setStatus"
THREAD = "assistant.threads.setStatus"


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


def states(slack: SlackServer, question: Message) -> list[str]:
    """All that its session has been."""
    return slack.session(question).states


def lines(slack: SlackServer, question: Message) -> list[str]:
    """All that the older status of its thread has been."""
    return slack.world.statuses.get((question.place.id, question.ts), [])


async def begun(life: Out, ask: Talk) -> None:
    """A turn runs, and its session says so."""
    life.status.begin(ask.route)
    await life.slack.until(lambda: states(life.slack, ask.question)[-1:] == ["processing"])


async def test_a_session_is_processing_while_a_turn_runs(life: Out, ask: Talk) -> None:
    life.status.title(ask.route, "Why?")
    await begun(life, ask)
    session = life.slack.session(ask.question)
    assert (session.title, session.initiator) == ("Why?", ask.ada.id)
    await life.slack.until(lambda: life.status.session(ask.route) == "processing")
    await life.status.suspend(ask.route)
    await life.slack.until(lambda: session.status == "suspended")
    # That the turn is known to run is no answer.
    life.status.begin(ask.route)
    assert session.states == ["processing", "suspended"]
    life.status.resume(ask.route)
    await life.slack.until(lambda: session.status == "processing")
    await life.status.end(ask.route)
    assert session.states == ["processing", "suspended", "processing", "active"]
    assert not life.notes.texts


async def test_news_of_the_same_turn_are_no_calls(life: Out, ask: Talk) -> None:
    await begun(life, ask)
    for _ in range(5):
        life.status.begin(ask.route)
    await life.status.end(ask.route)
    assert states(life.slack, ask.question) == ["processing", "active"]


async def test_a_turn_that_is_over_at_once_shows_nothing(slack: SlackServer, ask: Talk) -> None:
    async with out(slack, timing=replace(QUICK, status_begins=60.0)) as life:
        life.status.begin(ask.route)
        for _ in range(3):
            await life.web.call("auth.test")
        await life.status.end(ask.route)
    assert not slack.called(SESSION) and not life.notes.texts


async def test_the_end_of_a_stream_ends_the_status_in_the_same_call(life: Out, ask: Talk) -> None:
    await begun(life, ask)
    await life.slack.until(lambda: life.status.session(ask.route) == "processing")
    life.streams.show(ask.live("It is "))
    await life.slack.until(lambda: ask.replies)
    await life.send(ask.answer("It is so."))
    await life.status.end(ask.route)
    assert states(life.slack, ask.question) == ["processing", "active"]
    assert len(life.slack.called(SESSION)) == 1
    assert not [key for key in life.notes.texts if key.startswith(KEY)]


async def test_a_stream_that_ends_in_the_middle_of_a_turn_leaves_it_processing(life: Out, ask: Talk) -> None:
    await begun(life, ask)
    await life.slack.until(lambda: life.status.session(ask.route) == "processing")
    life.streams.show(ask.live("It is "))
    await life.slack.until(lambda: ask.replies)
    await life.send(replace(ask.answer("It is so."), ends=()))
    assert states(life.slack, ask.question)[-1] == "processing"


@pytest.mark.parametrize(
    "error", ["unknown_method", "missing_scope", "method_not_supported_for_channel_type"]
)
async def test_without_sessions_a_thread_says_that_the_bot_is_thinking(
    life: Out, ask: Talk, error: str
) -> None:
    life.slack.fail(SESSION, error=error, times=99)
    life.status.begin(ask.route)
    # Slack takes it away after two minutes: it is said again.
    await life.slack.until(lambda: lines(life.slack, ask.question) == [THINKING] * 2)
    await life.status.end(ask.route)
    assert lines(life.slack, ask.question)[-1] == ""
    life.status.begin(ask.route)
    await life.slack.until(lambda: lines(life.slack, ask.question)[-1] == THINKING)
    assert len(life.slack.called(SESSION)) == 1, "it is not tried again before an hour"


async def test_without_either_there_is_an_emoji_on_the_question(slack: SlackServer, ask: Talk) -> None:
    for method in (SESSION, THREAD):
        slack.fail(method, error="unknown_method", times=99)
    async with out(slack) as life:
        life.status.begin(ask.route)
        await slack.until(lambda: list(ask.question.reactions) == [EMOJI])
        await life.status.end(ask.route)
    assert not ask.question.reactions and not life.notes.texts


async def test_where_there_are_no_threads_the_emoji_is_on_what_is_asked(life: Out, ask: Talk) -> None:
    life.status.begin(ids.route(ask.general.id), ask.event)
    await life.slack.until(lambda: list(ask.question.reactions) == [EMOJI])
    await life.status.end(ids.route(ask.general.id))
    assert not ask.question.reactions


async def test_nothing_that_can_be_shown_is_tried_once_a_turn(life: Out, ask: Talk) -> None:
    life.slack.fail(SESSION, error="not_in_channel", times=99)
    life.slack.fail(THREAD, error="not_in_channel", times=99)
    life.slack.fail("reactions.add", error="not_in_channel", times=99)
    life.status.begin(ask.route)
    await life.slack.until(lambda: life.slack.called("reactions.add"))
    life.status.begin(ask.route)
    await life.status.end(ask.route)
    assert len(life.slack.called("reactions.add")) == 1 and not life.notes.texts


@pytest.mark.parametrize("how", ["reset_before", "reset_after", "status"])
async def test_a_status_is_taken_back_after_a_failure(life: Out, ask: Talk, how: How) -> None:
    life.slack.fail(SESSION, how, after=1)
    await begun(life, ask)
    await life.status.end(ask.route)
    await life.slack.until(lambda: states(life.slack, ask.question)[-1] == "active" and not life.notes.texts)


async def test_a_status_that_may_stand_is_taken_back(life: Out, ask: Talk) -> None:
    life.slack.fail(SESSION, "reset_after")
    await begun(life, ask)
    await life.status.end(ask.route)
    assert states(life.slack, ask.question)[-1] == "active"


async def test_the_next_service_takes_back_what_stands(slack: SlackServer, ask: Talk) -> None:
    notes = FakeNotes()
    async with out(slack, notes) as life:
        await begun(life, ask)
    assert list(notes.texts) == [f"{KEY}{ask.general.id}:{ask.question.ts}"]
    async with out(slack, notes) as life:
        await slack.until(lambda: states(slack, ask.question)[-1] == "active" and not notes.texts)


async def test_a_turn_that_goes_on_in_the_next_service_stays_processing(
    slack: SlackServer, ask: Talk
) -> None:
    notes = FakeNotes()
    async with out(slack, notes) as life:
        await begun(life, ask)
    async with out(slack, notes, timing=replace(QUICK, status_again=60.0)) as life:
        life.status.begin(ask.route)
        await slack.until(lambda: life.status.session(ask.route) == "processing")
        assert "active" not in states(slack, ask.question)
        await life.status.end(ask.route)
    assert states(slack, ask.question)[-1] == "active" and not notes.texts


async def test_a_turn_that_ends_in_the_next_service_ends_there(slack: SlackServer, ask: Talk) -> None:
    notes = FakeNotes()
    async with out(slack, notes) as life:
        await begun(life, ask)
    async with out(slack, notes, timing=replace(QUICK, status_again=60.0)) as life:
        await life.status.end(ask.route)
    assert states(slack, ask.question)[-1] == "active" and not notes.texts


async def test_a_turn_that_begins_before_the_last_one_is_told_to_have_ended_goes_on(
    life: Out, ask: Talk
) -> None:
    await begun(life, ask)
    await life.slack.until(lambda: life.status.session(ask.route) == "processing")
    assert life.status.ends(ask.route)
    life.status.begin(ask.route)
    assert not life.status.ends(ask.route)
    life.status.told(ask.route, "active")
    await life.slack.until(lambda: states(life.slack, ask.question) == ["processing", "processing"])
    await life.status.end(ask.route)
    assert states(life.slack, ask.question) == ["processing", "processing", "active"]
