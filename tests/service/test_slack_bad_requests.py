"""Requests that come to the address for Slack's, over the wire: unsigned, late, repeated, for others, unreadable."""

from __future__ import annotations

import gzip
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import pytest

from adapters.slack import intakes
from tests.fakes.slack_server import SlackServer
from tests.service.conftest import House
from tests.service.slack_town import Town
from tests.service.slack_trouble import until_told

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
LATE_SECONDS: Final = 301
EVENTS: Final = "SELECT event_id FROM inbox WHERE kind = 'chat'"


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with SlackServer() as slack:
        yield Town(house, slack, mode="http")


def spoken(town: Town, text: str = "let me in", **changed: Any) -> dict[str, Any]:
    """An event as Slack would tell it: Ada asks something that stands nowhere."""
    ts = town.slack.world.ts()
    told = {"type": "app_mention", "user": town.ada.id, "ts": ts, "event_ts": ts, "team": town.slack.team}
    told |= {"channel": town.general.id, "text": f"{town.slack.bot.mention} {text}"}
    return {
        "type": "event_callback",
        "token": "not-used",
        "team_id": town.slack.team,
        "api_app_id": town.slack.app_id,
        "event_id": town.slack.world.id("Ev"),
        "event_time": int(time.time()),
        "authorizations": [{"team_id": town.slack.team, "user_id": town.slack.bot.id, "is_bot": True}],
        "event": told | changed,
    }


async def post(town: Town, body: bytes, headers: Mapping[str, str]) -> int:
    """Whatever a stranger sends to the address. The status of the answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(town.slack.push.url, data=io.BytesIO(body), headers=headers) as answer,
    ):
        return answer.status


async def still_there(town: Town, caplog: pytest.LogCaptureFixture, *, heard: int = 0) -> None:
    """Nothing of what came before was heard, but for so much, or has broken anything."""
    assert len(town.house.query(EVENTS)) == heard
    assert await town.answer_to("still there?") == "You said: still there?"
    assert "Traceback" not in caplog.text


# ---------------------------------------------------------------- signatures


async def test_what_slack_has_not_signed_is_refused(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    async with town.open():
        body = json.dumps(spoken(town))
        now = str(int(time.time()))
        right = town.slack.push.signature(now, body)
        wrong: list[Mapping[str, str]] = [
            {},
            {"X-Slack-Request-Timestamp": now},
            {"X-Slack-Signature": right},
            {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": right[:-1] + "x"},
            {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": "v0=é"},
            {"X-Slack-Request-Timestamp": "now", "X-Slack-Signature": right},
            {"X-Slack-Request-Timestamp": "9" * 5_000, "X-Slack-Signature": right},
            {"X-Slack-Request-Timestamp": str(int(now) - 1), "X-Slack-Signature": right},
        ]
        for headers in wrong:
            assert await post(town, body.encode(), {"Content-Type": JSON, **headers}) == 401, headers
        for kind, text in ((JSON, '{"ssl_check": "1"}'), (FORM, "ssl_check=1")):
            assert await post(town, text.encode(), {"Content-Type": kind}) == 401
        await still_there(town, caplog)


async def test_what_was_signed_more_than_five_minutes_ago_is_refused(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    async with town.open():
        body, now = json.dumps(spoken(town)), int(time.time())
        for at in (now - LATE_SECONDS, now + LATE_SECONDS + 5):
            status, _ = await town.slack.push.post(body, JSON, timestamp=at)
            assert status == 401
        await still_there(town, caplog)


async def test_the_same_signed_request_twice_is_answered_once(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    async with town.open():
        body, now = json.dumps(spoken(town)), int(time.time())
        for _ in range(3):
            assert (await town.slack.push.post(body, JSON, timestamp=now))[0] == 200
        await town.house.until(lambda: len(town.house.query(EVENTS)) == 1)
        given = town.ada.command("help", town.general)
        await town.until(lambda: given.texts)
        assert town.slack.interactions.last is not None
        kind, command = town.slack.interactions.last
        status, text = await town.slack.push.post(urlencode(command), FORM)
        assert kind == "slash_commands" and status == 200
        assert json.loads(text)["text"] in given.texts[0] or given.texts[0] in json.loads(text)["text"]
        await still_there(town, caplog, heard=1)


# ---------------------------------------------------------------- unreadable


async def test_what_cannot_be_read_is_refused_before_anybody_looks_into_it(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody has to have signed it to send it."""
    async with town.open():
        for body in (b"\xff\xfe", b"{", b"[" * 100_000, b"payload={", b"null", b"", b"%00=%ff"):
            for kind in (JSON, FORM, "text/html", "application/json; charset=nonsense", "x"):
                assert await post(town, body, {"Content-Type": kind}) == 401, (body[:10], kind)
        huge = b"x" * (intakes.LARGEST_BODY_BYTES + 1)
        assert await post(town, huge, {"Content-Type": JSON}) == 413
        packed = {"Content-Type": JSON, "Content-Encoding": "gzip"}
        assert await post(town, gzip.compress(huge), packed) == 413
        async with aiohttp.ClientSession() as session, session.get(town.slack.push.url) as answer:
            assert answer.status == 405
        async with aiohttp.ClientSession() as session, session.post(town.slack.push.url + "/x") as answer:
            assert answer.status == 404
        await still_there(town, caplog)


@pytest.mark.parametrize("kind", [JSON, FORM, "text/plain"])
async def test_what_is_signed_and_cannot_be_read_is_answered_and_breaks_nothing(
    town: Town, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = (
        "{",
        "[]",
        "null",
        '"text"',
        "[" * 100_000,
        "payload={",
        "payload=[]",
        "payload=null",
        "nothing",
        "{}",
        '{"type": "event_callback"}',
        '{"type": "event_callback", "event": "x"}',
        '{"type": "event_callback", "event": {"type": []}, "authorizations": 1, "team_id": {}}',
        '{"type": "block_actions"}',
        '{"type": "view_submission", "view": []}',
        '{"command": "/roost"}',
        '{"type": "message_action", "callback_id": "ask_roost"}',
    )
    async with town.open():
        for body in bodies:
            status, _ = await town.slack.push.post(body, kind)
            assert status in (200, 400, 404), body[:60]
        await still_there(town, caplog)


async def test_slack_is_told_that_the_address_is_the_apps(town: Town) -> None:
    async with town.open():
        status, text = await town.slack.push.verify()
        assert status == 200 and "are-you-there" in text


# ---------------------------------------------------------------- for somebody else


async def test_what_is_for_another_workspace_is_let_be(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    async with town.open():
        elsewhere = [{"team_id": "T0OTHER", "user_id": "U0OTHER", "is_bot": True}]
        changed = {"team_id": "T0OTHER", "authorizations": elsewhere}
        status, _ = await town.slack.push.post(json.dumps({**spoken(town), **changed}), JSON)
        assert status == 200
        await still_there(town, caplog)


async def test_events_of_other_kinds_are_acknowledged_and_let_be(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    async with town.open():
        for told in (
            {"type": "something_new", "channel": {"id": town.general.id}},
            {"type": "team_join", "user": {"id": town.bob.id}},
            {"type": "channel_rename", "channel": {"id": town.general.id, "name": "x"}},
            {"type": "message", "subtype": "channel_join", "user": town.ada.id, "channel": town.general.id},
            {"type": "message", "subtype": "something_new", "user": town.ada.id, "channel": town.general.id},
            {"type": ""},
            {},
        ):
            status, _ = await town.slack.push.post(json.dumps({**spoken(town), "event": told}), JSON)
            assert status in (200, 404), told
        await still_there(town, caplog)


# ---------------------------------------------------------------- the port


async def test_a_port_that_another_program_has_is_said_and_taken_when_it_is_free(town: Town) -> None:
    adapter = town.adapter()
    port = int(town.slack.push.url.split(":")[2].split("/")[0])
    with socket.create_server(("127.0.0.1", port)):
        async with town.house.open(adapter):
            await until_told(town, f"[slack] listen: 127.0.0.1:{port}: address already in use; another")
    async with town.open():
        assert await town.answer_to("and now?") == "You said: and now?"
