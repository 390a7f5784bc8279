"""What is registered with Discord, held against Discord's own description, and what interactions with it say."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.discord.commands import (
    ASK,
    STOP,
    Pointed,
    focused,
    invoked,
    payload,
    pointed,
    same,
    suggestions,
)
from adapters.offers import CommandInfo, CommandSpec, OptionInfo, Suggestion
from bot import commands
from bot.commands.registry import Registry
from tests.fakes.discord_spec import DOCUMENT, Spec

ID = OptionInfo("id", "which one", required=True, completes=True, max_chars=9000)
INFOS = [
    CommandInfo("status", "how it is doing"),
    CommandInfo("trace", "the way of a message", [CommandSpec("trace", "the way of a message", [ID])]),
    CommandInfo(
        "thing",
        "list | make [COUNT]",
        [
            CommandSpec("thing list", "all of them"),
            CommandSpec(
                "thing make",
                "make one",
                [
                    OptionInfo("count", "how many", kind="number"),
                    OptionInfo("sure", "be sure", kind="flag"),
                    OptionInfo("how", "how often", choices=["once", "never"], completes=True),
                    ID,
                ],
            ),
        ],
    ),
]


def real() -> list[dict[str, Any]]:
    """The payload of all commands that there are."""
    registry: Registry[Any] = Registry(None, commands.ALL)
    return payload(registry.infos)


def spec_of(name: str, options: int = 0) -> CommandSpec:
    return CommandSpec(name, "a summary", [OptionInfo(f"o{n}", "one option of many") for n in range(options)])


# ---------------------------------------------------------------- what is registered


def test_commands_become_subcommands() -> None:
    root, *_ = payload(INFOS)
    make = {
        "type": 1,
        "name": "make",
        "description": "Make one",
        "options": [
            {
                "type": 3,
                "name": "id",
                "description": "Which one",
                "required": True,
                "autocomplete": True,
                "max_length": 6000,
            },
            {"type": 4, "name": "count", "description": "How many"},
            {"type": 5, "name": "sure", "description": "Be sure"},
            {
                "type": 3,
                "name": "how",
                "description": "How often",
                "choices": [{"name": "once", "value": "once"}, {"name": "never", "value": "never"}],
            },
        ],
    }
    status, trace, thing = root.pop("options")
    assert root == {
        "name": "roost",
        "type": 1,
        "description": "Talk to the service itself",
        "contexts": [0, 1],
        "integration_types": [0],
    }
    assert status == {"type": 1, "name": "status", "description": "How it is doing"}
    assert (trace["type"], trace["name"], len(trace["options"])) == (1, "trace", 1)
    assert thing == {
        "type": 2,
        "name": "thing",
        "description": "list, make",
        "options": [{"type": 1, "name": "list", "description": "All of them"}, make],
    }


def test_a_message_has_two_commands_in_its_menu() -> None:
    assert payload(INFOS)[1:] == [
        {"name": name, "type": 3, "contexts": [0, 1], "integration_types": [0]} for name in (ASK, STOP)
    ]


def test_a_word_that_is_a_group_and_a_command_stands_in_the_group_as_well() -> None:
    (group,) = payload([CommandInfo("plan", "plans", [spec_of("plan"), spec_of("plan make")])])[0]["options"]
    assert group["type"] == 2 and [each["name"] for each in group["options"]] == ["plan", "make"]
    data = {
        "name": "roost",
        "options": [{"type": 2, "name": "plan", "options": [{"type": 1, "name": "plan"}]}],
    }
    assert invoked(data) == ("plan", {})


@pytest.mark.parametrize(
    ("infos", "said"),
    [
        ([CommandInfo(f"c{n}", "a command") for n in range(26)], "/roost has 26 entries; Discord takes 25"),
        (
            [CommandInfo("many", "many", [spec_of(f"many c{n}") for n in range(26)])],
            "/roost many has 26 entries; Discord takes 25",
        ),
        (
            [CommandInfo("wide", "wide", [spec_of("wide", 26)])],
            "/roost wide has 26 entries; Discord takes 25",
        ),
        ([CommandInfo("dumb", "")], "the summary of dumb has 0 characters, not 1 to 100"),
        ([CommandInfo("long", "x" * 101)], "the summary of long has 101 characters, not 1 to 100"),
        (
            [CommandInfo("opt", "x", [CommandSpec("opt", "x", [OptionInfo("o", "")])])],
            "the summary of o of opt has 0 characters, not 1 to 100",
        ),
        ([CommandInfo("Loud", "x")], "'Loud' is no name that Discord takes: small letters, at most 32"),
        ([CommandInfo("x" * 33, "x")], "is no name that Discord takes"),
        ([CommandInfo("x", "x", [spec_of("x x"), spec_of("x")])], "names in common: x, x"),
        ([CommandInfo("x", "x", [spec_of("y z")])], "'y z' is no command of the group 'x'"),
        ([CommandInfo("x", "x", [spec_of("x y z")])], "'x y z' is no command of the group 'x'"),
        (
            [CommandInfo(f"c{n}", "a", [spec_of(f"c{n}", 25)]) for n in range(25)],
            "characters in all; Discord takes 8000",
        ),
    ],
)
def test_what_discord_would_not_take_is_named(infos: list[CommandInfo], said: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        payload(infos)
    assert said in str(refused.value)


# ---------------------------------------------------------------- Discord's own description


@pytest.fixture(scope="module")
def spec() -> Spec:
    loaded = Spec.load()
    if loaded is None:
        pytest.skip(f"Discord's API description is not there: {DOCUMENT}")
    return loaded


def put(spec: Spec, body: list[dict[str, Any]]) -> list[str]:
    """What is wrong with registering these commands."""
    return spec.request("PUT", "/applications/7/commands", "application/json", body)


def entries(command: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield command
    for each in command.get("options", ()):
        yield from entries(each)


def test_discord_takes_all_commands_that_there_are(spec: Spec) -> None:
    assert put(spec, real()) == []
    assert put(spec, payload(INFOS)) == []


@pytest.mark.parametrize("change", [{"description": ""}, {"type": 12}, {"name": "x" * 33}])
def test_a_mistake_would_be_seen(spec: Spec, change: dict[str, Any]) -> None:
    made = real()
    made[0]["options"][0] |= change
    assert put(spec, made)


def test_required_options_come_first_in_all_of_them() -> None:
    for command in real():
        for entry in entries(command):
            required = [bool(each.get("required")) for each in entry.get("options", ())]
            assert required == sorted(required, reverse=True), entry["name"]


def test_every_command_is_there_and_finds_its_way_back() -> None:
    root, *_ = real()
    found = set()
    for entry in root["options"]:
        inner = entry["options"] if entry["type"] == 2 else [entry]
        for command in inner:
            data = {"type": command["type"], "name": command["name"]}
            if entry["type"] == 2:
                data = {"type": 2, "name": entry["name"], "options": [data]}
            found.add(invoked({"type": 1, "name": "roost", "options": [data]})[0])
    assert found == {command.name for command in commands.ALL}


# ---------------------------------------------------------------- whether they are there already


def registered(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Discord returns for them: in another order, with ids, and with what it fills in."""
    returned = []
    for number, command in enumerate(reversed(copy.deepcopy(made))):
        command.setdefault("description", "")
        command |= {
            "id": str(number),
            "application_id": "7",
            "version": "99",
            "default_member_permissions": None,
            "nsfw": False,
            "dm_permission": True,
            "contexts": list(reversed(command["contexts"])),
            "name_localizations": None,
            "description_localizations": None,
        }
        for entry in entries(command):
            if entry["type"] == 1 and entry is not command:
                entry.setdefault("options", [])
            if entry["type"] in (3, 4, 5):
                entry.setdefault("required", False)
                entry.setdefault("autocomplete", False)
        returned.append(command)
    return returned


def test_what_discord_returns_is_the_same(spec: Spec) -> None:
    returned = registered(real())
    assert spec.response("GET", "/applications/7/commands", 200, returned) == []
    assert same(real(), returned)


def change(made: list[dict[str, Any]], what: str) -> None:
    root, _, stop = made
    thing = root["options"][2]
    make = thing["options"][1]
    match what:
        case "a description":
            make["description"] = "Other"
        case "a name":
            make["name"] = "other"
        case "the kind of an option":
            make["options"][1]["type"] = 3
        case "a choice":
            make["options"][3]["choices"].pop()
        case "a length":
            make["options"][0]["max_length"] = 10
        case "what is required":
            make["options"][0]["required"] = False
        case "autocomplete":
            del make["options"][0]["autocomplete"]
        case "the order of options":
            make["options"].reverse()
        case "a place":
            root["contexts"] = [0, 1, 2]
        case "whom it is for":
            root["integration_types"] = [0, 1]
        case "who sees it":
            root["default_member_permissions"] = "8"
        case "one less":
            made.remove(stop)
        case "one more":
            made.append({"name": "other", "type": 1, "description": "Other"})


@pytest.mark.parametrize(
    "what",
    [
        "a description",
        "a name",
        "the kind of an option",
        "a choice",
        "a length",
        "what is required",
        "autocomplete",
        "the order of options",
        "a place",
        "whom it is for",
        "who sees it",
        "one less",
        "one more",
    ],
)
def test_what_is_another_is_seen(what: str) -> None:
    changed = payload(INFOS)
    change(changed, what)
    assert not same(payload(INFOS), registered_or_not(changed))


def registered_or_not(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As Discord returns them, which may leave out what is not there."""
    return [{"id": "1", **command} for command in made]


# ---------------------------------------------------------------- what interactions say


def given(*options: dict[str, Any], group: str | None = None, command: str = "make") -> dict[str, Any]:
    inner: dict[str, Any] = {"type": 1, "name": command, "options": list(options)}
    if group is not None:
        inner = {"type": 2, "name": group, "options": [inner]}
    return {"id": "1", "type": 1, "name": "roost", "options": [inner]}


def test_an_interaction_names_a_command_and_its_arguments_as_text() -> None:
    data = given(
        {"type": 3, "name": "id", "value": "a b"},
        {"type": 4, "name": "count", "value": 3},
        {"type": 5, "name": "sure", "value": True},
        {"type": 5, "name": "again", "value": False},
        group="thing",
    )
    arguments = {"id": "a b", "count": "3", "sure": "true", "again": "false"}
    assert invoked(data) == ("thing make", arguments)
    assert invoked(given(command="status")) == ("status", {})


def test_what_is_being_typed_is_known() -> None:
    data = given(
        {"type": 4, "name": "count", "value": "1x"},
        {"type": 3, "name": "id", "value": "ab", "focused": True},
        group="thing",
    )
    assert focused(data) == ("id", "ab")
    assert invoked(data) == ("thing make", {"count": "1x", "id": "ab"})


def test_the_menu_of_a_message() -> None:
    message = {"id": "5", "content": "hello"}
    data = {"type": 3, "name": ASK, "target_id": "5", "resolved": {"messages": {"5": message}}}
    assert pointed(data) == Pointed(ASK, message)
    assert invoked({**data, "name": STOP}) == ("stop", {})
    with pytest.raises(ValueError, match="no command of the service"):
        invoked(data)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"name": "other", "type": 1},
        {"name": "roost", "type": 1},
        {"name": "other", "options": [{"type": 1, "name": "stop"}]},
        {"name": "roost", "type": 2, "options": [{"type": 3, "name": "stop"}]},
        {"name": "roost", "options": None},
        {"name": "roost", "options": "stop"},
        {"name": "roost", "options": ["stop"]},
        {"name": "roost", "options": [{"type": 1}]},
        {"name": "roost", "options": [{"type": 1, "name": ""}]},
        {"name": "roost", "options": [{"type": 1, "name": 7}]},
        {"name": "roost", "options": [{"type": 2, "name": "thing"}]},
        {"name": "roost", "options": [{"type": 1, "name": "a"}, {"type": 1, "name": "b"}]},
        {"name": "roost", "options": [{"type": 3, "name": "a", "value": "b"}]},
        given({"type": 3, "name": "id"}),
        given({"type": 3, "value": "x"}),
        given({"type": 10, "name": "id", "value": 1.5}),
        given({"type": 3, "name": "id", "value": ["x"]}),
    ],
)
def test_an_interaction_of_another_shape_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        invoked(data)
    with pytest.raises(ValueError, match=r"."):
        focused(data)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"name": ASK},
        {"name": ASK, "target_id": "5", "resolved": None},
        {"name": ASK, "target_id": ["5"], "resolved": {"messages": {"5": {}}}},
        {"name": ASK, "target_id": "5", "resolved": {"messages": {"6": {}}}},
        {"name": ASK, "target_id": "5", "resolved": {"messages": {"5": "hello"}}},
        {"name": "other", "target_id": "5", "resolved": {"messages": {"5": {}}}},
    ],
)
def test_a_menu_of_another_shape_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="about a message"):
        pointed(data)


def test_suggestions_are_choices() -> None:
    found = [Suggestion("abc", "abc  here"), Suggestion("x", " "), Suggestion("y", "🐦" * 60)]
    assert suggestions(found) == [
        {"name": "abc  here", "value": "abc"},
        {"name": "x", "value": "x"},
        {"name": "🐦" * 49 + "…", "value": "y"},
    ]


def test_there_are_no_more_suggestions_than_discord_takes(spec: Spec) -> None:
    found = suggestions([Suggestion(str(n), f"the number {n}") for n in range(30)])
    assert [each["value"] for each in found] == [str(n) for n in range(25)]
    assert suggestions([Suggestion("", "nothing"), Suggestion("x" * 101, "too long")]) == []
    answer = {"type": 8, "data": {"choices": found}}
    assert spec.request("POST", "/interactions/1/token/callback", "application/json", answer) == []


@pytest.mark.parametrize("data", [None, [], {}, "text", [{"value": "x"}], {"stopped": True}])
def test_what_is_no_suggestion_is_no_choice(data: object) -> None:
    assert suggestions(data) == []
