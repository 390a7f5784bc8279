"""The fake's Socket Mode against the real slack-bolt, and against what a websocket sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from tests.contracts.slack_bolt_rig import Raw, Rig, address, by_socket, raw, standing
from tests.fakes.slack_sockets import MAX_CONNECTIONS

SOON_SECONDS = 0.15
"""After which what was not acknowledged is delivered again here."""


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with standing(ack_seconds=SOON_SECONDS) as stands:
        yield stands


async def closed(socket: Raw) -> None:
    """Returns when the other side has ended it."""
    async with asyncio.timeout(5):
        while (await socket.socket.receive()).type not in (
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.CLOSING,
            aiohttp.WSMsgType.ERROR,
        ):
            continue


# -------------------------------------------------------------------- the real client


async def test_the_real_client_is_told_and_acknowledges(rig: Rig) -> None:
    async with by_socket(rig):
        rig.ada.say(rig.general, "hello", mention=[rig.slack.bot])
        await rig.slack.until(lambda: len(rig.slack.hub.acks) == 2)
        mention = rig.slack.bot.mention
        assert [each["event"]["text"] for each in rig.heard.bodies] == [f"{mention} hello"] * 2
        assert {each["event"]["type"] for each in rig.heard.bodies} == {"message", "app_mention"}
        assert all(0 <= each.ms < 3_000 and each.payload is None for each in rig.slack.hub.acks)


async def test_pings_go_both_ways(rig: Rig) -> None:
    rig.slack.hub._ping_seconds = 0.02
    async with by_socket(rig, ping_seconds=0.05):
        (connection,) = rig.slack.hub.connections
        await rig.slack.until(lambda: connection.answered >= 2 and connection.asked >= 2)
        assert connection.pings >= connection.answered


async def test_what_is_not_taken_comes_again_and_says_so(rig: Rig) -> None:
    rig.heard.fails = 2
    async with by_socket(rig):
        rig.ada.say(rig.general, "hello")
        await rig.slack.until(lambda: rig.slack.hub.acks)
        assert rig.heard.texts == ["hello"] * 3
        assert len({each["event_id"] for each in rig.heard.bodies}) == 1


async def test_a_refresh_moves_the_client_to_a_new_connection(rig: Rig) -> None:
    async with by_socket(rig):
        await rig.slack.hub.disconnect("refresh_requested")
        await rig.slack.until(lambda: rig.slack.hub.opened == 2 and len(rig.slack.hub.connections) == 1)
        rig.ada.say(rig.general, "still there?")
        await rig.slack.until(lambda: rig.heard.texts == ["still there?"])


async def test_the_client_comes_back_after_an_abrupt_drop(rig: Rig) -> None:
    async with by_socket(rig, ping_seconds=0.05):
        rig.slack.hub.drop_all()
        await rig.slack.until(lambda: rig.slack.hub.opened == 2)
        rig.ada.say(rig.general, "back?")
        await rig.slack.until(lambda: rig.heard.texts == ["back?"])


async def test_a_silent_connection_is_noticed_by_the_client_alone() -> None:
    async with standing() as rig, by_socket(rig, ping_seconds=0.3):
        (connection,) = rig.slack.hub.connections
        connection.silent = True
        rig.ada.say(rig.general, "anybody?")
        await rig.slack.until(lambda: rig.slack.hub.opened == 2)
        # Between the two nobody was there.
        assert rig.heard.texts == []
        await rig.slack.pass_time(60)
        assert rig.heard.texts == ["anybody?"]


async def test_a_command_a_click_a_form_and_a_shortcut_arrive_and_are_answered(rig: Rig) -> None:
    async with by_socket(rig):
        rig.heard.command_answer = "All is well."
        told = rig.ada.command("status", rig.general)
        await rig.slack.until(lambda: told.text)
        assert (told.text, told.acked, told.public) == ("All is well.", True, [])

        message = rig.ada.say(rig.general, "look at this")
        chosen = rig.ada.shortcut(message)
        await rig.slack.until(lambda: chosen.acked)
        assert rig.heard.of("message_action")[0]["message"]["text"] == "look at this"


# -------------------------------------------------------------------- raw connections


async def test_hello_says_how_many_there_are(rig: Rig) -> None:
    async with raw(rig) as one, raw(rig) as two:
        assert one.hello["type"] == "hello"
        assert (one.hello["num_connections"], two.hello["num_connections"]) == (1, 2)
        assert one.hello["connection_info"] == {"app_id": rig.slack.app_id}
        assert one.hello["debug_info"]["approximate_connection_time"] > 0


async def test_an_address_is_good_once_and_for_a_while(rig: Rig) -> None:
    url = await address(rig)
    rig.slack.hub.ticket_seconds = 0
    stale = await address(rig)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(stale)
        rig.slack.hub.ticket_seconds = 30
        fresh = await address(rig)
        async with session.ws_connect(fresh) as socket:
            await socket.receive()
        for used in (fresh, url.replace("ticket=", "ticket=x")):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(used)
    assert rig.slack.hub.turned_away == 3


async def test_no_address_without_the_apps_token_or_where_it_is_refused(rig: Rig) -> None:
    with pytest.raises(SlackApiError, match="not_allowed_token_type"):
        await rig.app.client.apps_connections_open(app_token=rig.slack.bot_token)
    rig.slack.hub.refuses = "internal_error"
    with pytest.raises(SlackApiError, match="internal_error"):
        await address(rig)


async def test_an_eleventh_connection_is_turned_away() -> None:
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(standing(limits="none"))
        for _ in range(MAX_CONNECTIONS):
            await stack.enter_async_context(raw(rig))
        one_more = await stack.enter_async_context(raw(rig))
        assert (one_more.hello["type"], one_more.hello["reason"]) == ("disconnect", "too_many_websockets")
        await closed(one_more)
        assert len(rig.slack.hub.connections) == MAX_CONNECTIONS


async def test_an_envelope_has_what_slack_says(rig: Rig) -> None:
    async with raw(rig) as socket:
        rig.ada.say(rig.general, "hello")
        told = await socket.next()
        await socket.ack(told)
        assert told["type"] == "events_api"
        assert told["payload"]["type"] == "event_callback"
        assert told["payload"]["event"]["text"] == "hello"
        assert (told["accepts_response_payload"], told["retry_attempt"], told["retry_reason"]) == (
            False,
            0,
            "",
        )
        given = rig.ada.command("status", rig.general)
        told = await socket.next()
        assert (told["type"], told["accepts_response_payload"]) == ("slash_commands", True)
        assert told["payload"]["command"] == "/roost"
        await socket.ack(told, {"text": "All is well."})
        await rig.slack.until(lambda: given.text == "All is well.")


async def test_each_event_goes_to_any_one(rig: Rig) -> None:
    async with raw(rig) as one, raw(rig) as two:
        first, second = rig.slack.hub.connections
        rig.slack.hub.next = first
        rig.ada.say(rig.general, "to the first")
        await one.ack(await one.next())
        rig.slack.hub.next = second
        rig.ada.say(rig.general, "to the second")
        await two.ack(await two.next())
        await rig.slack.until(lambda: len(rig.slack.hub.acks) == 2)
        assert [each.connection for each in rig.slack.hub.acks] == [first.number, second.number]
        rig.slack.hub.shuffle(1)
        for number in range(12):
            rig.ada.say(rig.general, f"number {number}")
        await rig.slack.until(lambda: len(first.envelopes) + len(second.envelopes) >= 14)
        assert len(first.envelopes) > 2 < len(second.envelopes)


async def test_what_nobody_acknowledges_comes_three_more_times(rig: Rig) -> None:
    async with raw(rig) as socket:
        rig.ada.say(rig.general, "hello")
        told = [await socket.next() for _ in range(4)]
        assert [each["retry_attempt"] for each in told] == [0, 1, 2, 3]
        assert [each["retry_reason"] for each in told] == ["", "timeout", "timeout", "timeout"]
        assert len({each["envelope_id"] for each in told}) == 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * SOON_SECONDS):
                await socket.socket.receive()


async def test_what_was_under_way_on_a_lost_connection_comes_on_another(rig: Rig) -> None:
    async with raw(rig) as one, raw(rig) as two:
        first, _ = rig.slack.hub.connections
        rig.slack.hub.next = first
        rig.ada.say(rig.general, "hello")
        began = asyncio.get_running_loop().time()
        assert (await one.next())["retry_attempt"] == 0
        first.drop()
        again = await two.next()
        assert asyncio.get_running_loop().time() - began < SOON_SECONDS
        assert (again["retry_attempt"], again["retry_reason"]) == (1, "connection_failed")
        assert again["payload"]["event"]["text"] == "hello"
        await two.ack(again)


async def test_what_nobody_is_there_for_comes_after_a_minute_and_after_five(rig: Rig) -> None:
    rig.ada.say(rig.general, "is anybody there?")
    command = rig.ada.command("status", rig.general)
    await rig.slack.until(lambda: len(rig.slack.later) == 1 and command.failed)
    await rig.slack.pass_time(61)
    async with raw(rig) as socket:
        passing = asyncio.create_task(rig.slack.pass_time(300))
        told = await socket.next()
        assert told["payload"]["event"]["text"] == "is anybody there?"
        assert (told["retry_attempt"], told["retry_reason"]) == (2, "connection_failed")
        await socket.ack(told)
        await passing
    assert len(rig.slack.later) == 0


async def test_an_acknowledged_envelope_comes_again_when_the_test_says_so(rig: Rig) -> None:
    async with raw(rig) as one, raw(rig) as two:
        rig.ada.say(rig.general, "hello")
        told = await two.next()
        await two.ack(told)
        (envelope,) = rig.slack.hub.envelopes
        await rig.slack.until(lambda: envelope.acked is not None)
        rig.slack.hub.again(envelope)
        assert (await two.next())["envelope_id"] == told["envelope_id"]
        await two.ack(told)
        await rig.slack.hub.twice(envelope)
        assert [(await each.next())["envelope_id"] for each in (one, two)] == [told["envelope_id"]] * 2


async def test_a_connection_is_told_that_it_ends(rig: Rig) -> None:
    async with raw(rig) as one, raw(rig) as two:
        first, second = rig.slack.hub.connections
        await rig.slack.hub.disconnect("warning", connection=first)
        assert (await one.next())["reason"] == "warning"
        await rig.slack.hub.disconnect("link_disabled", connection=second, closes=True)
        assert (await two.next())["reason"] == "link_disabled"
        await closed(two)
        await rig.slack.until(lambda: rig.slack.hub.connections == [first])


async def test_a_deaf_connection_answers_pings_and_hears_nothing(rig: Rig) -> None:
    async with raw(rig) as deaf, raw(rig) as hears:
        first, _ = rig.slack.hub.connections
        first.deaf = True
        rig.slack.hub.next = first
        rig.ada.say(rig.general, "hello")
        await hears.ack(await hears.next())
        await deaf.socket.ping()
        await rig.slack.until(lambda: first.asked == 1)
        assert first.envelopes == []


async def test_a_silent_connection_takes_nothing_and_says_nothing(rig: Rig) -> None:
    async with raw(rig) as silent, raw(rig) as hears:
        first, _ = rig.slack.hub.connections
        first.silent = True
        rig.slack.hub.next = first
        rig.ada.say(rig.general, "hello")
        told = await hears.next()
        assert (told["retry_attempt"], told["retry_reason"]) == (1, "timeout")
        await hears.ack(told)
        await silent.socket.ping()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_SECONDS):
                await silent.socket.receive()
        assert first in rig.slack.hub.connections


async def test_an_event_of_an_app_that_says_nothing_of_hello_is_delivered_all_the_same(rig: Rig) -> None:
    rig.slack.hub.says_hello = False
    async with aiohttp.ClientSession() as session, session.ws_connect(await address(rig)) as socket:
        await rig.slack.until(lambda: rig.slack.hub.connections)
        rig.ada.say(rig.general, "hello")
        assert (await Raw(socket, {}).next())["type"] == "events_api"
