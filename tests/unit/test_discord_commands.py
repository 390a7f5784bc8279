"""What is registered with Discord, held against Discord's own description, and what interactions with it say."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.discord.commands import Pointed, focused, invoked, pointed, suggestions
from adapters.discord.layout import ASK, STOP, payload, same
from adapters.offers import CommandInfo, CommandSpec, OptionInfo, OptionKind, Suggestion
from bot import commands, surfaces
from bot.commands.registry import Registry
from tests.fakes.changes import News
from tests.fakes.discord_commands import Commands
from tests.fakes.discord_spec import DOCUMENT, Spec
from tests.fakes.discord_world import World

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


def chosen_of(count: int) -> OptionInfo:
    return OptionInfo("which", "one of many", choices=[f"{n}" + "x" * 200 for n in range(count)])


# ---------------------------------------------------------------- what is registered


def test_a_command_of_one_word_is_a_subcommand_and_a_group_is_a_command_of_its_own() -> None:
    root, thing, *_ = payload(INFOS)
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
    status, trace = root.pop("options")
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
        "type": 1,
        "name": "roost-thing",
        "description": "list, make",
        "contexts": [0, 1],
        "integration_types": [0],
        "options": [{"type": 1, "name": "list", "description": "All of them"}, make],
    }


def test_a_message_has_two_commands_in_its_menu() -> None:
    assert payload(INFOS)[2:] == [
        {"name": name, "type": 3, "contexts": [0, 1], "integration_types": [0]} for name in (ASK, STOP)
    ]


def test_a_word_that_is_a_group_and_a_command_is_both() -> None:
    root, group, *_ = payload([CommandInfo("plan", "plans", [spec_of("plan"), spec_of("plan make")])])
    assert [each["name"] for each in root["options"]] == ["plan"]
    assert (group["name"], [each["name"] for each in group["options"]]) == ("roost-plan", ["make"])


def test_options_are_of_the_kinds_that_discord_has() -> None:
    kinds: list[OptionKind] = ["person", "group", "who", "place"]
    spec = CommandSpec("give", "give", [OptionInfo(kind, "which", kind, completes=True) for kind in kinds])
    (give,) = payload([CommandInfo("give", "give", [spec])])[0]["options"]
    assert [each["type"] for each in give["options"]] == [6, 8, 9, 7]
    assert not any("autocomplete" in each for each in give["options"])
    assert give["options"][3]["channel_types"] == [0, 2, 5, 13, 15]


def test_a_long_option_can_be_left_out_for_a_form() -> None:
    options = [OptionInfo("text", "what", required=True, max_chars=8000, long=True)]
    (write,) = payload([CommandInfo("write", "write", [CommandSpec("write", "write", options)])])[0][
        "options"
    ]
    assert "required" not in write["options"][0]


def test_commands_for_admins_alone_can_be_hidden_from_the_others() -> None:
    specs = [CommandSpec("thing a", "a", admins=True), CommandSpec("thing b", "b", admins=True)]
    mixed = [CommandSpec("other a", "a", admins=True), CommandSpec("other b", "b")]
    infos = [CommandInfo("thing", "x", specs), CommandInfo("other", "x", mixed)]
    assert not any("default_member_permissions" in each for each in payload(infos))
    hidden = [each for each in payload(infos, hide_admins=True) if "default_member_permissions" in each]
    assert [(each["name"], each["default_member_permissions"]) for each in hidden] == [("roost-thing", 32)]


def large(*, groups: int, each: int, options: int) -> list[CommandInfo]:
    """A registry of so many groups with so many commands, and as many commands of one word."""
    taken = [OptionInfo(f"option{n}", "one of the many things that can be set here") for n in range(options)]
    made = [CommandInfo(f"word{n}", "one word", [CommandSpec(f"word{n}", "w", taken)]) for n in range(groups)]
    for number in range(groups):
        specs = [CommandSpec(f"group{number} sub{n}", "does one of many things", taken) for n in range(each)]
        made.append(CommandInfo(f"group{number}", "many", specs))
    return made


@pytest.mark.parametrize(
    ("groups", "each", "options"), [(25, 4, 3), (30, 25, 1), (5, 60, 2), (8, 25, 25), (40, 2, 2)]
)
def test_there_is_room_for_any_number_of_commands(spec: Spec, groups: int, each: int, options: int) -> None:
    infos = large(groups=groups, each=each, options=options)
    made = payload(infos)
    assert put(spec, made) == []
    # The fake counts as Discord does, of which the description says nothing.
    assert len(Commands(World(lambda: 0, News())).overwrite("", made)) == len(made)
    assert {name for name, _ in ways(made)} == {spec.name for info in infos for spec in info.specs}


@pytest.mark.parametrize(
    ("infos", "said"),
    [
        (
            [CommandInfo(f"c{n}", "a", [spec_of(f"c{n} x")]) for n in range(101)],
            "there are 101 slash commands; Discord takes 100",
        ),
        ([CommandInfo("wide", "wide", [spec_of("wide", 26)])], "wide has 26 entries; Discord takes 25"),
        ([CommandInfo("dumb", "")], "the summary of dumb has 0 characters, not 1 to 100"),
        ([CommandInfo("long", "x" * 101)], "the summary of long has 101 characters, not 1 to 100"),
        (
            [CommandInfo("opt", "x", [CommandSpec("opt", "x", [OptionInfo("o", "")])])],
            "the summary of o of opt has 0 characters, not 1 to 100",
        ),
        ([CommandInfo("Loud", "x")], "'Loud' is no name that Discord takes: small letters, at most 32"),
        ([CommandInfo("x" * 33, "x")], "is no name that Discord takes"),
        ([CommandInfo("x", "x", [spec_of("x y"), spec_of("x y")])], "names in common: y, y"),
        ([CommandInfo("x", "x", [spec_of("x"), spec_of("x")])], "names in common: x, x"),
        ([CommandInfo("x", "x", [spec_of("x y z")])], "'x y z' has more than two words"),
        (
            [CommandInfo("c", "a", [CommandSpec("c d", "a", [chosen_of(25)])])],
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
    assert {name for name, _ in ways(real())} == {command.name for command in commands.ALL}


def ways(made: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The names of the commands, as an interaction with each of them says, and how each is typed."""
    for command in made:
        subs = [each for each in command.get("options", ()) if each["type"] == 1]
        for entry in subs:
            data = {"type": 1, "name": entry["name"]}
            yield invoked({**command, "options": [data]})[0], f"/{command['name']} {entry['name']}"
        if not subs and command["type"] == 1:
            yield invoked({**command, "options": []})[0], f"/{command['name']}"


def test_every_command_is_spelled_as_it_is_given() -> None:
    for command in commands.ALL:
        spelled = surfaces.spelled("discord", command.usage)
        assert any(
            command.name == name and f"{spelled} ".startswith(f"{way} ") for name, way in ways(real())
        ), spelled


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


def test_permissions_come_back_as_text(spec: Spec) -> None:
    made = payload(INFOS)
    made[1]["default_member_permissions"] = 32
    assert put(spec, made) == []
    assert same(
        made, registered_or_not([{**made[0]}, {**made[1], "default_member_permissions": "32"}, *made[2:]])
    )
    assert not same(made, registered_or_not(payload(INFOS)))


def change(made: list[dict[str, Any]], what: str) -> None:
    root, thing, _, stop = made
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
    return {"id": "1", "type": 1, "name": f"roost-{group}" if group else "roost", "options": [inner]}


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


def test_somebody_and_a_role_are_told_apart_by_what_discord_says_of_them() -> None:
    data = given(
        {"type": 9, "name": "who", "value": "5"},
        {"type": 9, "name": "whom", "value": "6"},
        {"type": 6, "name": "person", "value": "7"},
        {"type": 8, "name": "group", "value": "8"},
        {"type": 7, "name": "place", "value": "9"},
        group="role",
        command="grant",
    )
    resolved: dict[str, Any] = {"roles": {"5": {}, "8": {}}, "users": {"6": {}, "7": {}}}
    arguments = {"who": "<@&5>", "whom": "<@6>", "person": "7", "group": "8", "place": "9"}
    assert invoked({**data, "resolved": resolved}) == ("role grant", arguments)
    assert invoked(data)[1]["who"] == "<@5>"


def test_more_of_a_group_is_the_group() -> None:
    assert (
        invoked({"type": 1, "name": "roost-agent-2", "options": [{"type": 1, "name": "set"}]})[0]
        == "agent set"
    )
    assert invoked({"type": 1, "name": "roost-more", "options": []}) == ("more", {})


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
        {"name": "roost-", "options": [{"type": 1, "name": "thing"}]},
        {"name": "roost-thing", "options": [{"type": 2, "name": "thing"}]},
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
