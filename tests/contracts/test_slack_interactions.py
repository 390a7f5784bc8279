"""Buttons, menus, forms, shortcuts and commands in the fake Slack, with the real slack-bolt at the other end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from tests.contracts.slack_bolt_rig import Rig, by_socket, standing
from tests.fakes.slack_forms import Given
from tests.fakes.slack_refusals import CannotDo
from tests.fakes.slack_things import Message


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def option(label: str) -> dict[str, Any]:
    return {"text": plain(label), "value": label.lower()}


CHOICES: list[dict[str, Any]] = [
    {"type": "section", "text": plain("Which one?")},
    {
        "type": "actions",
        "block_id": "buttons",
        "elements": [
            {"type": "button", "action_id": "rq:0:q", "text": plain("Green"), "value": "0"},
            {"type": "button", "action_id": "rm:q", "text": plain("Something else")},
        ],
    },
    {
        "type": "actions",
        "block_id": "menus",
        "elements": [
            {"type": "static_select", "action_id": "rs:q", "options": [option("Red"), option("Blue")]},
            {
                "type": "multi_static_select",
                "action_id": "rs:many",
                "options": [option("Cats"), option("Dogs"), option("Birds")],
                "max_selected_items": 2,
            },
        ],
    },
]
FORM: dict[str, Any] = {
    "type": "modal",
    "callback_id": "form",
    "private_metadata": "kept",
    "title": plain("Your answer"),
    "submit": plain("Send"),
    "blocks": [
        {
            "type": "input",
            "block_id": "words",
            "label": plain("In your words"),
            "element": {"type": "plain_text_input", "action_id": "text", "max_length": 10},
        },
        {
            "type": "input",
            "block_id": "colour",
            "optional": True,
            "label": plain("Colour"),
            "element": {"type": "static_select", "action_id": "one", "options": [option("Red")]},
        },
    ],
}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with standing(limits="none") as stands, by_socket(stands):
        yield stands


async def asked(rig: Rig, **more: Any) -> Message:
    """A message of the bot's with everything that can be pressed."""
    answer = await rig.app.client.chat_postMessage(
        channel=rig.general.id, text="Which one?", blocks=CHOICES, **more
    )
    message = rig.general.find(str(answer["ts"]))
    assert message is not None
    return message


async def told(rig: Rig, given: Given) -> dict[str, Any]:
    """What the app heard of it, once it has taken it."""
    await rig.slack.until(lambda: given.acked)
    return next(each for each in reversed(rig.heard.bodies) if "event" not in each)


async def opened(rig: Rig, view: dict[str, Any] = FORM) -> Given:
    """A form that a button has opened."""
    given = rig.ada.click(await asked(rig), "Something else")
    body = await told(rig, given)
    await rig.app.client.views_open(trigger_id=body["trigger_id"], view=view)
    return given


def address(body: dict[str, Any], rig: Rig) -> AsyncWebhookClient:
    return AsyncWebhookClient(body["response_url"], session=rig.session)


# -------------------------------------------------------------------- buttons and menus


async def test_a_button_of_a_message_says_all_that_slack_says(rig: Rig) -> None:
    message = await asked(rig)
    body = await told(rig, rig.ada.click(message, "Green"))
    (action,) = body["actions"]
    assert (action["action_id"], action["block_id"], action["value"]) == ("rq:0:q", "buttons", "0")
    assert (action["type"], action["text"]["text"]) == ("button", "Green")
    assert body["user"]["id"] == rig.ada.id
    assert body["channel"]["id"] == rig.general.id
    assert body["message"]["ts"] == body["container"]["message_ts"] == message.ts
    assert body["message"]["blocks"][1]["elements"] == CHOICES[1]["elements"]
    assert "thread_ts" not in body["container"]


async def test_what_is_pressed_in_a_thread_says_so(rig: Rig) -> None:
    root = rig.ada.say(rig.general, "ask me")
    message = await asked(rig, thread_ts=root.ts)
    body = await told(rig, rig.ada.click(message, "Green"))
    assert body["container"]["thread_ts"] == body["message"]["thread_ts"] == root.ts


async def test_a_menu_says_what_was_chosen_and_the_state_of_all(rig: Rig) -> None:
    message = await asked(rig)
    body = await told(rig, rig.ada.choose(message, "Blue"))
    assert body["actions"][0]["selected_option"]["value"] == "blue"
    assert body["state"]["values"]["menus"]["rs:q"]["selected_option"]["value"] == "blue"
    assert body["state"]["values"]["menus"]["rs:many"]["selected_options"] == []
    body = await told(rig, rig.ada.choose(message, "Cats", "Birds"))
    assert [each["value"] for each in body["actions"][0]["selected_options"]] == ["cats", "birds"]


async def test_nobody_chooses_what_is_not_there(rig: Rig) -> None:
    message = await asked(rig)
    for labels in (["Purple"], ["Red", "Blue"], ["Cats", "Dogs", "Birds"]):
        with pytest.raises(CannotDo):
            rig.ada.choose(message, *labels)


async def test_a_forged_action_arrives_as_it_is(rig: Rig) -> None:
    message = await asked(rig)
    given = rig.slack.interactions.act(rig.bob, message, {"type": "button", "action_id": "rq:99:q"})
    assert (await told(rig, given))["actions"][0]["action_id"] == "rq:99:q"


async def test_a_button_of_the_home_tab_has_no_channel(rig: Rig) -> None:
    view = {"type": "home", "blocks": CHOICES}
    await rig.app.client.views_publish(user_id=rig.ada.id, view=view)
    body = await told(rig, rig.ada.click_home("Green"))
    assert body["container"]["type"] == "view"
    assert body["view"]["type"] == "home"
    assert "channel" not in body
    assert "response_url" not in body


# -------------------------------------------------------------------- forms


async def test_a_form_is_filled_in_and_closes(rig: Rig) -> None:
    form = await opened(rig)
    sent = rig.ada.fill(form, {"In your words": "teal", "Colour": "Red"})
    body = await told(rig, sent)
    values = body["view"]["state"]["values"]
    assert values["words"]["text"]["value"] == "teal"
    assert values["colour"]["one"]["selected_option"]["value"] == "red"
    assert (body["type"], body["view"]["private_metadata"]) == ("view_submission", "kept")
    assert "channel" not in body
    assert form.is_closed
    with pytest.raises(CannotDo):
        rig.ada.fill(form, "again")


async def test_what_the_client_does_not_let_through(rig: Rig) -> None:
    form = await opened(rig)
    for texts in ("longer than ten", "", {"Colour": "Red"}, {"In your words": "x", "Colour": "Teal"}):
        with pytest.raises(CannotDo):
            rig.ada.fill(form, texts)
    with pytest.raises(CannotDo):
        rig.bob.fill(form, "teal")


async def test_a_form_with_errors_stays_open(rig: Rig) -> None:
    form = await opened(rig)
    rig.heard.view_answer = {"response_action": "errors", "errors": {"words": "Not that.", "other": "?"}}
    await told(rig, rig.ada.fill(form, "teal"))
    assert form.errors == {"words": "Not that."}
    rig.heard.view_answer = {}
    await told(rig, rig.ada.fill(form, "green"))
    assert form.is_closed


@pytest.mark.parametrize("action", ["update", "push"])
async def test_a_form_gives_way_to_another(rig: Rig, action: str) -> None:
    form = await opened(rig)
    before = form.view["id"]
    rig.heard.view_answer = {"response_action": action, "view": FORM | {"title": plain("And now")}}
    await told(rig, rig.ada.fill(form, "teal"))
    assert form.view["title"]["text"] == "And now"
    assert (form.view["id"] == before) is (action == "update")
    rig.heard.view_answer = {"response_action": "clear"}
    await told(rig, rig.ada.fill(form, "teal"))
    assert form.is_closed


async def test_a_form_can_be_changed_while_it_is_open(rig: Rig) -> None:
    form = await opened(rig)
    seen = form.view["hash"]
    view = FORM | {"title": plain("Changed")}
    await rig.app.client.views_update(view_id=form.view["id"], hash=seen, view=view)
    assert form.view["title"]["text"] == "Changed"
    with pytest.raises(SlackApiError, match="hash_conflict"):
        await rig.app.client.views_update(view_id=form.view["id"], hash=seen, view=FORM)


async def test_a_trigger_opens_one_form_within_three_seconds(rig: Rig) -> None:
    body = await told(rig, rig.ada.command("ask", rig.general))
    await rig.app.client.views_open(trigger_id=body["trigger_id"], view=FORM)
    late = await told(rig, rig.ada.command("ask", rig.general))
    rig.clock.forward(3.1)
    for trigger, error in (
        (body["trigger_id"], "exchanged_trigger_id"),
        (late["trigger_id"], "expired_trigger_id"),
        ("1.2.3", "invalid_trigger_id"),
    ):
        with pytest.raises(SlackApiError, match=error):
            await rig.app.client.views_open(trigger_id=trigger, view=FORM)


async def test_closing_is_told_where_the_app_wants_to_know(rig: Rig) -> None:
    form = await opened(rig)
    assert rig.ada.close(form) is None
    form = await opened(rig, FORM | {"notify_on_close": True})
    assert rig.ada.close(form) is not None
    await rig.slack.until(lambda: rig.heard.of("view_closed"))


# -------------------------------------------------------------------- the address to answer at


async def test_the_address_answers_one_person_or_all(rig: Rig) -> None:
    given = rig.ada.command("status", rig.general)
    where = address(await told(rig, given), rig)
    assert (await where.send(text="only for you")).status_code == 200
    await where.send(text="for all", response_type="in_channel")
    assert (given.texts, given.public) == (["only for you"], ["for all"])
    assert rig.general.texts == ["for all"]
    assert [each.shown for each in rig.ada.sees(rig.general)] == ["only for you", "for all"]
    assert [each.shown for each in rig.bob.sees(rig.general)] == ["for all"]


async def test_the_address_answers_in_a_thread(rig: Rig) -> None:
    root = rig.ada.say(rig.general, "ask me")
    body = await told(rig, rig.ada.click(await asked(rig, thread_ts=root.ts), "Green"))
    answer = json.dumps({"text": "here", "response_type": "in_channel", "thread_ts": root.ts})
    async with rig.session.post(body["response_url"], data=answer) as response:
        assert await response.text() == "ok"
    assert root.reply_texts[-1] == "here"


async def test_the_address_changes_and_takes_away_what_was_pressed(rig: Rig) -> None:
    message = await asked(rig)
    where = address(await told(rig, rig.ada.click(message, "Green")), rig)
    await where.send(text="Green it is.", replace_original=True)
    assert (message.shown, message.labels) == ("Green it is.", [])
    await rig.slack.until(lambda: rig.heard.of("message")[-1]["event"].get("subtype") == "message_changed")
    await where.send(delete_original=True)
    assert message not in rig.general.messages


async def test_what_only_one_sees_is_changed_where_nobody_else_looks(rig: Rig) -> None:
    given = rig.ada.command("ask", rig.general)
    await address(await told(rig, given), rig).send(text="Which?", blocks=CHOICES)
    (message,) = given.messages
    with pytest.raises(CannotDo):
        rig.bob.click(message, "Green")
    body = await told(rig, rig.ada.click(message, "Green"))
    assert body["container"]["is_ephemeral"]
    assert "message" not in body
    where = address(body, rig)
    await where.send(text="Green it is.", replace_original=True)
    assert message.shown == "Green it is."
    await where.send(delete_original=True)
    assert rig.general.ephemeral == []
    assert not rig.heard.of("message")


async def test_the_address_is_good_five_times_and_half_an_hour(rig: Rig) -> None:
    where = address(await told(rig, rig.ada.command("status", rig.general)), rig)
    codes = [(await where.send(text=f"answer {number}")).status_code for number in range(6)]
    assert codes == [200] * 5 + [404]
    assert "used_url" in (await where.send(text="once more")).body
    late = address(await told(rig, rig.ada.command("status", rig.general)), rig)
    rig.clock.forward(1801)
    answer = await late.send(text="too late")
    assert (answer.status_code, "expired_url" in answer.body) == (404, True)


async def test_the_address_takes_no_nonsense(rig: Rig) -> None:
    where = address(await told(rig, rig.ada.command("status", rig.general)), rig)
    assert "no_text" in (await where.send(text="")).body
    assert "invalid_blocks" in (await where.send(text="x", blocks=[{"type": "what"}])).body
    assert (await where.send(text="good")).status_code == 200


# -------------------------------------------------------------------- commands and shortcuts


async def test_a_command_says_all_that_slack_says(rig: Rig) -> None:
    body = await told(rig, rig.ada.command("status now", rig.general))
    assert (body["command"], body["text"], body["channel_name"]) == ("/roost", "status now", "general")
    assert (body["user_id"], body["team_id"], body["api_app_id"]) == (
        rig.ada.id,
        rig.slack.team,
        rig.slack.app_id,
    )
    private = rig.slack.channel("secret", private=True)
    with pytest.raises(CannotDo):
        rig.ada.command("status", private)
    private.join(rig.ada)
    body = await told(rig, rig.ada.command("status", private))
    assert body["channel_name"] == "privategroup"
    body = await told(rig, rig.ada.command("status", rig.slack.dm(rig.ada)))
    assert body["channel_name"] == "directmessage"


async def test_what_the_app_says_to_a_button_shows_nowhere(rig: Rig) -> None:
    given = rig.ada.command("status", rig.general)
    await told(rig, given)
    given = rig.ada.click(await asked(rig), "Green")
    await told(rig, given)
    assert given.show is not None
    given.show(given, {"text": "shown?"})
    assert (given.text, given.public) == ("", [])


async def test_the_last_one_is_delivered_again(rig: Rig) -> None:
    given = rig.ada.command("status", rig.general)
    await told(rig, given)
    assert rig.slack.interactions.again() is given
    await rig.slack.until(lambda: len([each for each in rig.heard.bodies if "command" in each]) == 2)
    triggers = {each["trigger_id"] for each in rig.heard.bodies if "command" in each}
    assert len(triggers) == 1
