"""The lines of the Slack playground: what can be typed."""

from __future__ import annotations

import pytest

from tests.fakes.playground_lines import Line, Unclear, understood
from tests.fakes.slack_lines import HELP, KINDS

PEOPLE = ("ada", "bob")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("ada #general @roost hello", Line("say", "@roost hello", None, "ada", "#general")),
        ("t1 /stop", Line("stop", "", None, None, "t1")),
        ("bob dm /roost status now", Line("roost", "status now", None, "bob", "dm")),
        ("/roost", Line("roost")),
        ("/shortcut 3", Line("shortcut", "", 3)),
        ("/shortcut", Line("shortcut")),
        ("/react 2 thumbsup", Line("react", "thumbsup", 2)),
    ],
)
def test_a_line_says_who_does_what_where(typed: str, line: Line) -> None:
    assert understood(typed, PEOPLE, KINDS) == line


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("/thread plans", "There is no /thread here; /help lists what there is."),
        ("/run status", "There is no /run here; /help lists what there is."),
        ("/react", "That is /react [NUMBER] NAME."),
    ],
)
def test_what_is_unclear_is_said_in_a_sentence(typed: str, said: str) -> None:
    with pytest.raises(Unclear) as unclear:
        understood(typed, PEOPLE, KINDS)
    assert str(unclear.value) == said


def test_the_help_has_every_command() -> None:
    assert [name for name in KINDS if name != "say" and f"/{name}" not in HELP] == []
