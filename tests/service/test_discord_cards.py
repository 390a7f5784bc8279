"""Cards on Discord: buttons of the service's own, for all who may press them, and beneath what a command says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from adapters.base import AGAIN, CARD, OVER, Edit, Outgoing, Question, Receipt, SendFailed
from adapters.discord import ids
from adapters.discord.interactions import NOT_READ
from adapters.discord.replying import NOT_FOR_YOU
from tests.fakes.discord_interactions import Asked, Callback
from tests.fakes.discord_things import Message
from tests.service.discord_lab import Lab, standing

CARD_ID = f"{CARD}abc"
LABELS = ["Approve", "Approve for this session", "Approve always", "Show", "Ask me later", "Deny"]
ASKED = Question(CARD_ID, "", "**May it?**\n\nIt would install `cowsay`.", LABELS)
NEXT = Question(f"{CARD}def", "", "", ["Yes, remove it", "No"])


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with standing() as made, made.open():
        yield made


def labels(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [each["label"] for row in rows for each in row["components"]]


async def test_a_card_has_its_buttons_for_everybody_until_the_service_takes_them_away(lab: Lab) -> None:
    (card,) = await lab.shown(ASKED)
    assert labels(card.components) == LABELS and [len(row["components"]) for row in card.components] == [5, 1]
    assert card.text == "**May it?**\n\nIt would install `cowsay`."
    lab.host.receipts = [Receipt("refused", "This command is for people with the role admin.")]
    told = await lab.bob.click(card, "Approve").answer()
    assert told.ephemeral and told.text == "This command is for people with the role admin."
    lab.host.receipts = [Receipt("accepted", "Approved: cowsay")]
    told = await lab.ada.click(card, "Deny").answer()
    assert told.ephemeral and told.text == "Approved: cowsay"
    events = lab.of_kind("answer")
    assert [(each.question_id, each.choice, each.text) for each in events] == [
        (CARD_ID, 0, "Approve"),
        (CARD_ID, 5, "Deny"),
    ]
    assert [each.sender.id for each in events] == [lab.bob.id, lab.ada.id]
    assert events[0].route == ids.route(int(lab.general.id)) and not events[0].direct
    assert labels(card.components) == LABELS and "answered" not in card.text

    edit = Edit([ids.part_id(int(lab.general.id), int(card.id))], 0)
    text = "**May it?**\n\nApproved by Ada."
    await lab.send(Outgoing("n2", ids.route(int(lab.general.id)), text, notice=True, edit=edit, session="h"))
    assert (card.text, card.components) == (text, [])


async def test_a_long_card_has_its_buttons_below_the_last_message_and_all_of_it_is_edited(lab: Lab) -> None:
    text = "\n\n".join(f"{number}. " + "word " * 150 for number in range(8))
    messages = await lab.shown(Question(CARD_ID, "", text, LABELS))
    assert len(messages) == 4
    assert [labels(each.components) for each in messages] == [[], [], [], LABELS]
    assert " ".join(each.text for each in messages).count("word") == 8 * 150
    edit = Edit([ids.part_id(int(lab.general.id), int(each.id)) for each in messages], 0)
    route = ids.route(int(lab.general.id))
    await lab.send(Outgoing("n2", route, "Denied.", notice=True, edit=edit, session="h"))
    assert [(each.text, each.components) for each in lab.general.messages if not each.is_deleted] == [
        ("Denied.", [])
    ]


async def test_many_ways_are_a_menu(lab: Lab) -> None:
    (card,) = await lab.shown(Question(CARD_ID, "", "Which?", [f"way {number}" for number in range(12)]))
    lab.host.receipts = [Receipt("accepted", "The last.")]
    assert (await lab.ada.choose(card, "way 11").answer()).text == "The last."
    event = await lab.one("answer")
    assert (event.question_id, event.choice, event.text) == (CARD_ID, 11, "way 11")


async def test_a_card_without_ways_is_a_text(lab: Lab) -> None:
    (card,) = await lab.shown(Question(CARD_ID, "", "Nothing to press.", []))
    assert (card.text, card.components) == ("Nothing to press.", [])


async def test_a_card_that_is_over_is_said_so_and_left_to_the_service(lab: Lab) -> None:
    (card,) = await lab.shown(ASKED)
    lab.host.receipts = [Receipt("refused", "This is settled already: denied.", OVER)]
    told = await lab.ada.click(card, "Approve").answer()
    assert told.text == "This is settled already: denied." and told.ephemeral
    assert labels(card.components) == LABELS and len(card.edits) == 1


async def test_a_press_that_takes_long_is_put_off_and_answered_for_its_person_alone(lab: Lab) -> None:
    (card,) = await lab.shown(ASKED)
    lab.host.let.clear()
    lab.host.receipts = [Receipt("accepted", "Approved after all.")]
    given = lab.ada.click(card, "Approve")
    assert await given.acknowledged() is Callback.THINKING
    assert given.original is not None and given.original.seen_only_by is lab.ada
    lab.host.let.set()
    told = await given.answer()
    assert (told.text, told.ephemeral) == ("Approved after all.", True)
    assert labels(card.components) == LABELS and card.text.startswith("**May it?**")


async def test_what_a_press_says_may_be_long_and_offer_more(lab: Lab) -> None:
    (card,) = await lab.shown(ASKED)
    lab.host.receipts = [Receipt("accepted", "word " * 900, ask=NEXT)]
    given = lab.ada.click(card, "Show")
    (more, last) = await given.followed(2)
    assert given.original is not None and not given.original.components
    assert more.components == [] and labels(last.components) == ["Yes, remove it", "No"]
    assert all(each.is_ephemeral for each in (given.original, more, last))


async def test_a_card_can_be_pressed_after_a_restart() -> None:
    async with standing() as lab:
        async with lab.open():
            (card,) = await lab.shown(ASKED)
            lab.host.receipts = [Receipt("accepted", "Sure?", ask=NEXT)]
            told = await lab.ada.command("status", lab.general).answer()
        async with lab.open():
            assert told.message is not None
            lab.host.receipts = [Receipt("accepted", "Approved."), Receipt("accepted", "Removed.")]
            assert (await lab.ada.click(card, "Approve").answer()).text == "Approved."
            assert (await lab.ada.click(told.message, "Yes, remove it").answer()).text == "Removed."
            assert told.message.components == []
        assert [each.question_id for each in lab.of_kind("answer")] == [CARD_ID, NEXT.id]


# ---------------------------------------------------------------- what nobody should send


def press(lab: Lab, card: Message, custom_id: str) -> Any:
    """A press as somebody forges it, on a message that is there."""
    data = {"custom_id": custom_id, "component_type": 2, "id": 1}
    return lab.bob.interactions.begin(Asked.COMPONENT, lab.bob, card.place, data, message=card)


async def test_a_forged_press_is_what_its_person_may_do_and_no_more(lab: Lab) -> None:
    (card,) = await lab.shown(ASKED)
    lab.host.receipts = [Receipt("refused", "There is nothing to press here any more.")] * 2
    for custom_id, choice in ((f"rq:99:{CARD_ID}", 99), ("rq:0:card:guessed", 0)):
        told = await press(lab, card, custom_id).answer()
        assert told.ephemeral and "nothing to press" in told.text
        event = lab.of_kind("answer")[-1]
        # Who it is, the surface says.
        assert (event.sender.id, event.choice) == (lab.bob.id, choice)
    assert labels(card.components) == LABELS


@pytest.mark.parametrize(
    "custom_id", ["", "rq:", f"rq:x:{CARD_ID}", f"rq:-1:{CARD_ID}", "rq:100:card:abc", CARD_ID]
)
async def test_a_custom_id_that_is_none_is_refused(lab: Lab, custom_id: str) -> None:
    (card,) = await lab.shown(ASKED)
    assert (await press(lab, card, custom_id).answer()).text == NOT_READ
    assert not lab.host.events


async def test_a_form_for_a_card_gives_no_answer(lab: Lab) -> None:
    (card,) = await lab.shown(ASKED)
    lab.host.receipts = [Receipt("refused", "There is nothing to press here any more.")]
    form = press(lab, card, f"rm:{CARD_ID}")
    assert (await form.answer()).modal is not None
    told = await lab.bob.submit(form, {"answer": "yes"}).answer()
    assert told.ephemeral and "nothing to press" in told.text
    assert (await lab.one("answer")).choice is None and labels(card.components) == LABELS


async def test_who_presses_in_another_server_has_the_roles_of_that_server(lab: Lab) -> None:
    other = lab.discord.guild("Other")
    mine = other.role("Boss")
    there = other.channel("there")
    other.join(lab.bob, [mine])
    boss = lab.lab.role("Boss")
    lab.lab.join(lab.ada, [boss])
    (here,) = await lab.shown(ASKED)
    (card,) = await lab.shown(ASKED, ids.route(int(there.id)))
    await lab.bob.click(card, "Approve").answer()
    await lab.ada.click(here, "Approve").answer()
    first, second = lab.of_kind("answer")
    assert first.sender.groups == (mine.id,) and first.route == ids.route(int(there.id))
    assert second.sender.groups == (boss.id,)


# ---------------------------------------------------------------- beneath what a command says


async def test_buttons_beneath_the_answer_of_a_command_give_the_next_one_in_its_place(lab: Lab) -> None:
    undo = Question(f"{CARD}ghi", "", "", ["Undo"])
    lab.host.receipts = [
        Receipt("accepted", "This removes the agent `ops`.", ask=NEXT),
        Receipt("accepted", "Removed.", ask=undo),
        Receipt("accepted", "It is back."),
    ]
    told = await lab.ada.command("status", lab.general).answer()
    assert told.ephemeral and told.message is not None and labels(told.components) == ["Yes, remove it", "No"]
    shown = await lab.ada.click(told.message, "Yes, remove it").answer()
    assert shown.message is told.message
    assert (shown.text, labels(shown.components)) == ("Removed.", ["Undo"])
    shown = await lab.ada.click(told.message, "Undo").answer()
    assert (shown.text, list(shown.components)) == ("It is back.", [])
    assert told.message.is_ephemeral and lab.general.messages == []
    assert [each.question_id for each in lab.of_kind("answer")] == [NEXT.id, undo.id]


async def test_the_same_where_it_takes_long(lab: Lab) -> None:
    lab.host.receipts = [Receipt("accepted", "Sure?", ask=NEXT), Receipt("accepted", "word " * 900, ask=NEXT)]
    told = await lab.ada.command("status", lab.general).answer()
    assert told.message is not None
    lab.host.let.clear()
    given = lab.ada.click(told.message, "Yes, remove it")
    assert await given.acknowledged() is Callback.DEFERRED_UPDATE
    lab.host.let.set()
    *_, last = await given.followed(2)
    assert told.message.components == [] and told.message.text.startswith("word")
    assert labels(last.components) == ["Yes, remove it", "No"] and last.is_ephemeral


async def test_an_answer_that_is_a_file_takes_its_place_as_well(lab: Lab) -> None:
    lab.host.receipts = [Receipt("accepted", "Sure?", ask=NEXT), Receipt("accepted", "line\n" * 5_000)]
    told = await lab.ada.command("status", lab.general).answer()
    assert told.message is not None
    shown = await lab.ada.click(told.message, "No").answer()
    assert shown.message is told.message and "in the file" in shown.text and not shown.components
    assert [each.name for each in told.message.attachments] == ["answer.txt"]


async def test_what_may_work_at_the_next_try_can_be_pressed_again(lab: Lab) -> None:
    lab.host.receipts = [Receipt("accepted", "Sure?", ask=NEXT), Receipt("refused", "Not saved.", AGAIN)]
    told = await lab.ada.command("status", lab.general).answer()
    assert told.message is not None
    again = await lab.ada.click(told.message, "No").answer()
    assert again.text == "Not saved." and again.message is not told.message
    assert labels(told.message.components) == ["Yes, remove it", "No"]
    lab.host.receipts = [Receipt("dropped")]
    assert (await lab.ada.click(told.message, "No").answer()).text == NOT_FOR_YOU
    lab.host.receipts = [Receipt("refused", "There is no such agent.")]
    over = await lab.ada.click(told.message, "No").answer()
    assert over.message is told.message and over.text == "There is no such agent." and not over.components


# ---------------------------------------------------------------- direct places


async def test_a_place_that_names_a_person_is_their_direct_messages(lab: Lab) -> None:
    route = ids.route(int(lab.general.id)).model_copy(update={"platform_id": f"@{lab.bob.id}"})
    (card,) = await lab.shown(ASKED, route)
    dm = lab.discord.dm(lab.bob)
    assert dm.messages == [card]
    await lab.send(Outgoing("n3", route, "hello", notice=True, session="house"))
    opened = [each for each in lab.discord.requests if each.path.endswith("/users/@me/channels")]
    assert dm.texts[-1] == "hello" and len(opened) == 1
    await lab.bob.click(card, "Deny").answer()
    event = await lab.one("answer")
    assert event.route == ids.route(int(dm.id)) and event.direct and event.sender.groups == ()
    edit = Edit([ids.part_id(int(dm.id), int(card.id))], 0)
    await lab.send(Outgoing("n4", route, "Settled.", notice=True, edit=edit, session="house"))
    assert (card.text, card.components) == ("Settled.", [])
    # What they say there while nobody listens is found afterwards: Discord does not list these.
    assert lab.host.notes.texts[f"discord:dm:{dm.id}"] == ""


async def test_somebody_who_takes_no_direct_messages_is_a_reason_to_give_up(lab: Lab) -> None:
    eve = lab.discord.person("Eve", takes_dms=False)
    lab.lab.join(eve)
    route = ids.route(1).model_copy(update={"platform_id": f"@{eve.id}"})
    with pytest.raises(SendFailed, match="takes no direct messages") as failed:
        await lab.send(Outgoing("n5", route, "hello", notice=True, session="house"))
    assert failed.value.retry_after is None


@pytest.mark.parametrize(("who", "said"), [("@12345", "no such person"), ("@ada", "no place on Discord")])
async def test_nobody_is_a_reason_to_give_up(lab: Lab, who: str, said: str) -> None:
    route = ids.route(1).model_copy(update={"platform_id": who})
    with pytest.raises(SendFailed, match=said) as failed:
        await lab.send(Outgoing("n6", route, "hello", notice=True, session="house"))
    assert failed.value.retry_after is None
