"""Commands, buttons, forms, the shortcut and the tabs of the app, by the real adapter before a Slack on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.base import OVER, Answered, Question, Receipt
from adapters.slack import ids
from adapters.slack.answering import NOT_OPENED
from adapters.slack.asking import ASKED, NOT_THERE
from adapters.slack.heeded import KEY
from adapters.slack.replying import MORE, MOST_PAGES, NOT_FOR_YOU, PAGE_CHARS
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message
from tests.service.slack_lab import Lab, standing


@pytest.fixture(params=["socket", "http"])
async def lab(request: pytest.FixtureRequest, unused_tcp_port: int) -> AsyncIterator[Lab]:
    async with SlackServer() as slack, standing(request.param, unused_tcp_port, slack) as made:
        yield made


async def test_a_command_is_answered_for_its_person_alone(lab: Lab) -> None:
    lab.host.receipts = [Receipt("accepted", "Thing | 5\n\nID    STATE\nabc   idle")]
    given = lab.ada.command("thing show “a b”", lab.general)
    await lab.until(lambda: given.texts)
    assert "```" in given.text and not given.public
    (event,) = lab.of_kind("command")
    assert (event.command, event.arguments) == ("thing show", {"id": "a b"})
    assert event.sender.id == lab.ada.id and event.sender.name == "Ada"
    assert event.route == ids.route(lab.general.id)


async def test_what_is_wrong_with_a_command_is_said_and_nothing_is_run(lab: Lab) -> None:
    given = lab.ada.command("thing show a b", lab.general)
    await lab.until(lambda: given.texts)
    assert given.text == "“b” is one word too many; it goes like this: `/roost thing show ID`"
    assert lab.of_kind("command") == []


async def test_a_command_that_takes_long_is_answered_later(lab: Lab) -> None:
    lab.host.let.clear()
    lab.host.receipts = [Receipt("accepted", "All is well.")]
    given = lab.ada.command("status", lab.general)
    await lab.until(lambda: given.acked)
    assert given.texts == []
    lab.host.let.set()
    await lab.until(lambda: given.texts)
    assert given.texts == ["All is well."]


async def test_a_long_answer_has_pages_and_says_where_the_rest_is(lab: Lab) -> None:
    lab.host.receipts = [Receipt("accepted", "word " * 10_000)]
    given = lab.ada.command("status", lab.general)
    await lab.until(lambda: len(given.texts) == MOST_PAGES)
    assert all(len(each) <= PAGE_CHARS + len(MORE) + 1 for each in given.texts)
    assert given.texts[-1].endswith(MORE)


async def test_an_address_that_is_used_up_is_no_reason_to_be_silent(lab: Lab) -> None:
    lab.host.let.clear()
    lab.host.receipts = [Receipt("accepted", "All is well.")]
    given = lab.ada.command("status", lab.general)
    await lab.until(lambda: given.acked)
    given.answers = 99
    lab.host.let.set()
    await lab.until(lab.told)
    assert lab.told() == ["All is well."]


async def test_a_command_that_is_delivered_twice_runs_once(lab: Lab) -> None:
    given = lab.ada.command("status", lab.general)
    await lab.until(lambda: given.texts)
    assert lab.slack.interactions.last is not None and lab.slack.interactions.deliver is not None
    again = replace(given)
    again.acked, again.texts = False, []
    lab.slack.interactions.deliver(*lab.slack.interactions.last, again)
    await lab.until(lambda: again.acked)
    assert len(lab.of_kind("command")) == 1


async def test_a_command_may_be_said_in_a_thread(lab: Lab) -> None:
    root = lab.ada.say(lab.general, "hello")
    lab.host.receipts = [Receipt("dropped"), Receipt("accepted", "All is well.")]
    await lab.until(lambda: lab.of_kind("message"))
    lab.ada.say(lab.general, "status", thread=root, mention=[lab.slack.bot])
    await lab.until(lab.told)
    (event,) = lab.of_kind("command")
    assert event.command == "status" and event.route == ids.route(lab.general.id, root.ts)
    (call,) = lab.slack.called("chat.postEphemeral")
    assert call.arguments["thread_ts"] == root.ts and call.arguments["user"] == lab.ada.id


async def test_what_only_begins_like_a_command_is_a_message(lab: Lab) -> None:
    for text in ("!important", "!statusx", "help me write", "status, please"):
        lab.ada.say(lab.general, text, mention=[lab.slack.bot])
    await lab.until(lambda: len({each.id for each in lab.of_kind("message")}) == 4)
    assert lab.of_kind("command") == []


async def test_a_command_that_is_read_again_is_not_run_again(lab: Lab) -> None:
    """Slack tells of a mention twice, and what is read in a gap was perhaps heard before."""
    said = lab.ada.say(lab.general, "status", mention=[lab.slack.bot])
    await lab.until(lab.told)
    assert KEY in lab.host.notes.texts and said.ts in lab.host.notes.texts[KEY]
    lab.ada.say(lab.general, "!status")
    await lab.until(lambda: len(lab.told()) == 2)
    assert len(lab.of_kind("command")) == 2


def press_stop(lab: Lab, root: Message) -> None:
    """As Slack tells of it, whether anything runs or not."""
    body = {
        "type": "agent_session_stopped",
        "channel": lab.general.id,
        "thread_ts": root.ts,
        "user": lab.ada.id,
        "streaming_message_ts": [],
    }
    lab.slack.world.tell(body, lab.general, None, "agent_session_stopped")


async def test_the_stop_button_stops_what_runs(lab: Lab) -> None:
    root = lab.ada.say(lab.general, "hello")
    await lab.until(lambda: lab.of_kind("message"))
    lab.host.receipts = [Receipt("accepted", "Stopping.", {"stopped": True})]
    press_stop(lab, root)
    await lab.until(lambda: len(lab.of_kind("command")) == 1)
    lab.host.receipts = [Receipt("accepted", "Nothing is running.", {"stopped": False})]
    press_stop(lab, root)
    await lab.until(lab.told)
    assert lab.told() == ["Nothing is running."]
    event = lab.of_kind("command")[0]
    assert (event.command, event.sender.id) == ("stop", lab.ada.id)
    assert event.route == ids.route(lab.general.id, root.ts)


async def test_a_button_answers_and_nothing_is_left_to_press(lab: Lab) -> None:
    root = lab.ada.say(lab.general, "hello")
    message = await lab.asks(thread=root)
    lab.ada.click(message, "Green")
    await lab.until(lambda: not message.labels)
    (event,) = lab.of_kind("answer")
    assert (event.question_id, event.choice, event.text) == ("q1", 1, "Green")
    assert event.route == ids.route(lab.general.id, root.ts)
    assert f"<@{lab.ada.id}>* answered: Green" in str(message.blocks)


async def test_a_press_that_is_delivered_twice_answers_once(lab: Lab) -> None:
    message = await lab.asks()
    given = lab.ada.click(message, "Red")
    await lab.until(lambda: not message.labels)
    assert lab.slack.interactions.last is not None and lab.slack.interactions.deliver is not None
    again = replace(given)
    again.acked = False
    lab.slack.interactions.deliver(*lab.slack.interactions.last, again)
    await lab.until(lambda: again.acked)
    assert len(lab.of_kind("answer")) == 1


@pytest.mark.parametrize(
    ("data", "shown"), [(OVER, "Nobody answered"), (Answered("Red", "U77"), "<@U77>* answered: Red")]
)
async def test_a_question_that_is_over_is_closed(lab: Lab, data: Any, shown: str) -> None:
    message = await lab.asks()
    lab.host.receipts = [Receipt("refused", "This is over.", data)]
    lab.ada.click(message, "Red")
    await lab.until(lambda: not message.labels)
    assert shown in str(message.blocks)


async def test_who_may_not_answer_is_told_so(lab: Lab) -> None:
    message = await lab.asks()
    lab.host.receipts = [Receipt("refused")]
    given = lab.ada.click(message, "Red")
    await lab.until(lambda: given.texts or lab.told())
    assert [*given.texts, *lab.told()] == [NOT_FOR_YOU]
    assert message.labels == ["Red", "Green"]


async def test_a_form_answers_a_question_without_options(lab: Lab) -> None:
    message = await lab.asks(Question("q2", "Name", "What is it called?", []))
    given = lab.ada.click(message, "Answer")
    await lab.until(lambda: given.views)
    lab.host.receipts = [Receipt("refused", "That is too short.")]
    first = lab.ada.fill(given, "x")
    await lab.until(lambda: first.errors)
    assert list(first.errors.values()) == ["That is too short."]
    lab.ada.fill(given, "Rose")
    await lab.until(lambda: not message.labels)
    assert [each.text for each in lab.of_kind("answer")] == ["x", "Rose"]
    assert "answered: Rose" in str(message.blocks)


async def test_a_form_that_opens_too_late_is_told(lab: Lab) -> None:
    message = await lab.asks(Question("q2", "Name", "What is it called?", []))
    lab.slack.fail("views.open", error="expired_trigger_id")
    given = lab.ada.click(message, "Answer")
    await lab.until(lambda: given.texts or lab.told())
    assert [*given.texts, *lab.told()] == [NOT_OPENED]


async def test_the_menu_of_a_message_asks_about_it(lab: Lab) -> None:
    about = lab.ada.say(lab.general, "The deploy of build 7 is red.")
    await lab.until(lambda: lab.of_kind("message"))
    given = lab.ada.shortcut(about)
    await lab.until(lambda: given.views)
    lab.ada.fill(given, "why?")
    await lab.until(lab.told)
    assert lab.told() == [ASKED]
    event = lab.of_kind("message")[-1]
    assert (event.text, event.mentions_bot) == ("why?", True)
    assert event.reply_to == ("Ada", "The deploy of build 7 is red.")
    assert event.route == ids.route(lab.general.id, about.ts)


async def test_a_message_that_is_gone_cannot_be_asked_about(lab: Lab) -> None:
    about = lab.ada.say(lab.general, "secret")
    given = lab.ada.shortcut(about)
    await lab.until(lambda: given.views)
    lab.ada.delete(about)
    lab.ada.fill(given, "why?")
    await lab.until(lab.told)
    assert lab.told() == [NOT_THERE]


@pytest.mark.parametrize("action_id", ["", "rq:x:q1", "other", "rs:q1"])
async def test_what_is_forged_is_told_and_answers_nothing(lab: Lab, action_id: str) -> None:
    message = await lab.asks()
    given = lab.ada.interactions.act(lab.ada, message, {"type": "button", "action_id": action_id})
    await lab.until(lambda: given.texts or lab.told())
    assert lab.of_kind("answer") == [] and message.labels


async def test_the_home_tab_says_how_to_begin_and_what_there_was(lab: Lab) -> None:
    listed = [
        {
            "channel": "slack",
            "place": lab.general.id,
            "thread": "1700000000.000100",
            "title": "A <b> & c",
            "at": "2026-03-01T12:00:00Z",
        }
    ]
    lab.host.receipts = [Receipt("accepted", "You are Ada."), Receipt("accepted", "One.", listed)]
    lab.ada.open_home()
    await lab.until(lambda: lab.ada.id in lab.slack.world.homes)
    shown = str(lab.slack.world.homes[lab.ada.id])
    assert "/roost help" in shown and "You are Ada." in shown and f"<#{lab.general.id}>" in shown
    assert "A &lt;b&gt; &amp; c" in shown and f"/thread/{lab.general.id}-1700000000.000100|" in shown


async def test_a_stranger_is_told_on_the_home_tab(lab: Lab) -> None:
    lab.host.receipts = [Receipt("accepted", "You are Ada, nobody yet."), Receipt("refused")]
    lab.ada.open_home()
    await lab.until(lambda: lab.ada.id in lab.slack.world.homes)
    assert NOT_FOR_YOU in str(lab.slack.world.homes[lab.ada.id])


async def test_prompts_are_suggested(lab: Lab) -> None:
    lab.ada.open_messages()
    await lab.until(lambda: lab.slack.called("assistant.threads.setSuggestedPrompts"))
    (call,) = lab.slack.called("assistant.threads.setSuggestedPrompts")
    assert call.arguments["prompts"] == [{"title": "Today", "message": "What is on today?"}]
    assert "thread_ts" not in call.arguments and call.answer["ok"]
