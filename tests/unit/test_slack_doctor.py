"""What `roost slack check` makes of what it finds, and a document that has a sentence for everything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.checkup import Named
from adapters.slack import advice, errors, facts, methods
from adapters.slack.doctor import judged
from adapters.slack.examine import Wanted
from adapters.slack.facts import Bot, Channel, Door, Facts, Greeting, Place
from adapters.slack.ids import route
from bot import checkups, platforms, slack_check
from bot.config import Config
from bot.config_slack import SlackConfig

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "slack.md"
PAGES = "https://api.slack.com/apps/A0ROOST"
BOT = Bot("U1", "B1", "roost", "Lab", "https://lab.slack.com/", org_wide=False, app="A0ROOST")
GENERAL = Channel("C1", "general", direct=False, member=True, archived=False)
WANTED = Wanted(
    "xoxb-",
    "xapp-",
    None,
    "socket",
    "https://slack.com/api/",
    2,
    ("127.0.0.1", 3000),
    "/slack/events",
    True,
    (),
)
FINE = Facts(
    BOT,
    rotates=False,
    scopes=frozenset(methods.scopes()),
    skew_seconds=0.4,
    greeting=Greeting("A0ROOST", 1),
    door=None,
    agent="thread_ts_required",
    stops=True,
    written=True,
    places=(),
    channels=[GENERAL],
)


def wrong(found: Facts, wanted: Wanted = WANTED) -> list[tuple[str, str, str]]:
    return [(each.state, each.about, each.text) for each in judged(found, wanted) if each.state != "ok"]


# ---------------------------------------------------------------- the judgement


def test_where_all_is_well_there_is_a_line_for_each_part() -> None:
    found = judged(FINE, WANTED)
    assert {each.state for each in found} == {"ok"}
    assert [each.about for each in found] == ["token", "scopes", "sockets", "agent", "messages", "channel"]


def test_a_token_that_expires() -> None:
    assert wrong(replace(FINE, rotates=True)) == [("problem", "token", advice.ROTATION)]


def test_an_app_of_a_whole_organisation() -> None:
    found = replace(FINE, bot=replace(BOT, org_wide=True))
    assert wrong(found) == [("problem", "token", advice.ORG_WIDE.format(link=PAGES))]


@pytest.mark.parametrize(
    ("app", "pages"),
    [("A0ROOST", PAGES), ("", "https://api.slack.com/apps"), ("x/../y", "https://api.slack.com/apps")],
)
def test_a_link_leads_to_the_app_s_page_where_it_is_known(app: str, pages: str) -> None:
    found = replace(FINE, bot=replace(BOT, app=app), greeting=Greeting(error="missing_scope"))
    link = f"{pages}/general" if app == "A0ROOST" else pages
    assert wrong(found) == [("problem", "sockets", advice.NO_CONNECTIONS_SCOPE.format(link=link))]


def test_where_slack_does_not_tell_of_rights_nothing_is_said_of_them() -> None:
    assert [each.about for each in judged(replace(FINE, scopes=None), WANTED)][:2] == ["token", "sockets"]


def test_scopes_without_which_nobody_is_answered_are_problems() -> None:
    found = judged(replace(FINE, scopes=frozenset()), WANTED)
    states = {each.text: each.state for each in found if each.about == "scopes"}
    told = {
        advice.MISSING_SCOPE.format(scope=scope, loss=advice.LOSSES[scope], link=f"{PAGES}/oauth"): scope
        for scope in methods.scopes()
    }
    assert {told[text] for text, state in states.items() if state == "problem"} == advice.NEEDED
    assert set(told) == set(states)


def test_every_scope_has_a_loss() -> None:
    assert sorted(advice.LOSSES) == methods.scopes()
    assert set(advice.LOSSES) >= advice.NEEDED


@pytest.mark.parametrize(("skew", "fits"), [(-239.0, True), (241.0, False), (-600.0, False)])
def test_a_clock_may_be_off_by_less_than_what_slack_bears(skew: float, fits: bool) -> None:
    assert (wrong(replace(FINE, skew_seconds=skew)) == []) is fits


def test_a_door_that_is_open() -> None:
    wanted = replace(WANTED, mode="http", signing_secret="0" * 32)
    found = replace(FINE, greeting=None, door=Door("http://127.0.0.1:3000/slack/events", "open", 200))
    assert wrong(found, wanted) == []


def test_a_place_whose_thread_is_there() -> None:
    named = Named("here", route("C1", "1.5"))
    assert wrong(replace(FINE, places=[Place(named, GENERAL)])) == []
    assert [each[0] for each in wrong(replace(FINE, places=[Place(named, GENERAL, thread=False)]))] == [
        "problem"
    ]


# ---------------------------------------------------------------- what Slack answers


@pytest.mark.parametrize(
    ("headers", "scopes"),
    [
        ({"x-oauth-scopes": "chat:write, im:read"}, {"chat:write", "im:read"}),
        ({"X-OAuth-Scopes": ""}, set()),
        ({"Date": "Mon, 01 Jan 2024 00:00:00 GMT"}, None),
    ],
)
def test_scopes_are_read_of_a_header(headers: Mapping[str, str], scopes: set[str] | None) -> None:
    assert facts.scopes(headers) == scopes


def test_a_time_is_read_of_a_header() -> None:
    assert facts.sent_at({"date": "Mon, 01 Jan 2024 00:00:00 GMT"}) == 1_704_067_200
    assert facts.sent_at({"date": "yesterday"}) is None
    assert facts.sent_at({}) is None


@pytest.mark.parametrize(
    ("token", "app"), [("xapp-1-A0ROOST-30-made", "A0ROOST"), ("xapp-", ""), ("", ""), ("xoxb-1-2-3", "")]
)
def test_an_app_level_token_says_whose_it_is(token: str, app: str) -> None:
    assert facts.app_of_token(token) == app


# ---------------------------------------------------------------- what the configuration names


def test_places_are_those_of_slack_alone() -> None:
    config = Config.model_validate(
        {
            "wirings": [
                {"channel": "slack", "place": "C1", "threads": False},
                {"channel": "discord", "place": "50"},
            ],
            "agents": {
                "assistant": {
                    "destinations": [
                        {"name": "n", "channel": "slack", "platform_id": "C2", "thread_id": "1.5"}
                    ]
                }
            },
        }
    )
    assert [(each.where, each.route.thread_id) for each in checkups.places(config, "slack")] == [
        ("wirings[0].place", None),
        ("[agents.assistant] destinations[0]", "1.5"),
    ]


# ---------------------------------------------------------------- the document


def _sentences(module: Any) -> dict[str, str]:
    return {name: text for name, text in vars(module).items() if name.isupper() and isinstance(text, str)}


def _as_documented(sentence: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        *(text for name, text in _sentences(advice).items() if name != "OTHER_LOSS"),
        errors.UNAUTHORIZED,
        slack_check.OFF,
        platforms.MIXED_UP,
        platforms.MISSING.format(table="slack", what="{what}", key="{key}", variable="{variable}"),
    ],
)
def test_the_document_has_every_sentence(sentence: str) -> None:
    assert _as_documented(sentence) in " ".join(DOCUMENT.read_text().split())


def test_the_document_has_every_setting() -> None:
    text = DOCUMENT.read_text()
    for name, field in SlackConfig.model_fields.items():
        assert re.search(rf"^\| `{name}` \| .* \| {re.escape(str(field.description))} \|$", text, re.M), name


def test_the_document_has_every_scope() -> None:
    text = DOCUMENT.read_text()
    for scope, loss in advice.LOSSES.items():
        assert f"| `{scope}` | {loss} |\n" in text
