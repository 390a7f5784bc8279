"""Forms of commands on Slack: opened for what is missing, filled in, offered something, and taken as the command."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from adapters.base import CARD, Question, Receipt
from adapters.offers import CommandInfo, CommandSpec, OptionInfo, Suggestion
from adapters.slack import commands, forms, ids
from adapters.slack.forms import Noted
from bot.commands import ALL
from bot.commands.registry import Registry
from bot.db import people
from tests.fakes.slack_server import SlackServer
from tests.service.conftest import House
from tests.service.slack_lab import Lab, standing
from tests.service.slack_town import Town

SPEC = CommandSpec(
    "agent make",
    "make an agent",
    [
        OptionInfo("name", "what it is called", required=True, max_chars=20),
        OptionInfo("about", "who it is", max_chars=4_000),
        OptionInfo("how", "how often", choices=["once", "never"]),
        OptionInfo("count", "how many", kind="number"),
        OptionInfo("sure_of_it", "be sure", kind="flag"),
        OptionInfo("boss", "whose it is", kind="person"),
        OptionInfo("team", "whose group's", kind="group"),
        OptionInfo("place", "where", kind="place"),
        OptionInfo("model", "what it thinks with", completes=True),
        OptionInfo("reader", "who reads it", kind="who"),
    ],
)
ANY = CommandSpec("agent list", "all of them")
INFO = CommandInfo("agent", "make | list", [SPEC, ANY])


@pytest.fixture(params=["socket", "http"])
async def lab(request: pytest.FixtureRequest, unused_tcp_port: int) -> AsyncIterator[Lab]:
    async with SlackServer() as slack, standing(request.param, unused_tcp_port, slack) as made:
        made.host.offer(INFO)
        yield made


async def opened(lab: Lab, text: str = "agent make") -> Any:
    """What has opened the form of a command."""
    given = lab.ada.command(text, lab.general)
    await lab.until(lambda: given.views or given.texts)
    assert given.views, given.text
    return given


async def test_what_is_missing_is_filled_in_and_the_command_is_given(lab: Lab) -> None:
    ops = lab.slack.usergroup("ops")
    await lab.until(lambda: len(lab.slack.called("usergroups.list")) > 1)
    given = await opened(lab, "agent make count:5 how:ONCE")
    await lab.until(lambda: given.acked)
    assert not given.texts and not lab.of_kind("command")
    lab.host.receipts = [Receipt("accepted", "Made.")]
    done = lab.ada.fill(
        given,
        {
            "Name": "scribe",
            "About": "You write.",
            "Sure of it": "Yes",
            "Boss": lab.ada.id,
            "Team": ops.id,
            "Place": lab.general.id,
            "Model": "opus",
            "Reader: or a user group": ops.id,
        },
    )
    await lab.until(lambda: done.acked and given.texts)
    assert given.is_closed and given.texts == ["Made."] and not given.public
    (event,) = lab.of_kind("command")
    assert event.command == "agent make" and event.sender.id == lab.ada.id
    assert event.route == ids.route(lab.general.id)
    assert event.arguments == {
        "name": "scribe",
        "about": "You write.",
        "how": "once",
        "count": "5",
        "sure_of_it": "true",
        "boss": lab.ada.id,
        "team": ops.id,
        "place": lab.general.id,
        "model": "opus",
        "reader": ops.id,
    }


async def test_a_text_that_one_field_has_no_room_for_has_two(lab: Lab) -> None:
    given = await opened(lab)
    text = "".join(f"{number:5}" for number in range(800))
    lab.ada.fill(given, {"Name": "scribe", "About": text[:3_000], "About, continued": text[3_000:]})
    await lab.until(lambda: lab.of_kind("command"))
    assert lab.of_kind("command")[0].arguments == {
        "name": "scribe",
        "about": text,
        "place": lab.general.id,
    } or (lab.of_kind("command")[0].arguments == {"name": "scribe", "about": text})


async def test_what_the_service_says_is_wrong_stands_in_the_form(lab: Lab) -> None:
    given = await opened(lab)
    lab.host.receipts = [Receipt("refused", "The option model is none that there is.")]
    first = lab.ada.fill(given, {"Name": "scribe", "Model": "frob"})
    await lab.until(lambda: first.errors)
    assert first.errors == {"option:model": "The option model is none that there is."}
    lab.host.receipts = [Receipt("refused", "There is an agent scribe already.")]
    second = lab.ada.fill(given, {"Name": "scribe"})
    await lab.until(lambda: second.errors)
    assert second.errors == {"option:name": "There is an agent scribe already."}
    third = lab.ada.fill(given, {"Name": "writer"})
    await lab.until(lambda: given.is_closed)
    assert third.acked and len(lab.of_kind("command")) == 3


async def test_a_long_refusal_is_told_where_the_form_was_opened(lab: Lab) -> None:
    given = await opened(lab)
    lab.host.receipts = [Receipt("refused", "No. " * 200)]
    lab.ada.fill(given, {"Name": "scribe"})
    await lab.until(lambda: given.texts)
    assert given.is_closed and given.text.startswith("No. No.")


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ({"option:name": "x" * 21}, {"option:name": "The option name is longer than 20 characters."}),
        (
            {"option:name": "x", "option:about": "y" * 4_001},
            {"option:about": "The option about is longer than 4,000 characters."},
        ),
        (
            {"option:name": "x", "option:count": "5.5"},
            {"option:count": "The option count is no whole number."},
        ),
        (
            {"option:name": "x", "option:how": "often"},
            {"option:how": "The option how is none of once, never."},
        ),
        ({}, {"option:name": "The option name is missing."}),
    ],
)
async def test_what_slacks_client_would_not_send_is_refused_in_the_form(
    lab: Lab, values: dict[str, str], errors: dict[str, str]
) -> None:
    given = await opened(lab)
    sent = _send(lab, given, values)
    await lab.until(lambda: sent.errors or sent.failed)
    assert sent.errors == errors and lab.of_kind("command") == []


def _send(lab: Lab, given: Any, values: dict[str, Any], **more: Any) -> Any:
    """A form as no client of Slack's fills it in."""
    sent = lab.slack.interactions._begin("view_submission", lab.ada, None)
    sent.form = given
    state = {"values": {block: {"value": {"value": text}} for block, text in values.items()}}
    body = lab.slack.interactions._payload(sent) | {"view": {**given.view, "state": state, **more}}
    lab.slack.interactions._send("interactive", body, sent)
    return sent


@pytest.mark.parametrize(
    "more",
    [
        {"private_metadata": ""},
        {"private_metadata": "[]"},
        {"private_metadata": json.dumps({"channel": "../..", "thread": None, "url": ""})},
        {"private_metadata": json.dumps({"channel": "C1", "thread": "x", "url": ""})},
        {"callback_id": "rc:frob"},
        {"callback_id": "rc:agent list"},
        {"callback_id": "rg:"},
        {"callback_id": "other"},
    ],
)
async def test_a_form_that_is_none_of_ours_gives_no_command(lab: Lab, more: dict[str, str]) -> None:
    given = await opened(lab)
    sent = _send(lab, given, {"option:name": "x"}, **more)
    await lab.until(lambda: not sent.waits)
    assert lab.of_kind("command") == []


async def test_a_command_that_takes_long_closes_its_form_and_is_told_later(lab: Lab) -> None:
    given = await opened(lab)
    lab.host.let.clear()
    lab.host.receipts = [Receipt("refused", "There is an agent scribe already.")]
    sent = lab.ada.fill(given, {"Name": "scribe"})
    await lab.until(lambda: sent.acked)
    assert given.is_closed
    lab.host.let.set()
    await lab.until(lambda: given.texts)
    assert given.texts == ["There is an agent scribe already."]


async def test_what_a_form_has_done_may_have_buttons(lab: Lab) -> None:
    given = await opened(lab)
    undo = Question(f"{CARD}abc", "", "", ["Undo"])
    lab.host.receipts = [Receipt("accepted", "Made.", ask=undo)]
    lab.ada.fill(given, {"Name": "scribe"})
    await lab.until(lambda: given.messages)
    assert given.messages[-1].labels == ["Undo"]


async def test_a_form_that_is_sent_off_twice_gives_one_command(lab: Lab) -> None:
    given = await opened(lab)
    lab.ada.fill(given, {"Name": "scribe"})
    await lab.until(lambda: lab.of_kind("command"))
    again = lab.slack.interactions.again()
    await lab.until(lambda: not again.waits)
    assert len(lab.of_kind("command")) == 1


async def test_a_form_that_opens_too_late_says_how_the_command_goes_and_has_a_button(lab: Lab) -> None:
    lab.slack.fail("views.open", error="expired_trigger_id")
    given = lab.ada.command("agent make count:5", lab.general)
    await lab.until(lambda: given.messages)
    (told,) = given.messages
    assert "The option name is missing; it goes like this: `/roost agent make NAME" in told.shown
    assert told.labels == ["Fill in"]
    pressed = lab.ada.click(told, "Fill in")
    await lab.until(lambda: pressed.views)
    counts = [each["element"] for each in pressed.view["blocks"] if each.get("block_id") == "option:count"]
    assert counts[0]["initial_value"] == "5"


@pytest.mark.parametrize("value", ["", "{", "[]", '{"name": 5, "other": "x"}', "x" * 3_000])
async def test_a_forged_button_opens_the_form_empty(lab: Lab, value: str) -> None:
    said = lab.ada.say(lab.general, "hello")
    action = {"type": "button", "action_id": "rf:agent make", "value": value}
    pressed = lab.ada.interactions.act(lab.ada, said, action)
    await lab.until(lambda: pressed.views)
    fields = [each["element"] for each in pressed.view["blocks"] if each["type"] == "input"]
    assert not any("initial_value" in each for each in fields)
    lost = lab.ada.interactions.act(lab.ada, said, {**action, "action_id": "rf:frob"})
    await lab.until(lambda: lost.texts)
    assert not lost.views


async def test_in_a_thread_what_is_missing_is_said_with_a_button(lab: Lab) -> None:
    root = lab.ada.say(lab.general, "hello")
    await lab.until(lambda: lab.of_kind("message"))
    lab.ada.say(lab.general, "!agent make", thread=root)
    await lab.until(lambda: lab.general.ephemeral)
    (told,) = lab.general.ephemeral
    assert told.thread is root and told.labels == ["Fill in"]
    pressed = lab.ada.click(told, "Fill in")
    await lab.until(lambda: pressed.views)
    lab.host.receipts = [Receipt("accepted", "Made.")]
    lab.ada.fill(pressed, {"Name": "scribe"})
    await lab.until(lambda: lab.of_kind("command"))
    assert lab.of_kind("command")[0].route == ids.route(lab.general.id, root.ts)
    await lab.until(lambda: len(lab.general.ephemeral) > 1)
    assert lab.general.ephemeral[-1].thread is root


# -------------------------------------------------------------------- which one


async def test_half_a_name_asks_which_command_is_meant(lab: Lab) -> None:
    given = await opened(lab, "agent")
    options = given.view["blocks"][0]["element"]["options"]
    assert [each["value"] for each in options] == ["agent make", "agent list"]
    nothing = _send(lab, given, {})
    await lab.until(lambda: nothing.errors)
    lab.ada.fill(given, {"What do you want to do?": "agent make"})
    await lab.until(lambda: given.view["callback_id"] == "rc:agent make")
    lab.host.receipts = [Receipt("accepted", "Made.")]
    lab.ada.fill(given, {"Name": "scribe"})
    await lab.until(lambda: given.texts)
    assert lab.of_kind("command")[0].arguments["name"] == "scribe"


async def test_a_command_that_takes_nothing_is_given_at_once(lab: Lab) -> None:
    given = await opened(lab, "agent")
    lab.host.receipts = [Receipt("accepted", "There is one.")]
    lab.ada.fill(given, {"What do you want to do?": "agent list"})
    await lab.until(lambda: given.texts)
    assert given.texts == ["There is one."] and given.is_closed


# -------------------------------------------------------------------- what is offered


async def test_what_is_typed_is_completed(lab: Lab) -> None:
    given = await opened(lab)
    lab.host.receipts = [Receipt("accepted", data=[Suggestion("opus-5", "Opus"), Suggestion("x" * 160, "y")])]
    typed = lab.ada.type(given, "Model", "op", {"Name": "scribe"})
    await lab.until(lambda: typed.acked)
    assert typed.ack is not None
    assert [(each["value"], each["text"]["text"]) for each in typed.ack["options"]] == [
        ("opus-5", "Opus"),
        ("op", "op"),
    ]
    (event,) = lab.of_kind("complete")
    assert (event.command, event.completing) == ("agent make", "model")
    assert event.arguments["model"] == "op" and event.arguments["name"] == "scribe"
    assert event.route == ids.route(lab.general.id) and event.sender.id == lab.ada.id


async def test_what_takes_too_long_is_not_offered(lab: Lab) -> None:
    given = await opened(lab)
    lab.host.let.clear()
    typed = lab.ada.type(given, "Model", "op")
    await lab.until(lambda: typed.acked)
    assert typed.ack == {"options": []}


async def test_user_groups_are_offered_by_their_names(lab: Lab) -> None:
    ops, _ = lab.slack.usergroup("ops"), lab.slack.usergroup("all")
    await lab.until(lambda: len(lab.slack.called("usergroups.list")) > 1)
    given = await opened(lab)
    for field in ("Team", "Reader: or a user group"):
        typed = lab.ada.type(given, field, "@OP")
        await lab.until(lambda typed=typed: typed.acked)  # type: ignore[misc]
        assert typed.ack is not None
        assert [(each["value"], each["text"]["text"]) for each in typed.ack["options"]] == [(ops.id, "@ops")]


async def test_without_user_groups_the_id_of_one_is_asked_for(lab: Lab) -> None:
    given = await opened(lab)
    (team,) = (each for each in given.view["blocks"] if each.get("block_id") == "option:team")
    assert team["element"]["type"] == "plain_text_input" and "begins with S" in team["hint"]["text"]


@pytest.mark.parametrize(
    "more",
    [
        {"block_id": "option:frob"},
        {"block_id": []},
        {"action_id": 5},
        {"value": {}},
        {"view": None},
        {"view": {"callback_id": "rc:frob", "private_metadata": "x"}},
    ],
)
async def test_what_is_typed_into_nothing_of_ours_is_offered_nothing(lab: Lab, more: dict[str, Any]) -> None:
    given = await opened(lab)
    typed = lab.slack.interactions._begin("block_suggestion", lab.ada, None)
    body = lab.slack.interactions._payload(typed) | {
        "action_id": "value",
        "block_id": "option:model",
        "value": "op",
        "view": given.view,
        **more,
    }
    lab.slack.interactions._send("interactive", body, typed)
    await lab.until(lambda: not typed.waits)
    assert lab.of_kind("complete") == []


# -------------------------------------------------------------------- every command that there is


async def test_the_form_of_every_command_is_one_that_slack_takes(unused_tcp_port: int) -> None:
    async with SlackServer(limits="none") as slack, standing("socket", unused_tcp_port, slack) as lab:
        for info in Registry[Any](None, ALL).infos:
            lab.host.offer(info)
            for spec in info.specs:
                if any(each.required for each in spec.options):
                    given = lab.ada.command(spec.name, lab.general)
                    await lab.until(lambda given=given: given.views or given.texts)  # type: ignore[misc]
                    assert given.views, (spec.name, given.text)


async def test_who_may_not_give_a_command_fills_in_no_form(house: House) -> None:
    async with SlackServer() as slack:
        town = Town(house, slack)
        async with town.open():
            given = town.bob.command("session show", town.general)
            await town.until(lambda: given.texts)
            assert not given.views
            await town.house.app.db.write(
                partial(people.grant, channel="slack", user_id=town.bob.id, role="member", now=0)
            )
            given = town.bob.command("session", town.general)
            await town.until(lambda: given.texts)
            assert not given.views and "nothing about" in given.text
            given = town.ada.command("session", town.general)
            await town.until(lambda: given.views)
            options = given.view["blocks"][0]["element"]["options"]
            assert "session show" in {each["value"] for each in options}


async def test_a_form_is_a_command_of_the_real_service(house: House) -> None:
    async with SlackServer() as slack:
        town = Town(house, slack)
        async with town.open():
            given = town.ada.command("role grant", town.general)
            await town.until(lambda: given.views or given.texts)
            assert given.views, given.text
            wrong = town.ada.fill(given, {"Who": town.bob.id, "Role": "member", "Agent": "nobody"})
            await town.until(lambda: wrong.errors or given.is_closed)
            assert wrong.errors and not given.is_closed
            town.ada.fill(given, {"Who": town.bob.id, "Role": "member", "Agent": "assistant"})
            await town.until(lambda: given.texts)
            assert "member" in given.text
            known = town.bob.command("whoami", town.general)
            await town.until(lambda: known.texts)
            assert "member" in known.text


def test_a_note_that_is_too_long_does_without_the_address() -> None:
    text = forms.noted(Noted("C1", "1700000000.000100", "x" * 4_000))
    assert len(text) <= forms.NOTE_CHARS
    assert forms.read_note(text) == Noted("C1", "1700000000.000100", "")
    assert commands.HELP_WORDS == "/roost help"
