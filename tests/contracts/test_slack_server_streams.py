"""The fake Slack's streams, sessions of agents, suggested prompts and Home tab, for the real AsyncWebClient."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from tests.contracts.slack_rig import HandClock, Rig, serving
from tests.fakes.slack_refusals import CannotDo
from tests.fakes.slack_things import Message

MARK = {"event_type": "roost_part", "event_payload": {"session": "s1", "out": "o1", "part": 0}}
BUTTON = {
    "type": "actions",
    "elements": [
        {"type": "button", "action_id": "a", "value": "1", "text": {"type": "plain_text", "text": "Go"}}
    ],
}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def rig(clock: HandClock) -> AsyncIterator[Rig]:
    async with serving(clock=clock, limits="none") as made:
        yield made


async def streamed(rig: Rig, said: Message, text: str = "one") -> Message:
    """A stream that has begun in the thread of a message."""
    started = await rig.client.chat_startStream(
        channel=said.channel,
        thread_ts=said.ts,
        markdown_text=text,
        recipient_team_id=rig.slack.team,
        recipient_user_id=rig.ada.id,
    )
    found = said.place.find(started["ts"])
    assert found is not None
    return found


async def error_of(call: Any) -> str:
    """Slack's name of what was wrong with a call."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


# -------------------------------------------------------------------- streams


async def test_an_answer_grows_and_ends(rig: Rig) -> None:
    said = rig.ada.say(rig.general, "why?")
    message = await streamed(rig, said, "**one**")
    assert (message.streaming, message.shown, said.replies) == (True, "**one**", [message])
    await rig.client.chat_appendStream(channel=rig.general.id, ts=message.ts, markdown_text=" two")
    assert (
        await error_of(rig.client.chat_update(channel=rig.general.id, ts=message.ts, text="x"))
        == "streaming_state_conflict"
    )
    ended = await rig.client.chat_stopStream(
        channel=rig.general.id, ts=message.ts, markdown_text=" three", blocks=[BUTTON], metadata=MARK
    )
    assert ended["message"]["metadata"] == MARK
    assert (message.streaming, message.shown, message.labels) == (False, "**one** two three", ["Go"])
    assert [text for _, text in message.edits] == [
        "**one**",
        "**one** two",
        "**one** two three",
        "**one** two three",
    ]
    assert rig.events("message_changed")[-1]["message"]["text"] == "**one** two three"
    for call in (rig.client.chat_appendStream, rig.client.chat_stopStream):
        late = call(channel=rig.general.id, ts=message.ts, markdown_text="x")
        assert await error_of(late) == "message_not_in_streaming_state"
    await rig.client.chat_update(channel=rig.general.id, ts=message.ts, text="whole")
    assert message.shown == "whole"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"recipient_user_id": None}, "missing_recipient_user_id"),
        ({"recipient_team_id": None}, "missing_recipient_team_id"),
        ({"recipient_user_id": "U0NONE"}, "user_not_found"),
        ({"recipient_team_id": "T0OTHER"}, "team_not_found"),
        ({"thread_ts": "1.000001"}, "thread_not_found"),
        ({"thread_ts": None}, "invalid_arguments"),
        ({"channel": "C0NONE"}, "channel_not_found"),
        ({"markdown_text": "x" * 12_001}, "msg_too_long"),
    ],
)
async def test_a_stream_in_a_channel_is_for_somebody(rig: Rig, given: dict[str, Any], error: str) -> None:
    said = rig.ada.say(rig.general, "why?")
    right = {
        "channel": rig.general.id,
        "thread_ts": said.ts,
        "recipient_user_id": rig.ada.id,
        "recipient_team_id": rig.slack.team,
    }
    whole = {key: value for key, value in (right | given).items() if value is not None}
    assert (await rig.raw("chat.startStream", whole))["error"] == error


async def test_a_stream_in_a_direct_conversation_needs_no_recipient(rig: Rig) -> None:
    said = rig.ada.say(rig.slack.dm(rig.ada), "why?")
    await rig.client.chat_startStream(channel=said.channel, thread_ts=said.ts, markdown_text="because")
    assert said.reply_texts == ["because"]


async def test_a_stream_is_the_apps_own(rig: Rig) -> None:
    said = rig.ada.say(rig.general, "why?")
    message = await streamed(rig, said)
    assert (await rig.raw("chat.appendStream", {"channel": rig.general.id, "ts": message.ts}))["error"] == (
        "markdown_text_or_chunks_required"
    )
    hers = rig.client.chat_appendStream(channel=rig.general.id, ts=said.ts, markdown_text="x")
    assert await error_of(hers) == "message_not_owned_by_app"
    none = rig.client.chat_stopStream(channel=rig.general.id, ts="1.000001")
    assert await error_of(none) == "message_not_found"


@pytest.mark.parametrize("steps", [[301], [60, 60, 60, 60, 61], [121]])
async def test_a_stream_ends_by_itself(rig: Rig, clock: HandClock, steps: list[int]) -> None:
    said = rig.ada.say(rig.general, "why?")
    message = await streamed(rig, said)
    error = ""
    for seconds in steps:
        clock.forward(seconds)
        given = {"channel": rig.general.id, "ts": message.ts, "markdown_text": "more"}
        error = (await rig.raw("chat.appendStream", given)).get("error", "")
    assert (error, message.streaming) == ("message_not_in_streaming_state", False)


async def test_a_workspace_without_streams_does_not_know_them() -> None:
    async with serving(limits="none", streaming=False, agent_view=False, assistant=False) as rig:
        said = rig.ada.say(rig.general, "why?")
        given = {"channel": rig.general.id, "channel_id": rig.general.id, "thread_ts": said.ts}
        for method in ("chat.startStream", "agents.sessions.setStatus", "assistant.threads.setStatus"):
            answer = await rig.raw(method, given)
            assert (answer["error"], answer["req_method"]) == ("unknown_method", method)


async def test_a_method_can_be_refused_for_good(rig: Rig) -> None:
    rig.slack.refuse("feature_disabled", "agents.sessions.setStatus")
    for _ in range(2):
        assert (await rig.raw("agents.sessions.setStatus", {}))["error"] == "feature_disabled"
    rig.slack.refuse("", "agents.sessions.setStatus")
    assert (await rig.raw("agents.sessions.setStatus", {}))["error"] == "channel_not_found"


# -------------------------------------------------------------------- sessions


async def test_a_session_has_states_and_a_title(rig: Rig, clock: HandClock) -> None:
    said = rig.ada.say(rig.general, "why?")
    where = {"channel_id": rig.general.id, "thread_ts": said.ts}
    made = await rig.raw(
        "agents.sessions.setStatus",
        {**where, "status": "processing", "title": "Why", "initiator_user_id": rig.ada.id},
    )
    assert (made["status"], made["title"]) == ("processing", "Why")
    clock.forward(1)
    await rig.raw("agents.sessions.setStatus", {**where, "status": "active", "title": "Other"})
    await rig.raw("agents.sessions.rename", {**where, "title": "Because"})
    session = rig.slack.sessions[rig.general.id, said.ts]
    assert (session.states, session.titles) == (["processing", "active"], ["Why", "Because"])
    assert (session.title, session.initiator) == ("Because", rig.ada.id)
    assert session.history[1][0] - session.history[0][0] == 1000
    for given, error in (
        ({**where, "status": "busy"}, "invalid_status"),
        ({"channel_id": rig.general.id, "status": "active"}, "thread_ts_required"),
        ({**where, "thread_ts": "1.000001", "status": "active"}, "thread_not_found"),
        ({**where, "channel_id": "C0NONE", "status": "active"}, "channel_not_found"),
    ):
        assert (await rig.raw("agents.sessions.setStatus", given))["error"] == error
    other = rig.bob.say(rig.general, "else")
    given = {"channel_id": rig.general.id, "thread_ts": other.ts, "title": "x"}
    assert (await rig.raw("agents.sessions.rename", given))["error"] == "session_not_found"


async def test_the_end_of_a_stream_makes_its_session_active(rig: Rig) -> None:
    said = rig.ada.say(rig.general, "why?")
    where = {"channel_id": rig.general.id, "thread_ts": said.ts}
    await rig.raw("agents.sessions.setStatus", {**where, "status": "processing"})
    message = await streamed(rig, said)
    await rig.client.chat_stopStream(channel=rig.general.id, ts=message.ts)
    assert rig.slack.session(said).states == ["processing", "active"]
    second = await streamed(rig, said)
    given = {"channel": rig.general.id, "ts": second.ts, "session_status": "suspended"}
    assert (await rig.raw("chat.stopStream", given))["ok"]
    assert rig.slack.session(said).status == "suspended"


async def test_a_person_stops_what_is_being_written(rig: Rig) -> None:
    said = rig.ada.say(rig.general, "why?")
    with pytest.raises(CannotDo):
        rig.ada.stop(said)
    where = {"channel_id": rig.general.id, "thread_ts": said.ts}
    await rig.raw("agents.sessions.setStatus", {**where, "status": "processing"})
    message = await streamed(rig, said)
    rig.ada.stop(said)
    told = rig.heard()[-1]
    assert (told["type"], told["channel"], told["thread_ts"], told["user"], told["streaming_message_ts"]) == (
        "agent_session_stopped",
        rig.general.id,
        said.ts,
        rig.ada.id,
        [message.ts],
    )
    late = rig.client.chat_appendStream(channel=rig.general.id, ts=message.ts, markdown_text="x")
    assert await error_of(late) == "stopped_by_user"
    assert rig.slack.session(said).status == "processing"


async def test_an_older_status_goes_with_the_answer_or_by_itself(rig: Rig, clock: HandClock) -> None:
    said = rig.ada.say(rig.slack.dm(rig.ada), "why?")
    where = {"channel_id": said.channel, "thread_ts": said.ts}
    await rig.raw("assistant.threads.setStatus", {**where, "status": "is thinking..."})
    assert rig.slack.world.status_of(said.place, said) == "is thinking..."
    await rig.client.chat_postMessage(channel=said.channel, thread_ts=said.ts, text="because")
    assert rig.slack.world.status_of(said.place, said) == ""
    await rig.raw("assistant.threads.setStatus", {**where, "status": "is thinking..."})
    clock.forward(121)
    assert rig.slack.world.status_of(said.place, said) == ""
    await rig.raw("assistant.threads.setStatus", {**where, "status": ""})
    assert rig.slack.statuses[said.channel, said.ts] == ["is thinking...", "is thinking...", ""]
    given = {**where, "thread_ts": "1.000001", "status": "x"}
    assert (await rig.raw("assistant.threads.setStatus", given))["error"] == "invalid_thread_ts"


# -------------------------------------------------------------------- prompts, and the Home tab


async def test_prompts_are_suggested(rig: Rig) -> None:
    place = rig.slack.dm(rig.ada)
    prompts = [{"title": "Help", "message": "What can you do?"}]
    await rig.client.assistant_threads_setSuggestedPrompts(
        channel_id=place.id, thread_ts="", prompts=prompts, title="Try"
    )
    assert rig.slack.prompts[place.id] == prompts
    for given in ([], prompts * 5, [{"title": "Help"}]):
        answer = await rig.raw(
            "assistant.threads.setSuggestedPrompts", {"channel_id": place.id, "prompts": given}
        )
        assert answer["error"] == "invalid_arguments"


async def test_an_older_assistant_suggests_in_threads_and_no_agent_nowhere() -> None:
    prompts = [{"title": "Help", "message": "What can you do?"}]
    for assistant, error in ((True, "missing_thread_ts"), (False, "not_agent_app")):
        async with serving(limits="none", agent_view=False, assistant=assistant) as rig:
            given = {"channel_id": rig.slack.dm(rig.ada).id, "prompts": prompts}
            answer = await rig.raw("assistant.threads.setSuggestedPrompts", given)
            assert answer["error"] == error


async def test_the_home_tab_is_published_and_opened(rig: Rig) -> None:
    home = {
        "type": "home",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "Hello"}}, BUTTON],
    }
    rig.ada.open_home()
    assert "view" not in rig.heard()[-1]
    made = await rig.client.views_publish(user_id=rig.ada.id, view=home)
    assert rig.slack.homes[rig.ada.id]["blocks"][0]["text"]["text"] == "Hello"
    rig.ada.open_home()
    told = rig.heard()[-1]
    assert (told["type"], told["tab"], told["view"]["id"]) == ("app_home_opened", "home", made["view"]["id"])
    rig.ada.open_messages()
    assert (rig.heard()[-1]["tab"], rig.heard()[-1]["channel"]) == ("messages", rig.slack.dm(rig.ada).id)
    old = made["view"]["hash"]
    await rig.client.views_publish(user_id=rig.ada.id, view={**home, "blocks": home["blocks"][:1]}, hash=old)
    assert await error_of(rig.client.views_publish(user_id=rig.ada.id, view=home, hash=old)) == (
        "hash_conflict"
    )
    rig.slack.world.has_home = False
    assert await error_of(rig.client.views_publish(user_id=rig.ada.id, view=home)) == "not_enabled"
