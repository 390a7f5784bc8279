"""The manifest of the app on Slack: it covers all that the adapter calls and hears, within Slack's limits."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import asking, intakes
from adapters.slack import commands as commands_of_slack
from adapters.slack import manifest as made
from adapters.slack.methods import APP_TOKEN, EVENTS, METHODS
from bot import commands
from bot.commands.registry import Registry
from tests.fakes.slack_rules import SCOPES

ADAPTER = Path(__file__).parents[2] / "adapters" / "slack"
URL = "https://roost.example.com/slack/events"


def manifest(**more: Any) -> dict[str, Any]:
    words = [each.name for each in Registry[Any](None, commands.ALL).infos]
    return made.manifest(commands=words, **more)


def _constants(tree: ast.AST, node: ast.expr) -> Iterator[str]:
    """What a value can be that is written out, chosen between two, or set in the same file."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp():
            yield from _constants(tree, node.body)
            yield from _constants(tree, node.orelse)
        case ast.Name():
            for each in ast.walk(tree):
                if isinstance(each, ast.Assign | ast.AnnAssign) and each.value is not None:
                    target = each.targets[0] if isinstance(each, ast.Assign) else each.target
                    if ast.unparse(target) == node.id:
                        yield from _constants(tree, each.value)


def called(tree: ast.AST) -> Iterator[str]:
    """The methods of the Web API that are named in calls: `web.call("auth.test")`, or `client.auth_test()`, which are
    the library's own."""
    of_library = {each for each in dir(AsyncWebClient) if "_" in each.strip("_")} - {"api_call"}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in ("call", "_ask", "_try") and node.args:
            named = list(_constants(tree, node.args[0]))
            assert named or node.func.attr != "call", (
                f"line {node.lineno}: a method is named where it is called"
            )
            yield from named
        elif node.func.attr in of_library:
            yield next((each for each in METHODS if each.replace(".", "_") == node.func.attr), node.func.attr)


def test_everything_that_is_called_is_in_the_table_of_methods() -> None:
    named: set[str] = set()
    for path in ADAPTER.glob("*.py"):
        named |= set(called(ast.parse(path.read_text(encoding="utf-8"))))
    assert {"auth.test", "apps.connections.open", "conversations.history"} <= named
    assert named <= set(METHODS)


def test_the_fake_asks_for_the_scopes_that_the_table_has() -> None:
    shared = {name: scope for name, scope in SCOPES.items() if name in METHODS}
    assert len(shared) > 10
    for name, scope in shared.items():
        assert scope in METHODS[name].scopes, name


def test_every_event_that_is_listened_to_is_subscribed_to_and_no_other() -> None:
    tree = ast.parse((ADAPTER / "listening.py").read_text(encoding="utf-8"))
    (work,) = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name == "_work")
    heard = {
        str(each.value.value)
        for each in ast.walk(work)
        if isinstance(each, ast.MatchValue) and isinstance(each.value, ast.Constant)
    }
    assert heard == {each.partition(".")[0] for each in EVENTS}


def test_what_people_do_is_declared_by_the_names_that_it_is_known_by() -> None:
    features = manifest()["features"]
    assert features["slash_commands"][0]["command"] == commands_of_slack.ROOT == intakes.COMMAND
    assert features["shortcuts"][0]["callback_id"] == asking.CALLBACK


@pytest.mark.parametrize("agent_view", [True, False])
@pytest.mark.parametrize("mode", ["socket", "http"])
def test_the_scopes_of_all_calls_and_events_are_asked_for(
    mode: Literal["socket", "http"], agent_view: bool
) -> None:
    found = manifest(mode=mode, agent_view=agent_view, request_url=URL if mode == "http" else None)
    asked = set(found["oauth_config"]["scopes"]["bot"])
    for name, method in METHODS.items():
        assert name in APP_TOKEN or set(method.scopes) <= asked, name
    heard = found["settings"]["event_subscriptions"]["bot_events"]
    for event in heard:
        assert set(EVENTS[event]) <= asked, event
    assert {"commands", "files:read"} <= asked
    assert set(EVENTS) - set(heard) == (set() if agent_view else {"agent_session_stopped"})
    assert ("agent_view" in found["features"]) is agent_view


def test_people_can_write_to_the_bot() -> None:
    home = manifest()["features"]["app_home"]
    assert home == {
        "home_tab_enabled": True,
        "messages_tab_enabled": True,
        "messages_tab_read_only_enabled": False,
    }


def test_with_sockets_there_is_no_address() -> None:
    found = manifest(mode="socket")
    assert found["settings"]["socket_mode_enabled"] is True
    assert "url" not in json.dumps(found)


def test_with_http_every_way_in_has_the_address() -> None:
    found = manifest(mode="http", request_url=URL)
    assert found["settings"]["socket_mode_enabled"] is False
    assert found["settings"]["event_subscriptions"]["request_url"] == URL
    assert found["settings"]["interactivity"] == {
        "is_enabled": True,
        "request_url": URL,
        "message_menu_options_url": URL,
    }
    assert found["features"]["slash_commands"][0]["url"] == URL


def test_what_is_suggested_stands_in_the_agent_view() -> None:
    found = manifest(prompts=[("Sum up", "Sum up this week.")])
    assert found["features"]["agent_view"]["suggested_prompts"] == [
        {"title": "Sum up", "message": "Sum up this week."}
    ]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"name": ""}, "the app's name"),
        ({"name": "x" * 36}, "the app's name"),
        ({"name": "助手"}, "the app's name"),
        ({"mode": "http"}, "an https:// address"),
        ({"mode": "http", "request_url": "http://roost.example.com/slack/events"}, "an https:// address"),
        ({"mode": "http", "request_url": "https://roost.example.com"}, "an https:// address"),
        ({"mode": "socket", "request_url": URL}, "no request URL"),
        ({"prompts": [("a", "b")] * 5}, "4 suggested prompts"),
    ],
)
def test_what_slack_would_not_take_is_said(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        manifest(**asked)


@pytest.mark.parametrize("name", ["Roost", "Büro Helfer 2", "An assistant with a rather long na"])
def test_it_is_within_the_limits_of_slack(name: str) -> None:
    found = manifest(name=name, prompts=[("a" * 75, "b" * 2000)] * 4)
    about, features = found["display_information"], found["features"]
    assert len(about["name"]) <= 35
    assert len(about["description"]) <= 140
    # The app's settings refuse a shorter one. Slack's documentation, App manifest reference.
    assert 175 <= len(about["long_description"]) <= 4000
    assert len(features["agent_view"]["agent_description"]) <= 300
    (shortcut,), (slash,) = features["shortcuts"], features["slash_commands"]
    assert len(shortcut["name"]) <= 24
    assert len(shortcut["description"]) <= 150
    assert 0 < len(slash["usage_hint"]) <= 1000
    assert slash["should_escape"] is True
    assert set(features["bot_user"]["display_name"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert json.loads(json.dumps(found)) == found


def test_a_hint_has_as_many_commands_as_there_is_room_for() -> None:
    found = made.manifest(commands=["x" * 300] * 5)
    assert len(found["features"]["slash_commands"][0]["usage_hint"]) == 300 * 3 + 2 * 3
