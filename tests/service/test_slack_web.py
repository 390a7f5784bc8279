"""The pace of calls to Slack: tiers, pauses that it asks for, and storms of refusals, over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from adapters.base import Absent, SendFailed
from adapters.slack.errors import PAUSE, UNAUTHORIZED, ChannelGone
from adapters.slack.web import OFFLINE, REFUSALS_OF_ONE, REFUSED_HERE, TOO_MANY_REFUSALS, Busy, Web
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Place
from tests.service.slack_out import Out, out


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        server.world.listeners = []
        yield server


@pytest.fixture
async def life(slack: SlackServer) -> AsyncIterator[Out]:
    async with out(slack) as made:
        yield made


async def post(web: Web, place: Place, text: str = "hello") -> None:
    """Posts a message."""
    await web.call("chat.postMessage", place=place.id, channel=place.id, text=text)


async def test_a_channel_is_written_to_at_its_own_pace(life: Out) -> None:
    one, other = life.slack.channel("one"), life.slack.channel("other")
    loop = asyncio.get_running_loop()
    began = loop.time()
    flood = asyncio.gather(*(post(life.web, one, f"{number}") for number in range(6)))
    await post(life.web, other)
    assert loop.time() - began < 1.0, "another channel is not held up"
    await flood
    assert 2.5 < loop.time() - began < 6.0 and not life.slack.limited
    assert len(one.texts) == 6


async def test_a_minute_has_no_more_than_a_tier_allows(life: Out) -> None:
    place = life.slack.channel("one")
    await post(life.web, place)
    ts = place.messages[0].ts

    async def update() -> None:
        await life.web.call("chat.update", channel=place.id, ts=ts, text="more")

    flood = [asyncio.create_task(update()) for _ in range(60)]
    _, waiting = await asyncio.wait(flood, timeout=2.0)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    assert len(life.slack.called("chat.update")) == 50 and not life.slack.limited


async def test_live_text_leaves_room_for_answers(life: Out) -> None:
    place = life.slack.channel("one")
    await post(life.web, place)
    change: dict[str, Any] = {"channel": place.id, "ts": place.messages[0].ts, "text": "more"}
    with pytest.raises(Busy) as failed:
        while True:
            await life.web.call("chat.update", live=True, **change)
    assert failed.value.retry_after and life.web.spare("chat.update") > 0
    began = asyncio.get_running_loop().time()
    await life.web.call("chat.update", **change)
    assert asyncio.get_running_loop().time() - began < 0.5


async def test_a_pause_is_kept_by_everybody_who_calls_the_method(life: Out) -> None:
    place = life.slack.channel("one")
    life.slack.fail("chat.update", "limited", seconds=30)
    for _ in range(5):
        with pytest.raises(SendFailed, match=PAUSE) as failed:
            await life.web.call("chat.update", channel=place.id, ts="1.000001", text="x")
        assert failed.value.retry_after is not None and 28 < failed.value.retry_after <= 30
    assert len(life.slack.called("chat.update")) == 1
    await post(life.web, place)


async def test_a_pause_of_posting_is_one_channels(life: Out) -> None:
    one, other = life.slack.channel("one"), life.slack.channel("other")
    life.slack.fail("chat.postMessage", "limited", seconds=0.2)
    with pytest.raises(SendFailed, match=PAUSE):
        await post(life.web, one)
    await asyncio.sleep(0.3)  # The fake one shuts the method in every channel.
    began = asyncio.get_running_loop().time()
    await post(life.web, other)
    assert asyncio.get_running_loop().time() - began < 0.5
    await post(life.web, one)
    assert one.texts == ["hello"]


@pytest.mark.parametrize("error", ["invalid_auth", "token_revoked", "account_inactive", "not_authed"])
async def test_a_token_that_is_taken_no_more_ends_the_login(life: Out, error: str) -> None:
    life.slack.deny(error)
    with pytest.raises(SendFailed) as failed:
        await post(life.web, life.slack.channel("one"))
    assert str(failed.value) == UNAUTHORIZED and failed.value.everywhere
    assert life.web.is_denied
    async with asyncio.timeout(1.0):
        await life.web.until_denied()
    life.web.use(life.client)
    assert not life.web.is_denied


async def test_whoever_is_refused_again_and_again_in_a_channel_rests_there(life: Out) -> None:
    one, other = life.slack.channel("one"), life.slack.channel("other")
    life.slack.fail("reactions.add", error="missing_scope", times=1_000)
    met = ""
    for _ in range(REFUSALS_OF_ONE + 1):
        with pytest.raises(SendFailed) as failed:
            life.web._minutes.clear()
            await life.web.call("reactions.add", place=one.id, channel=one.id, name="eyes", timestamp="1.1")
        met = str(failed.value)
    assert met == REFUSED_HERE
    with pytest.raises(SendFailed, match=REFUSED_HERE):
        await post(life.web, one)
    await post(life.web, other)


async def test_a_storm_of_refusals_stops_everything(life: Out) -> None:
    web, place = Web(refusals=3), life.slack.channel("one")
    web.use(life.client)
    life.slack.fail("users.info", error="missing_scope", times=1_000)
    for _ in range(3):
        with pytest.raises(SendFailed, match="lacks the scope"):
            await web.call("users.info", user="U1")
    with pytest.raises(SendFailed, match=TOO_MANY_REFUSALS) as failed:
        await post(web, place)
    assert failed.value.everywhere and failed.value.retry_after and not place.texts


async def test_nobody_is_called_by_whoever_is_not_logged_in(life: Out) -> None:
    life.web.use(None)
    with pytest.raises(SendFailed, match=OFFLINE):
        await post(life.web, life.slack.channel("one"))


async def test_a_slack_that_is_not_there_costs_no_try(slack: SlackServer) -> None:
    web, place = Web(), slack.channel("one")
    web.use(AsyncWebClient(slack.bot_token, slack.api_url, retry_handlers=[]))
    await slack.stop()
    with pytest.raises(Absent):
        await post(web, place)


async def test_slack_in_trouble_may_have_taken_it(life: Out) -> None:
    life.slack.fail("chat.postMessage", "status", status=502)
    with pytest.raises(SendFailed) as failed:
        await post(life.web, life.slack.channel("one"))
    assert failed.value.retry_after == 0 and not isinstance(failed.value, ChannelGone | Absent)
