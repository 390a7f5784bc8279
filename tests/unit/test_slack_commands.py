"""What somebody means who gives a command as text on Slack, held to the commands that there are."""

from __future__ import annotations

import random
from typing import Any

import pytest

from adapters.offers import CommandInfo, CommandSpec, OptionInfo
from adapters.slack.commands import Given, Several, Told, Unfinished, parse, spoken
from adapters.slack.words import MAX_CHARS, resolved, words
from bot import commands
from bot.commands.registry import Registry

REGISTRY: Registry[Any] = Registry(None, commands.ALL)
INFOS = [
    *REGISTRY.infos,
    CommandInfo(
        "thing",
        "make",
        [
            CommandSpec(
                "thing make",
                "make one",
                [
                    OptionInfo("count", "how many", kind="number"),
                    OptionInfo("sure_of_it", "be sure", kind="flag"),
                    OptionInfo("how", "how often", choices=["once", "never"]),
                    OptionInfo("id", "which one", required=True, max_chars=10),
                ],
            )
        ],
    ),
]


INFOS.append(
    CommandInfo(
        "let",
        "in",
        [
            CommandSpec(
                "let in",
                "let somebody in",
                [
                    OptionInfo("who", "whom", kind="who", required=True),
                    OptionInfo("place", "where", kind="place"),
                    OptionInfo("note", "why", long=True),
                ],
            )
        ],
    )
)


def given(text: str) -> Given:
    found = parse(text, INFOS)
    assert isinstance(found, Given), found
    return found


def told(text: str) -> str:
    found = parse(text, INFOS)
    assert isinstance(found, Told), found
    return found.text


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("", "help", {}),
        ("  status ", "status", {}),
        ("Status", "status", {}),
        ("session list", "session list", {}),
        ("session show abc", "session show", {"id": "abc"}),
        ("session show id:abc", "session show", {"id": "abc"}),
        ("session show id=abc", "session show", {"id": "abc"}),
        ("session show --id abc", "session show", {"id": "abc"}),
        ("session show —id abc", "session show", {"id": "abc"}),
        ('session show "a b"', "session show", {"id": "a b"}),
        ("session show “a b”", "session show", {"id": "a b"}),
        ("session show id:“a b”", "session show", {"id": "a b"}),
        ("session show ‘a b’", "session show", {"id": "a b"}),
        ("session show it's", "session show", {"id": "it's"}),
        ("session show <@U1|ada>", "session show", {"id": "U1"}),
        ("session show <#C1|general>", "session show", {"id": "C1"}),
        ("let in <@U1|ada> <#C1>", "let in", {"who": "U1", "place": "C1"}),
        ("let in <!subteam^S1|@ops> <#C1|general>", "let in", {"who": "S1", "place": "C1"}),
        ('let in who:"<!subteam^S1>" note="<!subteam^S1|@ops>"', "let in", {"who": "S1", "note": "@ops"}),
        ("help model", "help", {"group": "model"}),
        ("help session show", "help", {"group": "session", "command": "show"}),
        ("session show <http://x.y|x.y>", "session show", {"id": "x.y"}),
        ("session show <https://x.y/?a=1&amp;b=2>", "session show", {"id": "https://x.y/?a=1&b=2"}),
        ("session show a&amp;b&lt;c", "session show", {"id": "a&b<c"}),
        ("model", "model", {}),
        ("model opus", "model", {"name": "opus"}),
        ("thing make a", "thing make", {"id": "a"}),
        ("thing make a 5", "thing make", {"id": "a", "count": "5"}),
        ("thing make 5 id:a", "thing make", {"id": "a", "count": "5"}),
        (
            "thing make how:ONCE a --sure-of-it",
            "thing make",
            {"id": "a", "how": "once", "sure_of_it": "true"},
        ),
        ("thing make --sure-of-it a", "thing make", {"id": "a", "sure_of_it": "true"}),
        ("thing make sure_of_it:no a", "thing make", {"id": "a", "sure_of_it": "false"}),
        ("thing make a:b", "thing make", {"id": "a:b"}),
    ],
)
def test_a_command_is_read(text: str, name: str, arguments: dict[str, str]) -> None:
    assert given(text) == Given(name, arguments)


def test_a_place_that_is_named_stands_first_as_in_every_hint() -> None:
    wired = given("channel wire here scribe")
    assert wired.arguments == {"place": "here", "agent": "scribe"}
    assert given("channel wire scribe").arguments == {"agent": "scribe"}
    kept = {"place": "slack:C123", "key": "strangers", "value": "ask"}
    assert given("channel set slack:C123 strangers ask").arguments == kept
    assert given("channel set strangers ask").arguments == {"key": "strangers", "value": "ask"}


def test_what_takes_the_rest_keeps_it_as_it_was_typed() -> None:
    found = given(
        'schedule create every day at 9: say "hi"\nand   count:5 of <#C1|them> session:abc timezone:UTC'
    )
    assert found.arguments == {
        "order": 'every day at 9: say "hi"\nand   count:5 of C1',
        "session": "abc",
        "timezone": "UTC",
    }
    assert given('schedule create "at 9: session:x"').arguments == {"order": "at 9: session:x"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("clearx", "There is no command “clearx”; did you mean `/roost clear`?"),
        ("clearx now", "There is no command “clearx”; did you mean `/roost clear`?"),
        ("session frob", "There is no command “session frob”; did you mean"),
        ("qqq", "There is no command “qqq”; `/roost help` lists all of them."),
        ("stop now", "“now” is one word too many; it goes like this: `/roost stop`"),
        ("thing make id:", "The option id is empty"),
        ("thing make --id", "The option id is empty"),
        ("thing make a id:b id:c", "The option id is given twice"),
        ("thing make a count:five", "The option count is no whole number"),
        ("thing make a count:²", "The option count is no whole number"),
        ("thing make a sure_of_it:perhaps", "The option sure_of_it is neither true nor false"),
        ("thing make a how:often", "The option how is none of once, never"),
        ("thing make 12345678901", "The option id is longer than 10 characters"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(text: str, sentence: str) -> None:
    assert told(text).startswith(sentence)


def test_what_is_missing_is_asked_for_in_a_form() -> None:
    found = parse("session show", INFOS)
    assert isinstance(found, Unfinished) and (found.spec.name, found.arguments) == ("session show", {})
    assert found.text == "The option id is missing; it goes like this: `/roost session show ID`"
    found = parse("thing make count:5 how:ONCE", INFOS)
    assert isinstance(found, Unfinished) and found.arguments == {"count": "5", "how": "once"}
    assert told("thing make count:five").startswith("The option count is no whole number")


def test_a_text_of_several_lines_is_asked_for_in_a_form_where_nothing_else_was_wanted() -> None:
    found = parse("let in <@U1>", INFOS)
    assert isinstance(found, Unfinished) and found.arguments == {"who": "U1"}
    assert given("let in <@U1> note:x").arguments == {"who": "U1", "note": "x"}


def test_half_a_name_asks_which_one_is_meant() -> None:
    found = parse("session", INFOS)
    assert isinstance(found, Several) and "session list" in {each.name for each in found.info.specs}


@pytest.mark.parametrize(
    ("text", "addressed", "expected"),
    [
        ("stop", True, Given("stop")),
        ("Status", True, Given("status")),
        ("session list", True, Given("session list")),
        ("!status", False, Given("status")),
        ("!status", True, Given("status")),
        ("!model opus", False, Given("model", {"name": "opus"})),
        ("model name:opus", True, Given("model", {"name": "opus"})),
        ("model trains", True, None),
        ("trace this", True, None),
        ("claim victory", True, None),
        ("status", False, None),
        ("help me write", True, None),
        ("clear the table", True, None),
        ("!important", False, None),
        ("!clearx", True, None),
        ("!clear the table", False, None),
        ("! status", False, None),
        ("!", False, None),
        ("!!status", False, None),
        ("", True, None),
        ("please stop", True, None),
        ("session show", True, None),
        ("!help", False, Given("help")),
        ("!help model", False, Given("help", {"group": "model"})),
        ("!help session show", False, Given("help", {"group": "session", "command": "show"})),
        ("!help me write", False, None),
        ("!help me", False, None),
    ],
)
def test_a_message_is_a_command_when_it_is_nothing_else(
    text: str, addressed: bool, expected: Given | None
) -> None:
    assert spoken(text, INFOS, addressed=addressed) == expected


def test_with_its_sign_a_command_may_lack_something() -> None:
    found = spoken("!session show", INFOS, addressed=False)
    assert isinstance(found, Unfinished) and found.spec.name == "session show"


def test_no_name_runs_into_what_follows_it() -> None:
    for command in commands.ALL:
        for more in ("x", "-", ".", "_", "/", "\N{ZERO WIDTH SPACE}", "1"):
            found = parse(command.name + more, INFOS)
            assert not (isinstance(found, Given) and found.name == command.name), found
            heard = spoken(f"!{command.name}{more}", INFOS, addressed=True)
            assert not (isinstance(heard, Given) and heard.name == command.name), heard


def test_whatever_is_typed_is_read_in_time() -> None:
    dice = random.Random(7)
    bits = [
        *(command.name for command in commands.ALL), *("thing make count:", "--", "—", '"', "“", "”", "'", "’"),
        *("<@U1|", "<", ">", "|", "&amp;", "&lt;", ":", "=", "!", " ", "\n", "\t", "id:", "a", "5", "\x00"),
        *("\ud800", "🇬🇧", "\N{ZERO WIDTH JOINER}", "«", "»", "-", "#", "session:", "--yes", "\u3000"),
    ]  # fmt: skip
    for _ in range(4_000):
        text = "".join(dice.choice(bits) for _ in range(dice.randrange(1, 16)))
        found = parse(text, INFOS)
        assert not isinstance(found, Told | Unfinished) or found.text
        for addressed in (True, False):
            heard = spoken(text, INFOS, addressed=addressed)
            assert heard is None or heard == parse(text.strip().removeprefix("!"), INFOS)
        for word in words(text, {"id"}):
            assert 0 <= word.start < word.end <= len(text)
    for each in ('"', "<", "<a ", "'a ", "—id ", "id:"):
        parse(each * MAX_CHARS, INFOS)
        parse(f"session show {each * MAX_CHARS}"[:MAX_CHARS], INFOS)


def test_what_was_typed_is_unescaped_once() -> None:
    assert resolved("&amp;lt;") == "&lt;"
    assert resolved("&lt;@U1&gt;") == "<@U1>"
    assert resolved("<!subteam^S1|@team> <!here> <mailto:a@b.c|a@b.c>") == "@team here a@b.c"
