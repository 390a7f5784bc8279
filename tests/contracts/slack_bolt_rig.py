"""A real slack-bolt app beside the fake Slack, by Socket Mode or as a server, and a raw socket."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.contracts.slack_rig import HandClock
from tests.fakes.slack_people import Person
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Place

PING_SECONDS: Final = 0.1
WAIT_SECONDS: Final = 5.0


@dataclass
class Heard:
    """What reached the app: bodies, in their order. What it answers is set by the test."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    command_answer: Any = ""
    view_answer: dict[str, Any] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing is acknowledged before it is set."""
    fails: int = 0
    """So many events go wrong."""

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Bodies of an event, or of an interaction, of this type."""
        return [
            each for each in self.bodies if kind in (each.get("type"), (each.get("event") or {}).get("type"))
        ]

    @property
    def texts(self) -> list[str]:
        """Of the messages that were told."""
        return [each["event"].get("text", "") for each in self.of("message")]


@dataclass
class Rig:
    """Two people and the bot in a channel, and the app."""

    slack: SlackServer
    clock: HandClock
    heard: Heard
    app: AsyncApp
    general: Place
    ada: Person
    bob: Person
    session: aiohttp.ClientSession


def bolt(slack: SlackServer, heard: Heard, client: AsyncWebClient) -> AsyncApp:
    """An app that takes everything, and answers before the work is done, as ours does."""
    app = AsyncApp(
        client=client,
        signing_secret=slack.signing_secret,
        process_before_response=True,
        ignoring_self_events_enabled=False,
    )

    @app.middleware
    async def note(body: dict[str, Any], next: Any) -> None:  # noqa: A002 - bolt looks for the name
        heard.bodies.append(body)
        await heard.gate.wait()
        if heard.fails and "event" in body:
            heard.fails -= 1
            raise RuntimeError("not now")
        await next()

    @app.event({"type": "message"})
    async def message() -> None:
        pass

    @app.event("app_mention")
    async def mention() -> None:
        pass

    @app.event("reaction_added")
    async def reaction() -> None:
        pass

    @app.command("/roost")
    async def command(ack: AsyncAck) -> None:
        await ack(heard.command_answer)

    @app.action(re.compile(".*"))
    async def action(ack: AsyncAck) -> None:
        await ack()

    @app.view("form")
    async def view(ack: AsyncAck) -> None:
        await ack(**heard.view_answer)

    @app.view_closed("form")
    async def closed(ack: AsyncAck) -> None:
        await ack()

    @app.shortcut("ask_roost")
    async def shortcut(ack: AsyncAck) -> None:
        await ack()

    return app


@asynccontextmanager
async def standing(**settings: Any) -> AsyncIterator[Rig]:
    """Everything but the connection; the settings are SlackServer's."""
    clock = HandClock()
    async with SlackServer(clock=clock, **settings) as slack, aiohttp.ClientSession() as session:
        general = slack.channel("general")
        ada, bob = slack.person("Ada"), slack.person("Bob")
        slack.world.listeners, listeners = [], slack.world.listeners
        general.join(ada, bob)
        slack.world.listeners = listeners
        client = AsyncWebClient(slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
        heard = Heard()
        heard.gate.set()
        yield Rig(slack, clock, heard, bolt(slack, heard, client), general, ada, bob, session)


@asynccontextmanager
async def by_socket(rig: Rig, *, ping_seconds: float = PING_SECONDS) -> AsyncIterator[AsyncSocketModeHandler]:
    """One more connection of the app, by the library's own client."""
    handler = AsyncSocketModeHandler(rig.app, rig.slack.app_token, ping_interval=ping_seconds)
    before = rig.slack.hub.opened
    try:
        await handler.client.connect_to_new_endpoint()
        await rig.slack.until(lambda: rig.slack.hub.opened > before)
        yield handler
    finally:
        await handler.client.close()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def by_http(rig: Rig) -> AsyncIterator[str]:
    """The app as a server of the library's aiohttp adapter, to which Slack delivers."""

    async def handle(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await rig.app.async_dispatch(await to_bolt_request(request)))

    server = web.Application()
    server.router.add_post("/slack/events", handle)
    runner = web.AppRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
        rig.slack.by_http(url)
        yield url
    finally:
        await rig.slack.push.stop()
        await runner.cleanup()


@dataclass
class Raw:
    """A socket that answers only what the test answers."""

    socket: aiohttp.ClientWebSocketResponse
    hello: dict[str, Any]

    async def next(self) -> dict[str, Any]:
        """The next message. Raises TimeoutError."""
        async with asyncio.timeout(WAIT_SECONDS):
            told: dict[str, Any] = json.loads(await self.socket.receive_str())
            return told

    async def ack(self, envelope: dict[str, Any], payload: dict[str, Any] | None = None) -> None:
        """Acknowledges."""
        more = {"payload": payload} if payload is not None else {}
        await self.socket.send_json({"envelope_id": envelope["envelope_id"], **more})


async def address(rig: Rig) -> str:
    """Where a connection can be opened."""
    client = rig.app.client
    answer = await client.apps_connections_open(app_token=rig.slack.app_token)
    return str(answer["url"])


@asynccontextmanager
async def raw(rig: Rig) -> AsyncIterator[Raw]:
    """A raw connection, after its hello."""
    async with aiohttp.ClientSession() as session, session.ws_connect(await address(rig)) as socket:
        yield Raw(socket, json.loads(await socket.receive_str()))
