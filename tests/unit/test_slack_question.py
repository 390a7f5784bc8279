"""Questions on Slack: what is pressed says which answer it is, and what is answered has nothing to press any more."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import Question, SendFailed
from adapters.slack.question import (
    BUTTONS,
    FORM_FIELD,
    NOBODY_ANSWERED,
    Pressed,
    answered,
    entered,
    form,
    named,
    parse_action_id,
    question_blocks,
    text_form,
)
from tests.fakes import slack_blocks


def ask(
    *options: str, title: str = "Colour", question: str = "Which one?", question_id: str = "q-1"
) -> Question:
    return Question(question_id, title, question, options)


def pressable(asked: Question) -> list[dict[str, Any]]:
    """What can be pressed under it, when Slack takes all of its messages."""
    *before, last = question_blocks(asked)
    for blocks in (*before, last):
        slack_blocks.check(blocks)
    assert all(block["type"] == "section" for blocks in before for block in blocks)
    assert last[-1]["type"] == "actions"
    elements: list[dict[str, Any]] = last[-1]["elements"]
    return elements


def test_a_few_options_are_buttons() -> None:
    red, blue = pressable(ask("red", "*blue* <!here>"))
    assert (red["text"]["text"], red["action_id"]) == ("red", "rq:0:q-1")
    assert (blue["text"]["text"], blue["text"]["type"]) == ("*blue* <!here>", "plain_text")
    assert parse_action_id(blue["action_id"]) == Pressed("option", "q-1", 1)


def test_many_or_long_options_are_a_menu_and_what_is_cut_is_listed() -> None:
    (menu,) = pressable(ask(*map(str, range(BUTTONS + 1))))
    assert (menu["type"], menu["action_id"]) == ("static_select", "rs:q-1")
    assert [each["value"] for each in menu["options"]] == [str(index) for index in range(BUTTONS + 1)]
    long = "word " * 30 + "end"
    (menu,) = pressable(ask("short", long))
    ((section, _),) = question_blocks(ask("short", long))
    assert f"2. {long}" in section["text"]["text"] and "*Colour*\nWhich one?" in section["text"]["text"]
    assert parse_action_id(menu["action_id"]) == Pressed("menu", "q-1")


def test_no_options_are_a_button_that_opens_a_form() -> None:
    (button,) = pressable(ask())
    assert parse_action_id(button["action_id"]) == Pressed("form", "q-1")
    view = form(ask(title="A title that is longer than that of a form"), private_metadata="m")
    slack_blocks.check_view(view)
    assert (view["callback_id"], view["private_metadata"]) == ("rm:q-1", "m")
    assert view["blocks"][0]["text"]["text"].endswith("Which one?")


def test_any_form_has_one_field() -> None:
    view = text_form("ask_roost", title="", label="What?")
    slack_blocks.check_view(view)
    (field,) = view["blocks"]
    given = {"state": {"values": {field["block_id"]: {field["element"]["action_id"]: {"value": "so"}}}}}
    assert field["block_id"] == FORM_FIELD and entered(given) == "so"
    assert (
        entered({}) == ""
        and entered({"state": {"values": {FORM_FIELD: {FORM_FIELD: {"value": None}}}}}) == ""
    )


def test_slack_takes_the_longest_question() -> None:
    assert len(question_blocks(ask("a" * 75, "b" * 256, title="&" * 300, question="&" * 4_000))) > 1
    pressable(ask(*["&" * 256] * 25, title="&" * 300, question="<" * 4_000))
    slack_blocks.check_view(form(ask(question="<" * 4_000)))
    pressable(ask("", " ", title="", question=""))


def test_what_slack_has_no_room_for_fails() -> None:
    with pytest.raises(SendFailed, match="100 options"):
        question_blocks(ask(*["x"] * 101))
    with pytest.raises(SendFailed, match="too long"):
        question_blocks(ask("x", question_id="q" * 255))


@pytest.mark.parametrize("action_id", ["", "rq::q", "rq:100:q", "rq:01:q", "rs:", "ask_roost", "rx:q"])
def test_an_id_of_somebody_else_is_none(action_id: str) -> None:
    assert parse_action_id(action_id) is None


def test_the_answer_stands_below_the_question_and_nothing_is_left_to_press() -> None:
    ((section, actions),) = question_blocks(ask("red", "blue"))
    shown = [section | {"block_id": "a1"}, actions | {"block_id": "a2"}]
    draft = answered(shown, "*Colour*\nWhich one?", "red & <!here>", by="<@U1>")
    slack_blocks.check(draft.blocks)
    assert draft.blocks[0] == section
    said = draft.blocks[-1]["text"]["text"]
    assert said == "*<@U1>* answered: red &amp; &lt;\u200b!here&gt;"
    assert draft.text == f"*Colour*\nWhich one?\n{said}" and len(draft.blocks) == 2


def test_without_an_answer_it_says_that_there_was_none() -> None:
    draft = answered([], "Which one?", None)
    slack_blocks.check(draft.blocks)
    assert [each["text"]["text"] for each in draft.blocks] == ["Which one?", NOBODY_ANSWERED]


def test_the_answer_is_shortened_and_a_name_is_no_markup() -> None:
    draft = answered([], "", "x" * 10_000, by=named("*Ann* <!here> @channel"))
    slack_blocks.check(draft.blocks)
    assert draft.blocks[0]["text"]["text"].startswith(
        "*Ann &lt;\u200b!here&gt; @\u200bchannel* answered: xxx"
    )
    assert len(draft.text) < 500
