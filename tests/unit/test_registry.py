from __future__ import annotations

from typing import Any

import pytest

from adapters.base import Sender
from bot import commands
from bot.commands.help import about
from bot.commands.registry import Command, Invocation, NoParameters, Parameters, Registry, Reply
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


REGISTRY = Registry(
    "context",
    (
        Command("one", "the first", NoParameters, plain),
        Command("group list", "a list", NoParameters, plain),
        Command("group show", "one of it", Two, echo),
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
    return (await REGISTRY.run(*command, given or {}, caller())).text


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


def test_a_channel_lists_first_words() -> None:
    infos = {info.name: info.summary for info in REGISTRY.infos()}
    assert infos == {"one": "the first", "group": "list | show FIRST [SECOND]"}


# ---------------------------------------------------------------- all that there are


@pytest.mark.parametrize("command", commands.ALL, ids=lambda command: str(command.name))
def test_every_command_is_documented(command: Command[Any, Any]) -> None:
    assert command.summary and command.summary[0].islower() and not command.summary.endswith(".")
    assert command.handler.__doc__ or command.name == "help"
    assert 1 <= len(command.name.split()) <= 2 and command.name == command.name.lower()
    assert issubclass(command.parameters, Parameters)


def test_names_are_taken_once() -> None:
    names = [command.name for command in commands.ALL]
    assert len(set(names)) == len(names)
    groups = {name.split()[0] for name in names if " " in name}
    assert not groups & set(names), "a group's name is no command"


def test_who_may_look_into_or_stop_the_conversations_of_others() -> None:
    assert {c.level for c in commands.ALL if c.name.startswith("session ")} == {"admin"}
    assert {c.name for c in commands.ALL if c.level == "anyone"} == {"help", "whoami", "claim"}


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
    reply = await registry.run(*command, {}, caller(role))
    listed = {entry["usage"] for entry in reply.data}
    assert {"help", "whoami", "claim CODE"} <= listed
    assert not hidden & listed
    assert len(reply.text.splitlines()) == len(listed)
    if role == "owner":
        assert listed == {each.usage for each in commands.ALL}


async def test_help_is_aligned() -> None:
    groups: tuple[Command[Any, Any], ...] = (Command("session show", "one", Two, echo),)
    reply = await about(groups).handler(None, caller(), NoParameters())  # type: ignore[arg-type]
    assert reply.text.splitlines() == [
        "/roost help                         what you can tell the bot",
        "/roost session show FIRST [SECOND]  one",
    ]
