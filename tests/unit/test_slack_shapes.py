"""Whatever is told of on Slack with fields of other types: nothing raises, and nothing of it gets any further."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.base import Event, NotFetched
from adapters.slack import ids
from adapters.slack.asked import Asked
from adapters.slack.fetching import Fetcher
from adapters.slack.groups import Groups
from adapters.slack.interactions import Interactions
from adapters.slack.listening import Listening
from adapters.slack.normalize import Me
from adapters.slack.places import Places
from adapters.slack.shapes import is_for, is_whole
from adapters.slack.timing import Timing
from adapters.slack.web import Web
from tests.fakes.host import FakeHost

ME: Final = Me("U0BOT", "B0BOT", "T0LAB", "roost", "https://lab.slack.com/")
API_URL: Final = "http://127.0.0.1:9/api/"
QUICK: Final = Timing(defer=0.2, acknowledge=0.5)
TS: Final = "1700000000.000100"
FILE: Final = {"id": "F0A", "name": "a.txt", "size": 1, "mimetype": "text/plain", "url_private": "https://x"}
SAID: Final[Mapping[str, Any]] = {
    "type": "message",
    "channel": "C0LAB",
    "user": "U0ADA",
    "ts": TS,
    "event_ts": TS,
    "thread_ts": "1700000000.000000",
    "text": "<@U0BOT> hello <@U0BOB>",
    "team": "T0LAB",
    "files": [FILE],
    "attachments": [{"is_share": True, "text": "x", "files": [FILE]}],
    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}],
    "edited": {"user": "U0ADA", "ts": TS},
    "bot_profile": {"name": "x"},
}
EVENTS: Final[tuple[Mapping[str, Any], ...]] = (
    SAID,
    {**SAID, "type": "app_mention"},
    {**SAID, "subtype": "bot_message", "user": None, "bot_id": "B0CI", "username": "ci", "text": ""},
    {
        "type": "message",
        "subtype": "message_changed",
        "channel": "C0LAB",
        "ts": TS,
        "message": SAID,
        "previous_message": {**SAID, "text": "before"},
    },
    {
        "type": "message",
        "subtype": "message_deleted",
        "channel": "C0LAB",
        "ts": TS,
        "deleted_ts": TS,
        "previous_message": SAID,
    },
    {
        "type": "reaction_added",
        "user": "U0ADA",
        "reaction": "eyes",
        "item_user": "U0BOT",
        "item": {"type": "message", "channel": "C0LAB", "ts": TS},
        "event_ts": TS,
    },
    {"type": "app_home_opened", "user": "U0ADA", "channel": "D0ADA", "tab": "home", "event_ts": TS},
    {
        "type": "agent_session_stopped",
        "channel": "D0ADA",
        "thread_ts": TS,
        "user": "U0ADA",
        "streaming_message_ts": [TS],
        "event_ts": TS,
    },
)
JUNK: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["", "x", "\x00", "\ud800", "<@U0BOT>", "//host", "http://[", TS, "1.2.3", "C0LAB", "٣.٤"]
    ),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "ts", "text"]), inner)
    ),
    max_leaves=4,
)


def paths(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where something stands in an event."""
    inside: list[tuple[str | int, ...]] = [at] if at else []
    items = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, each in items:
        inside += paths(each, (*at, key))
    return inside


def put(value: Any, path: tuple[str | int, ...], other: object) -> Any:
    """The same with something else there."""
    if not path:
        return other
    key, *rest = path
    inner = put(value[key], tuple(rest), other)
    if isinstance(value, list):
        return [inner if number == key else each for number, each in enumerate(value)]
    return {**value, key: inner}


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """An event of Slack's with one or two fields of any kind."""
    told: Any = draw(st.sampled_from(EVENTS))
    for _ in range(draw(st.integers(1, 2))):
        told = put(told, draw(st.sampled_from(paths(told))), draw(JUNK))
    return dict(told)


async def heard(told: Mapping[str, Any]) -> FakeHost:
    """What the service hears of it, by an adapter that reaches nobody."""
    host, web = FakeHost(), Web()

    async def stopped(_channel: str, _thread: str, _streams: list[str]) -> None:
        return

    listening = Listening(
        web,
        Asked(),
        QUICK,
        Groups(web),
        Places(web),
        agent_view=True,
        stopped=stopped,
        revoked=lambda: None,
        titled=lambda _route, _title: None,
        asked_there=lambda _route, _event: None,
        clock=lambda: 1_700_000_000_000,
    )
    fetcher = Fetcher(web, API_URL, QUICK)
    interactions = Interactions(
        web,
        host,
        Asked(),
        QUICK,
        Groups(web),
        fetcher.fetch,
        ME,
        agent_view=True,
        resumed=lambda _route: None,
    )
    listening.use(host, ME, fetcher, interactions)
    try:
        await listening.on_event({"type": "event_callback", "event_id": "Ev0", "event": told})
    finally:
        await interactions.close()
        await listening.close()
        await fetcher.close()
    return host


def check(event: Event) -> None:
    """It is of the types that the service counts on."""
    assert ids.is_id(event.route.platform_id)
    assert event.route.thread_id is None or ids.is_ts(event.route.thread_id)
    assert isinstance(event.created_at, int) and isinstance(event.text, str)
    assert event.sender.id == "" if event.kind == "delete" else ids.is_id(event.sender.id)
    assert isinstance(event.sender.name, str) and event.sender.name
    for file in event.remote:
        assert isinstance(file.name, str) and isinstance(file.media_type, str)
        assert type(file.size) is int and file.size >= 0


@given(changed())
@example({**SAID, "ts": 1700000000.0001})
@example({**SAID, "user": {"id": "U0ADA"}})
@example({**SAID, "files": 7, "attachments": True})
@example({**SAID, "files": [{**FILE, "size": -1}, {**FILE, "size": True}]})
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fields_of_any_kind_reach_nobody(caplog: pytest.LogCaptureFixture, told: dict[str, Any]) -> None:
    caplog.clear()
    with caplog.at_level(logging.ERROR):
        host = asyncio.run(heard(told))
    assert not caplog.records, caplog.text
    for event in host.events:
        check(event)


def test_what_is_as_slack_sends_it_is_heard() -> None:
    kinds = [event.kind for told in EVENTS for event in asyncio.run(heard(told)).events]
    assert kinds == ["message", "message", "message", "edit", "delete", "reaction", "command"]


# ---------------------------------------------------------------- fetching


@given(st.sampled_from(["url_private", "url_private_download"]), JUNK)
def test_no_address_of_a_file_breaks_the_way_to_it(key: str, address: object) -> None:
    async def fetch() -> None:
        fetcher = Fetcher(Web(), API_URL, QUICK)
        try:
            await fetcher.fetch({key: address}, Path("/nowhere/file"), 1)
        finally:
            await fetcher.close()

    with pytest.raises(NotFetched):
        asyncio.run(fetch())


# ---------------------------------------------------------------- what is delivered


@given(st.dictionaries(st.sampled_from(["type", "event", "user", "actions", "view", "text"]), JUNK) | JUNK)
def test_nothing_that_is_delivered_breaks_the_look_at_it(body: object) -> None:
    assert is_whole(body) in (True, False)


@pytest.mark.parametrize(
    ("given_", "is_ours"),
    [
        ({}, True),
        ({"team_id": "T0OTHER"}, True),
        ({"authorizations": []}, True),
        ({"authorizations": [{"team_id": "T0OTHER"}]}, False),
        ({"authorizations": [{"team_id": "T0OTHER"}, {"team_id": "T0LAB"}]}, True),
        ({"authorizations": [{"team_id": None, "is_enterprise_install": True}]}, True),
    ],
)
def test_an_event_is_for_those_who_are_authorized(given_: Mapping[str, Any], is_ours: bool) -> None:
    assert is_for(given_, "T0LAB") is is_ours
