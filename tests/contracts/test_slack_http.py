"""The fake's signed HTTP against the aiohttp adapter of the real slack-bolt, and against a raw server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.contracts.slack_bolt_rig import Rig, by_http, standing

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with standing() as stands:
        # The library compares the time of a request with its own.
        stands.clock.now = int(time.time() * 1000)
        yield stands


@asynccontextmanager
async def raw(rig: Rig, answer: Answer) -> AsyncIterator[list[web.Request]]:
    """A server that answers as it is told. Its requests, with their bodies read."""
    taken: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        taken.append(request)
        return await answer(request)

    app = web.Application()
    app.router.add_post("/events", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        rig.slack.by_http(f"http://127.0.0.1:{runner.addresses[0][1]}/events")
        yield taken
    finally:
        await rig.slack.push.stop()
        await runner.cleanup()


async def yes(_request: web.Request) -> web.StreamResponse:
    return web.Response()


async def no(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=500)


# -------------------------------------------------------------------- the real adapter


async def test_the_real_adapter_proves_that_it_is_there(rig: Rig) -> None:
    async with by_http(rig):
        status, text = await rig.slack.push.verify()
        assert (status, json.loads(text)) == (200, {"challenge": "are-you-there"})
        assert (await rig.slack.push.check_ssl())[0] == 200


async def test_the_real_adapter_takes_events(rig: Rig) -> None:
    async with by_http(rig):
        rig.ada.say(rig.general, "hello")
        await rig.slack.until(lambda: rig.slack.push.deliveries and rig.slack.push.deliveries[0].over)
        assert (rig.heard.texts, rig.slack.push.deliveries[0].answers) == (["hello"], [200])


async def test_the_real_adapter_is_asked_again_at_once_after_one_minute_and_after_five(rig: Rig) -> None:
    rig.heard.fails = 3
    async with by_http(rig):
        rig.ada.say(rig.general, "hello")
        (delivery,) = rig.slack.push.deliveries
        await rig.slack.until(lambda: delivery.answers == [500, 500])
        await rig.slack.pass_time(59)
        assert len(delivery.answers) == 2
        await rig.slack.pass_time(1)
        assert len(delivery.answers) == 3
        await rig.slack.pass_time(300)
        assert (delivery.answers, delivery.over) == ([500, 500, 500, 200], True)
        assert rig.heard.texts == ["hello"] * 4


async def test_the_real_adapter_believes_only_what_is_signed_and_new(rig: Rig) -> None:
    body = json.dumps({"type": "event_callback", "event": {"type": "message", "text": "forged"}})
    push, now = rig.slack.push, int(rig.clock.now / 1000)
    async with by_http(rig):
        assert (await push.post(body, "application/json"))[0] == 200
        rig.heard.bodies.clear()
        assert (await push.post(body, "application/json", signature="v0=" + "0" * 64))[0] == 401
        assert (await push.post(body, "application/json", timestamp=now - 301))[0] == 401
        signed = push.signature(str(now), body)
        assert (await push.post(body + " ", "application/json", signature=signed))[0] == 401
        push.skew_seconds = 400
        assert (await push.post(body, "application/json"))[0] == 401
        assert rig.heard.bodies == []


async def test_a_recorded_request_is_the_same_to_the_adapter_while_it_is_new(rig: Rig) -> None:
    async with by_http(rig):
        rig.ada.say(rig.general, "hello")
        await rig.slack.until(lambda: rig.slack.push.deliveries[0].over)
        assert (await rig.slack.push.replay())[0] == 200
        assert rig.heard.texts == ["hello", "hello"]
        assert len({each["event_id"] for each in rig.heard.bodies}) == 1


async def test_commands_and_interactions_come_as_forms(rig: Rig) -> None:
    async with by_http(rig):
        rig.heard.command_answer = {"response_type": "in_channel", "text": "All is well."}
        given = rig.ada.command("status", rig.general)
        await rig.slack.until(lambda: given.public)
        assert (given.public, rig.general.texts[-1]) == (["All is well."], "All is well.")
        message = rig.ada.say(rig.general, "look at this")
        chosen = rig.ada.shortcut(message)
        await rig.slack.until(lambda: chosen.acked)
        assert rig.heard.of("message_action")[0]["callback_id"] == "ask_roost"


async def test_a_person_is_told_when_the_app_takes_too_long(rig: Rig) -> None:
    rig.heard.gate.clear()
    rig.slack.push._answer_seconds = 0.1
    async with by_http(rig):
        given = rig.ada.command("status", rig.general)
        await rig.slack.until(lambda: given.failed)
        rig.heard.gate.set()
        assert (given.acked, given.text) == (False, "")


# -------------------------------------------------------------------- a raw server


async def test_a_request_has_what_slack_says(rig: Rig) -> None:
    async with raw(rig, yes) as taken:
        rig.ada.say(rig.general, "hello")
        await rig.slack.until(lambda: rig.slack.push.deliveries[0].over)
        (request,) = taken
        body = await request.text()
        at = request.headers["X-Slack-Request-Timestamp"]
        assert request.content_type == "application/json"
        assert request.headers["X-Slack-Signature"] == rig.slack.push.signature(at, body)
        assert "X-Slack-Retry-Num" not in request.headers
        assert json.loads(body)["event"]["text"] == "hello"


async def test_a_retry_says_which_it_is_and_why(rig: Rig) -> None:
    async with raw(rig, no) as taken:
        rig.ada.say(rig.general, "hello")
        await rig.slack.until(lambda: len(taken) == 2)
        await rig.slack.until(lambda: len(rig.slack.later) == 1)
        await rig.slack.pass_time(400)
        assert len(taken) == 4
        numbers = [each.headers.get("X-Slack-Retry-Num") for each in taken]
        reasons = [each.headers.get("X-Slack-Retry-Reason") for each in taken]
        assert numbers == [None, "1", "2", "3"]
        assert reasons == [None, "http_error", "http_error", "http_error"]
        assert rig.slack.push.deliveries[0].over


async def test_a_slow_answer_is_none(rig: Rig) -> None:
    rig.slack.push._answer_seconds = 0.1
    forever = asyncio.Event()

    async def slow(_request: web.Request) -> web.StreamResponse:
        await forever.wait()
        return web.Response()

    async with raw(rig, slow) as taken:
        rig.ada.say(rig.general, "hello")
        await rig.slack.until(lambda: len(taken) == 2)
        assert taken[1].headers["X-Slack-Retry-Reason"] == "http_timeout"
        forever.set()


async def test_nobody_there_is_tried_again_as_well(rig: Rig) -> None:
    rig.slack.by_http("http://127.0.0.1:9/nobody")
    rig.ada.say(rig.general, "hello")
    (delivery,) = rig.slack.push.deliveries
    await rig.slack.until(lambda: delivery.answers == [0, 0])
    assert delivery.reasons == ["connection_failed", "connection_failed"]
    await rig.slack.push.stop()


async def test_an_app_can_ask_for_no_retry(rig: Rig) -> None:
    async def enough(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=400, headers={"X-Slack-No-Retry": "1"})

    async with raw(rig, enough) as taken:
        rig.ada.say(rig.general, "hello")
        await rig.slack.until(lambda: rig.slack.push.deliveries[0].over)
        assert (len(taken), len(rig.slack.later)) == (1, 0)
