"""Cards on Slack: buttons of the service's own, for all who may press them, and beneath what a command says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from adapters.base import CARD, OVER, Edit, Outgoing, Question, Receipt, SendFailed
from adapters.slack import ids
from adapters.slack.replying import NOT_FOR_YOU
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message
from tests.service.slack_lab import Lab, standing

CARD_ID = f"{CARD}abc"
ASKED = Question(CARD_ID, "", "**May it?**\n\nIt would install `cowsay`.", ["Approve", "Deny"])
NEXT = Question(f"{CARD}def", "", "", ["Yes, remove it", "No"])


@pytest.fixture(params=["socket", "http"])
async def lab(request: pytest.FixtureRequest, unused_tcp_port: int) -> AsyncIterator[Lab]:
    async with SlackServer() as slack, standing(request.param, unused_tcp_port, slack) as made:
        yield made


async def shown(lab: Lab, asked: Question = ASKED, **more: Any) -> list[Message]:
    """The messages of a card."""
    out = Outgoing("n1", ids.route(lab.general.id), "", question=asked, notice=True, session="house", **more)
    sent = [await lab.adapter.send(part) for part in lab.adapter.render(out)]
    return _messages(lab, sent)


def _messages(lab: Lab, sent: Sequence[str | None]) -> list[Message]:
    found = [lab.slack.world.places[str(each).split(":")[0]].find(str(each).split(":")[1]) for each in sent]
    return [each for each in found if each is not None]


async def test_a_card_has_its_buttons_for_everybody_until_the_service_takes_them_away(lab: Lab) -> None:
    (card,) = await shown(lab)
    assert card.labels == ["Approve", "Deny"] and "May it?" in card.shown
    lab.host.receipts = [Receipt("refused", "This command is for people with the role admin.")]
    given = lab.ada.click(card, "Approve")
    await lab.until(lambda: given.texts)
    assert given.texts == ["This command is for people with the role admin."] and not given.public
    lab.host.receipts = [Receipt("accepted", "Approved: cowsay")]
    again = lab.ada.click(card, "Approve")
    await lab.until(lambda: again.texts)
    assert again.texts == ["Approved: cowsay"]
    events = lab.of_kind("answer")
    assert [(each.question_id, each.choice) for each in events] == [(CARD_ID, 0), (CARD_ID, 0)]
    assert events[0].sender.id == lab.ada.id and events[0].route == ids.route(lab.general.id)
    assert card.labels == ["Approve", "Deny"] and "answered" not in card.shown

    edit = Edit([ids.part_id(lab.general.id, card.ts)], 0)
    text = "**May it?**\n\nApproved by Ada."
    out = Outgoing("n2", ids.route(lab.general.id), text, notice=True, edit=edit, session="house")
    for part in lab.adapter.render(out):
        await lab.adapter.send(part)
    assert card.labels == [] and "Approved by Ada." in card.shown


async def test_a_long_card_has_its_buttons_below_the_last_message_and_all_of_it_is_edited(lab: Lab) -> None:
    text = "\n\n".join(f"{number}. " + "word " * 150 for number in range(30))
    messages = await shown(lab, Question(CARD_ID, "", text, ["Approve", "Deny"]))
    assert len(messages) > 1
    assert [each.labels for each in messages[:-1]] == [[]] * (len(messages) - 1)
    assert messages[-1].labels == ["Approve", "Deny"]
    assert "".join("".join(each.shown for each in messages).split()).count("word") == 30 * 150
    edit = Edit([ids.part_id(lab.general.id, each.ts) for each in messages], 0)
    out = Outgoing("n2", ids.route(lab.general.id), "Denied.", notice=True, edit=edit, session="house")
    for part in lab.adapter.render(out):
        await lab.adapter.send(part)
    assert [each.shown for each in lab.general.messages] == ["Denied."]


async def test_more_ways_than_there_is_room_for_buttons_are_a_menu(lab: Lab) -> None:
    (card,) = await shown(lab, Question(CARD_ID, "", "Which?", [f"way {number}" for number in range(12)]))
    given = lab.ada.choose(card, "way 11")
    await lab.until(lambda: given.texts)
    (event,) = lab.of_kind("answer")
    assert (event.question_id, event.choice, event.text) == (CARD_ID, 11, "way 11")
    assert len(card.labels) == 12


async def test_a_card_that_is_over_is_said_so_and_left_to_the_service(lab: Lab) -> None:
    (card,) = await shown(lab)
    lab.host.receipts = [Receipt("refused", "This is settled already: denied.", OVER)]
    given = lab.ada.click(card, "Approve")
    await lab.until(lambda: given.texts)
    assert given.texts == ["This is settled already: denied."]
    assert not [each for each in lab.slack.called("chat.update") if each.arguments["ts"] == card.ts]


async def test_a_card_in_a_thread_tells_who_presses_it_there(lab: Lab) -> None:
    root = lab.ada.say(lab.general, "hello")
    out = Outgoing("n1", ids.route(lab.general.id, root.ts), "", question=ASKED, notice=True, session="h")
    sent = [await lab.adapter.send(part) for part in lab.adapter.render(out)]
    (card,) = _messages(lab, sent)
    lab.host.receipts = []
    lab.ada.click(card, "Deny")
    await lab.until(lab.told)
    (call,) = lab.slack.called("chat.postEphemeral")
    assert call.arguments["thread_ts"] == root.ts and call.arguments["user"] == lab.ada.id
    assert lab.of_kind("answer")[0].route == ids.route(lab.general.id, root.ts)


# -------------------------------------------------------------------- beneath what a command says


async def test_buttons_beneath_the_answer_of_a_command_give_the_next_one_in_its_place(lab: Lab) -> None:
    lab.host.receipts = [Receipt("accepted", "This removes the agent `ops`.", ask=NEXT)]
    given = lab.ada.command("status", lab.general)
    await lab.until(lambda: given.messages)
    (told,) = given.messages
    assert told.only_for is lab.ada and told.labels == ["Yes, remove it", "No"]
    assert "This removes the agent" in told.shown
    undo = Question(f"{CARD}ghi", "", "", ["Undo"])
    lab.host.receipts = [Receipt("accepted", "Removed.", ask=undo), Receipt("accepted", "It is back.")]
    lab.ada.click(told, "Yes, remove it")
    await lab.until(lambda: told.labels == ["Undo"])
    assert "Removed." in told.shown
    lab.ada.click(told, "Undo")
    await lab.until(lambda: not told.labels)
    assert told.shown == "It is back." and lab.general.ephemeral == [told]
    assert [each.question_id for each in lab.of_kind("answer")] == [NEXT.id, undo.id]


async def test_buttons_beneath_an_answer_that_comes_late(lab: Lab) -> None:
    lab.host.let.clear()
    lab.host.receipts = [Receipt("accepted", "long\n\n" + "word " * 2_000, ask=NEXT)]
    given = lab.ada.command("status", lab.general)
    await lab.until(lambda: given.acked)
    lab.host.let.set()
    await lab.until(lambda: given.messages and given.messages[-1].labels)
    assert len(given.messages) > 1
    assert [each.labels for each in given.messages[:-1]] == [[]] * (len(given.messages) - 1)


async def test_buttons_beneath_a_command_that_was_said_in_a_thread(lab: Lab) -> None:
    root = lab.ada.say(lab.general, "hello")
    await lab.until(lambda: lab.of_kind("message"))
    lab.host.receipts = [Receipt("accepted", "Sure?", ask=NEXT)]
    lab.ada.say(lab.general, "!status", thread=root)
    await lab.until(lambda: lab.general.ephemeral)
    (told,) = lab.general.ephemeral
    assert told.labels == ["Yes, remove it", "No"]
    lab.host.receipts = [Receipt("accepted", "It stays.")]
    lab.ada.click(told, "No")
    await lab.until(lambda: told.shown == "It stays.")
    assert lab.of_kind("answer")[0].route == ids.route(lab.general.id, root.ts)
    assert lab.general.ephemeral == [told]


async def test_an_address_that_is_over_is_no_reason_to_be_silent(lab: Lab) -> None:
    lab.host.receipts = [Receipt("accepted", "Sure?", ask=NEXT)]
    given = lab.ada.command("status", lab.general)
    await lab.until(lambda: given.messages)
    lab.host.let.clear()
    lab.host.receipts = [Receipt("accepted", "It stays.")]
    pressed = lab.ada.click(given.messages[0], "No")
    await lab.until(lambda: pressed.acked)
    pressed.answers = 99
    lab.host.let.set()
    await lab.until(lab.told)
    assert lab.told() == ["It stays."]


# -------------------------------------------------------------------- what is forged


@pytest.mark.parametrize(
    "action",
    [
        {"action_id": f"rm:{CARD_ID}"},
        {"action_id": f"rs:{CARD_ID}"},
        {"action_id": f"rs:{CARD_ID}", "selected_option": {"value": "-1", "text": {"text": "x"}}},
        {"action_id": f"rq:007:{CARD_ID}"},
        {"action_id": "rq:0:"},
    ],
)
async def test_what_is_forged_gives_no_command(lab: Lab, action: dict[str, Any]) -> None:
    (card,) = await shown(lab)
    given = lab.ada.interactions.act(lab.ada, card, {"type": "button", **action})
    await lab.until(lambda: given.texts or lab.told())
    assert lab.of_kind("answer") == [] and card.labels


async def test_a_card_that_nobody_knows_is_refused_by_the_service(lab: Lab) -> None:
    (card,) = await shown(lab)
    lab.host.receipts = [Receipt("refused")]
    forged = {"type": "button", "action_id": f"rq:0:{CARD}not-one-of-ours", "value": "approve everything"}
    given = lab.ada.interactions.act(lab.ada, card, forged)
    await lab.until(lambda: given.texts)
    assert given.texts == [NOT_FOR_YOU] and card.labels


async def test_somebody_of_another_workspace_is_told_apart_by_their_own_id(lab: Lab) -> None:
    (card,) = await shown(lab)
    eve = lab.slack.person("Eve", team="T0OTHER")
    lab.general.join(eve)
    lab.host.receipts = [Receipt("dropped")]
    given = eve.click(card, "Approve")
    await lab.until(lambda: given.texts)
    assert given.texts == [NOT_FOR_YOU]
    assert lab.of_kind("answer")[0].sender.id == eve.id


# -------------------------------------------------------------------- direct conversations


async def test_the_service_writes_to_somebody_first_and_opens_the_conversation_once(lab: Lab) -> None:
    there = ids.route(f"@{lab.ada.id}")
    for number in (1, 2):
        out = Outgoing(f"n{number}", there, "Somebody asks.", notice=True, session="house")
        (part,) = lab.adapter.render(out)
        await lab.adapter.send(part)
    place = lab.slack.dm(lab.ada)
    assert place.texts == ["Somebody asks."] * 2
    assert len(lab.slack.called("conversations.open")) == 1
    out = Outgoing("n3", there, "", question=ASKED, notice=True, session="house")
    (card,) = _messages(lab, [await lab.adapter.send(part) for part in lab.adapter.render(out)])
    assert card.place is place
    lab.ada.click(card, "Approve")
    await lab.until(lambda: lab.of_kind("answer"))
    (event,) = lab.of_kind("answer")
    assert event.route == ids.route(place.id) and event.direct


@pytest.mark.parametrize("who", ["bot", "gone", "U0NOBODY", "@@", ""])
async def test_who_cannot_be_written_to_is_given_up_at_once(lab: Lab, who: str) -> None:
    user = {"bot": lab.slack.person("Bot", bot=True).id, "gone": lab.slack.person("Gone").id}.get(who, who)
    if who == "gone":
        lab.slack.world.users[user].is_deleted = True
    (part,) = lab.adapter.render(Outgoing("n1", ids.route(f"@{user}"), "hello", notice=True, session="h"))
    with pytest.raises(SendFailed) as failed:
        await lab.adapter.send(part)
    assert failed.value.retry_after is None


async def test_an_outage_while_a_conversation_is_opened_is_tried_again(lab: Lab) -> None:
    lab.slack.fail("conversations.open", error="internal_error")
    (part,) = lab.adapter.render(
        Outgoing("n1", ids.route(f"@{lab.ada.id}"), "hello", notice=True, session="h")
    )
    with pytest.raises(SendFailed) as failed:
        await lab.adapter.send(part)
    assert failed.value.retry_after == 0
    await lab.adapter.send(part)
    assert lab.slack.dm(lab.ada).texts == ["hello"]
