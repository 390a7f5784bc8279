from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from adapters.base import Sender
from adapters.offers import CommandSpec, OptionInfo, Suggestion
from bot import commands
from bot.access import Allow
from bot.commands.help import about
from bot.commands.options import Completes, options
from bot.commands.registry import (
    MAX_SUGGESTIONS,
    Asked,
    Command,
    Invocation,
    NoParameters,
    Parameters,
    Registry,
    Reply,
)
from bot.db.people import Role
from bot.errors import CommandFailed


class Two(Parameters):
    """A word that is needed, and one that is not."""

    first: str
    second: str = "nothing"


async def echo(context: str, invocation: Invocation, given: Two) -> Reply:
    return Reply(f"{context} {given.first} {given.second}")


async def plain(context: str, invocation: Invocation, given: NoParameters) -> Reply:
    return Reply("plain")


async def suggest(context: str, asked: Asked) -> list[Suggestion]:
    """What it was called with, unless it is to overdo it."""
    if asked.typed == "many":
        return [Suggestion(str(number), "x" * 101) for number in range(30)]
    if asked.typed == "long":
        return [Suggestion("x" * 101, "long")]
    who = asked.invocation
    return [Suggestion(asked.typed, f"{context} {who.channel} {who.actor.id} {dict(asked.given)}")]


class Typed(Parameters):
    """One option of each kind."""

    id: Annotated[str, Completes(suggest)] = Field(min_length=1, max_length=10, description="which one")
    count: int | None = Field(None, ge=1, le=1000, description="how many")
    sure: bool = Field(False, description="be sure")
    how: Literal["once", "never"] = Field("once", description="how often")
    code: str | None = Field(None, pattern=r"^\w+$", max_length=5, description="a code")


async def all_of_it(_: str, __: Invocation, given: Typed) -> Reply:
    return Reply(f"{given.id} {given.count} {given.sure} {given.how} {given.code}")


REGISTRY = Registry(
    "context",
    (
        Command("one", "the first", NoParameters, plain),
        Command("group list", "a list", NoParameters, plain),
        Command("group show", "one of it", Two, echo),
        Command("typed", "with options", Typed, all_of_it),
    ),
)


def caller(role: Role | None = "owner") -> Invocation:
    return Invocation(Sender("7", "Ada"), role, "slack")


def found(name: str, text: str = "") -> tuple[str, list[str]] | None:
    command = REGISTRY.find(name, text)
    return None if command is None else (command[0].name, command[1])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("one", "", ("one", [])),
        ("one", "two three", ("one", ["two", "three"])),
        ("group", "list", ("group list", [])),
        ("group list", "", ("group list", [])),
        ("group", "show a  b", ("group show", ["a", "b"])),
        (" group ", "\tshow\n", ("group show", [])),
        ("group", "", None),
        ("group", "delete", None),
        ("onex", "", None),
        ("On", "e", None),
        ("", "", None),
        ("", "one", ("one", [])),
        ("list", "", None),
    ],
)
def test_words_find_the_longest_name(name: str, text: str, expected: tuple[str, list[str]] | None) -> None:
    assert found(name, text) == expected


async def run(name: str, given: dict[str, str] | None = None) -> str:
    command = REGISTRY.find(name)
    assert command is not None
    return (await obeyed(REGISTRY, command, given or {}, caller())).text


async def obeyed(
    registry: Registry[Any],
    found: tuple[Command[Any, Any], list[str]],
    given: dict[str, str],
    by: Invocation,
) -> Reply:
    prepared = registry.prepare(*found, given, by.channel)
    return await registry.run(prepared, by, Allow())


async def test_words_and_named_arguments_are_its_parameters() -> None:
    assert await run("group show a b") == "context a b"
    assert await run("group show a") == "context a nothing"
    assert await run("group show", {"first": "a", "second": "b"}) == "context a b"
    assert await run("group show a", {"second": "b", "text": "show a"}) == "context a b"


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("group show", {}),
        ("group show a b c", {}),
        ("one x", {}),
    ],
)
async def test_the_wrong_parameters_are_answered_with_the_usage(name: str, given: dict[str, str]) -> None:
    with pytest.raises(CommandFailed, match=r"^Usage: /roost (one|group show FIRST \[SECOND\])$"):
        await run(name, given)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("group show a", {"third": "x"}, "There is no option third."),
        ("one", {"x": "y"}, "There is no option x."),
        ("typed", {"id": ""}, "The option id is empty."),
        ("typed", {"id": "a" * 11}, "The option id is longer than 10 characters."),
        ("typed", {"id": "a", "count": "many"}, "The option count is no whole number."),
        ("typed", {"id": "a", "count": "0"}, "The option count is less than 1."),
        ("typed", {"id": "a", "count": "1001"}, "The option count is more than 1,000."),
        ("typed", {"id": "a", "how": "fast"}, "The option how is none of 'once' or 'never'."),
        ("typed", {"id": "a", "sure": "perhaps"}, "The option sure is neither true nor false."),
        ("typed", {"id": "a", "code": "?"}, "The option code is not of the right form."),
    ],
)
async def test_what_is_wrong_with_an_option_is_said_of_it(
    name: str, given: dict[str, str], sentence: str
) -> None:
    with pytest.raises(CommandFailed) as failed:
        await run(name, given)
    assert str(failed.value) == sentence


async def test_options_are_texts() -> None:
    given = {"id": "a", "count": "3", "sure": "true", "how": "never", "code": "x1"}
    assert await run("typed", given) == "a 3 True never x1"
    assert await run("typed", {"id": "a", "sure": "false"}) == "a None False once None"


@pytest.mark.parametrize(
    ("channel", "usage"),
    [
        ("control", "Usage: roost group show FIRST [SECOND]"),
        ("terminal", "Usage: /group show FIRST [SECOND]"),
        ("discord", "Usage: /roost-group show FIRST [SECOND]"),
    ],
)
async def test_a_command_is_spelled_as_its_surface_has_it(channel: str, usage: str) -> None:
    command = REGISTRY.find("group show")
    assert command is not None
    with pytest.raises(CommandFailed) as failed:
        await obeyed(REGISTRY, command, {}, replace(caller(), channel=channel))
    assert str(failed.value) == usage
    assert usage in str(REGISTRY.usage("group", "owner", channel))


def test_an_option_is_called_as_its_surface_has_it() -> None:
    assert [replace(caller(), channel=name).option("catch_up") for name in ("control", "discord")] == [
        "--catch-up",
        "catch_up",
    ]


# ---------------------------------------------------------------- typed options


def test_a_channel_is_told_what_a_command_takes() -> None:
    (info,) = (info for info in REGISTRY.infos if info.name == "typed")
    assert list(info.specs) == [
        CommandSpec(
            "typed",
            "with options",
            [
                OptionInfo("id", "which one", required=True, completes=True, max_chars=10),
                OptionInfo("count", "how many", kind="number"),
                OptionInfo("sure", "be sure", kind="flag"),
                OptionInfo("how", "how often", choices=["once", "never"]),
                OptionInfo("code", "a code", max_chars=5),
            ],
        )
    ]
    (group,) = (info for info in REGISTRY.infos if info.name == "group")
    assert [spec.name for spec in group.specs] == ["group list", "group show"]


async def completed(
    completing: str, typed: str = "", given: dict[str, str] | None = None
) -> list[Suggestion]:
    command = REGISTRY.find("typed")
    assert command is not None
    return await REGISTRY.complete(command[0], completing, typed, given or {}, caller())


async def test_an_option_is_completed_by_its_source() -> None:
    assert await completed("id", " a ", {"count": "3"}) == [Suggestion("a", "context slack 7 {'count': '3'}")]
    assert await completed("id") == [Suggestion("", "context slack 7 {}")]


async def test_what_has_no_source_is_not_completed() -> None:
    assert await completed("count") == []
    assert await completed("nothing") == []


async def test_suggestions_are_bounded() -> None:
    found = await completed("id", "many")
    assert len(found) == MAX_SUGGESTIONS
    assert all(len(each.label) == 100 and each.label.endswith("…") for each in found)
    assert await completed("id", "long") == [], "a value cannot be shortened"


def test_a_channel_lists_first_words() -> None:
    infos = {info.name: info.summary for info in REGISTRY.infos}
    assert infos == {
        "one": "the first",
        "group": "list | show FIRST [SECOND]",
        "typed": "ID [COUNT] [SURE] [HOW] [CODE]: with options",
    }


# ---------------------------------------------------------------- all that there are


@pytest.mark.parametrize("command", commands.ALL, ids=lambda command: str(command.name))
def test_every_command_is_documented(command: Command[Any, Any]) -> None:
    assert command.summary and command.summary[0].islower() and not command.summary.endswith(".")
    assert command.handler.__doc__ or command.name == "help"
    assert 1 <= len(command.name.split()) <= 2 and command.name == command.name.lower()
    assert issubclass(command.parameters, Parameters)


@pytest.mark.parametrize("command", commands.ALL, ids=lambda command: str(command.name))
def test_every_option_is_described(command: Command[Any, Any]) -> None:
    for option in options(command.parameters):
        assert 0 < len(option.summary) <= 100, option.name
        assert option.name != "text", "that is what a channel without typed options gives"
        assert option.summary[0].islower() and not option.summary.endswith("."), option.name


def test_ids_are_completed() -> None:
    kinds = {
        (command.name, option.name)
        for command in commands.ALL
        for option in options(command.parameters)
        if option.name in ("id", "session") and not option.completes
    }
    assert kinds == set()


def test_names_are_taken_once() -> None:
    names = [command.name for command in commands.ALL]
    assert len(set(names)) == len(names)
    groups = {name.split()[0] for name in names if " " in name}
    assert not groups & set(names), "a group's name is no command"


def test_who_may_look_into_or_stop_the_conversations_of_others() -> None:
    assert {c.level for c in commands.ALL if c.name.startswith("session ")} == {"admin"}
    own = {"privacy export", "privacy forget"}
    assert {c.name for c in commands.ALL if c.level == "anyone"} == {
        "help",
        "whoami",
        "claim",
        "owner claim",
    } | own


@pytest.mark.parametrize(
    ("role", "hidden"),
    [
        (None, {"status", "clear", "stop", "session list"}),
        ("member", {"session list", "session show ID"}),
        ("owner", set()),
    ],
)
async def test_help_lists_what_one_may_use(role: Role | None, hidden: set[str]) -> None:
    registry: Registry[Any] = Registry(None, commands.ALL)
    command = registry.find("help")
    assert command is not None
    reply = await obeyed(registry, command, {}, caller(role))
    listed = {entry["usage"] for entry in reply.data}
    assert {"help [GROUP] [COMMAND]", "whoami", "claim CODE"} <= listed
    assert not hidden & listed
    if role == "owner":
        assert listed == {each.usage for each in commands.ALL}
    first = {f"/roost {each.name.split()[0]}" for each in commands.ALL}
    lines = {" ".join(line.split()[:2]) for line in reply.text.splitlines() if line.startswith("/roost")}
    assert lines <= first
    assert (lines == first) is (role == "owner")


async def helped(text: str, role: Role | None = "member") -> Reply:
    own: tuple[Command[Any, Any], ...] = (
        Command("session show", "one", Two, echo),
        Command("session list", "all", NoParameters, plain, level="admin"),
        Command("status", "how it is", NoParameters, plain),
    )
    registry: Registry[Any] = Registry(None, [about(own), *own])
    found = registry.find("help", text)
    assert found is not None
    return await obeyed(registry, found, {}, caller(role))


async def test_help_is_a_line_for_each_group_and_each_command_of_one_word() -> None:
    reply = await helped("")
    assert reply.text.splitlines() == [
        "/roost help [GROUP] [COMMAND]  what you can tell the bot",
        "/roost status                  how it is",
        "",
        "/roost session ...  Look at conversations and act on them.",
        "",
        "`/roost help GROUP` lists the commands of one group, `/roost help GROUP COMMAND` all that one command takes.",
    ]


async def test_help_about_a_group_is_its_commands() -> None:
    reply = await helped("session")
    assert "/roost session show FIRST [SECOND]  one" in reply.text and "list" not in reply.text
    assert [each["name"] for each in reply.data] == ["session show"]
    assert len((await helped("session", "admin")).data) == 2


async def test_help_about_a_command_is_all_that_it_takes() -> None:
    reply = await helped("session show")
    (told,) = reply.data
    assert [each["name"] for each in told["options"]] == ["first", "second"]
    assert "/roost session show FIRST [SECOND]" in reply.text and "needed" in reply.text
    assert (await helped("STATUS")).data[0]["name"] == "status"


@pytest.mark.parametrize("text", ["frob", "session frob", "session list", "status now"])
async def test_help_tells_nothing_of_what_one_may_not_use(text: str) -> None:
    with pytest.raises(CommandFailed, match="There is nothing about “"):
        await helped(text)


async def test_help_is_completed_by_what_one_may_use() -> None:
    own: tuple[Command[Any, Any], ...] = (
        Command("session show", "one", Two, echo),
        Command("secret code", "x", NoParameters, plain, level="owner"),
    )
    command = about(own)
    registry: Registry[Any] = Registry(None, [command, *own])
    first = await registry.complete(command, "group", "se", {}, caller("member"))
    assert [each.value for each in first] == ["session"]
    second = await registry.complete(command, "command", "", {"group": "session"}, caller("member"))
    assert [(each.value, each.label) for each in second] == [("show", "show: one")]
