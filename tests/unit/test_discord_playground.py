"""The lines of the Discord playground: what is typed, and what is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.discord_lines import HELP, KINDS, command
from tests.fakes.playground_lines import Line, Unclear, understood
from tests.fakes.playground_picture import EMPTY, THINKING, Picture, Seen, changes

PEOPLE = ("ada", "bob")
HELLO = Seen(1, "#general", "ada", "hello")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("", None),
        ("   ", None),
        ("hello", Line("say", "hello")),
        ("ada #general @roost hello", Line("say", "@roost hello", None, "ada", "#general")),
        ("bob dm hello", Line("say", "hello", None, "bob", "dm")),
        ("#random hello", Line("say", "hello", None, None, "#random")),
        ("t1 hello", Line("say", "hello", None, None, "t1")),
        ("bob t2", Line("in", "t2", None, "bob", "t2")),
        ("eve #general hello", Line("say", "eve #general hello")),
        ("dm me", Line("say", "dm me")),
        ("ada said so", Line("say", "ada said so")),
        ("bob #random /react 3 👍", Line("react", "👍", 3, "bob", "#random")),
        ("/react 👍", Line("react", "👍")),
        ("/edit 12 another text", Line("edit", "another text", 12)),
        ("/edit 12th of May", Line("edit", "12th of May")),
        ("/delete", Line("delete")),
        ("/click 2", Line("click", "", 2)),
        ("/file /tmp/a.txt what is it", Line("file", "/tmp/a.txt what is it")),
        ("/cut", Line("cut")),
    ],
)
def test_a_line_says_who_does_what_where(typed: str, line: Line | None) -> None:
    assert understood(typed, PEOPLE, KINDS) == line


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("/nope", "There is no /nope here; /help lists what there is."),
        ("/say hello", "There is no /say here; /help lists what there is."),
        ("/click", "That is /click NUMBER."),
        ("/reply hello", "That is /reply NUMBER TEXT."),
        ("/edit", "That is /edit [NUMBER] TEXT."),
        ("/edit 3", "That is /edit [NUMBER] TEXT."),
    ],
)
def test_what_is_unclear_is_said_in_a_sentence(typed: str, said: str) -> None:
    with pytest.raises(Unclear) as unclear:
        understood(typed, PEOPLE, KINDS)
    assert str(unclear.value) == said


def test_the_help_has_every_command() -> None:
    assert [name for name in KINDS if name != "say" and f"/{name}" not in HELP] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("session show id=abc", ("session show", {"id": "abc"})),
        ('model name="a b" count=3 all=true', ("model", {"name": "a b", "count": 3, "all": True})),
        ("status", ("status", {})),
    ],
)
def test_a_slash_command_has_options(text: str, found: tuple[str, dict[str, object]]) -> None:
    assert command(text) == found


def lines(before: Picture, after: Picture) -> list[str]:
    return list(changes(before, after))


def picture(*messages: Seen, **more: object) -> Picture:
    return replace(Picture({each.number: each for each in messages}), **more)  # type: ignore[arg-type]


def test_nothing_new_is_nothing() -> None:
    assert lines(picture(HELLO), picture(HELLO)) == []


def test_a_message_comes_with_all_that_belongs_to_it() -> None:
    answer = Seen(
        2,
        "#general",
        "roost",
        "first\nsecond",
        files=("a.txt, 3 bytes",),
        choices=("(1) Yes", "(2) No"),
        answers=1,
    )
    assert lines(picture(HELLO), picture(HELLO, answer)) == [
        "#general [2] roost (to 1): first",
        "    second",
        "    file a.txt, 3 bytes",
        "    (1) Yes   (2) No",
    ]
    assert lines(EMPTY, picture(replace(HELLO, only_for="bob"))) == ["#general [1] ada (only for bob): hello"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("hel", "hello", ["#general [1] + lo"]),
        ("hello", "bye", ["#general [1] = bye"]),
        (THINKING, f"{THINKING}!", [f"#general [1] = {THINKING}!"]),
    ],
)
def test_an_edit_shows_what_was_added_or_all_of_it(old: str, new: str, said: list[str]) -> None:
    assert lines(picture(replace(HELLO, text=old)), picture(replace(HELLO, text=new))) == said


def test_what_changes_around_a_message_is_told() -> None:
    asked = replace(HELLO, choices=("(1) Yes",), reactions=frozenset({("👍", "bob")}))
    assert lines(picture(asked), picture(HELLO)) == [
        "    no more buttons",
        "#general [1] no 👍 by bob any more",
    ]
    assert lines(picture(HELLO), picture(asked)) == ["    (1) Yes", "#general [1] 👍 by bob"]
    assert lines(picture(HELLO), EMPTY) == ["#general [1] is gone"]


def test_typing_and_threads_are_told_once() -> None:
    there = picture(typing=frozenset({"#general"}), threads={"t1": "plans in #general"})
    assert lines(EMPTY, there) == ["t1 is a thread: plans in #general", "#general the bot types"]
    assert lines(there, there) == []
    assert lines(there, replace(there, threads={"t1": "plan B in #general"})) == [
        "t1 is called: plan B in #general"
    ]
