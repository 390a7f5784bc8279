"""The ways in: slack-bolt's app, which reads and checks what Slack delivers, behind sockets or an HTTP server.

Slack is answered when the handler has returned, and not before; an event that cannot be taken in now is not
acknowledged, so that Slack delivers it again.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.normalize import Me
from adapters.slack.session import NO_PORT, NoPort
from adapters.slack.shapes import is_whole
from adapters.slack.sockets import Handle, Socket

COMMAND: Final = "/roost"
LARGEST_BODY_BYTES: Final = 4 * 1024 * 1024
"""Slack's own are far below."""
NOT_SLACKS: Final = "The request is not signed by Slack."
NOT_READ: Final = "The request cannot be read."
_ANY: Final = re.compile(r".*", re.DOTALL)
_log = logging.getLogger("roost.slack")
_library = logging.getLogger("roost.slack.bolt")

Body = Mapping[str, Any]


class NotTaken(Exception):
    """Raised when an event cannot be taken in now."""


class Heard(Protocol):
    """What is done about what Slack delivers. What some of these return is the answer that Slack shows the person."""

    async def on_event(self, body: Body) -> None:
        """Something has happened. Raises NotTaken."""

    async def on_command(self, body: Body) -> dict[str, Any] | None:
        """Somebody has given the slash command."""

    async def on_pressed(self, body: Body) -> None:
        """Somebody has pressed a button, or chosen from a menu."""

    async def on_entered(self, body: Body) -> dict[str, Any] | None:
        """Somebody has filled in a form."""

    async def on_typed(self, body: Body) -> list[dict[str, Any]]:
        """Somebody is typing into a field that offers something: what it offers."""

    async def on_shortcut(self, body: Body) -> None:
        """Somebody has chosen something from the menu of a message."""


def build(client: AsyncWebClient, me: Me, heard: Heard, *, signing_secret: str = "") -> AsyncApp:
    """The app that hands everything to `heard`. Without a secret it is for sockets alone."""

    async def authorize() -> AuthorizeResult:
        # One workspace, whose bot is known: the library would ask Slack for it.
        return AuthorizeResult(
            enterprise_id=None, team_id=me.team, bot_user_id=me.user, bot_id=me.bot, bot_token=client.token
        )

    # It warns of a token in the environment, which is ours, and of events that nobody has asked for.
    _library.setLevel(logging.ERROR)
    app = AsyncApp(
        # The library gives a logger of this name the level of its own.
        name=_library.name,
        logger=_library,
        client=client,
        authorize=authorize,
        signing_secret=signing_secret,
        process_before_response=True,
        request_verification_enabled=True,
        # What the bot has said itself is told apart by us, where edits of it matter as well.
        ignoring_self_events_enabled=False,
        attaching_function_token_enabled=False,
        attaching_conversation_kwargs_enabled=False,
    )

    async def event(body: dict[str, Any]) -> None:
        await heard.on_event(body)

    async def command(body: dict[str, Any], ack: AsyncAck) -> None:
        await ack(await heard.on_command(body) or "")

    async def pressed(body: dict[str, Any], ack: AsyncAck) -> None:
        await ack()
        await heard.on_pressed(body)

    async def entered(body: dict[str, Any], ack: AsyncAck) -> None:
        answer = await heard.on_entered(body)
        await (ack(**answer) if answer else ack())

    async def typed(body: dict[str, Any], ack: AsyncAck) -> None:
        await ack(options=await heard.on_typed(body))

    async def shortcut(body: dict[str, Any], ack: AsyncAck) -> None:
        await ack()
        await heard.on_shortcut(body)

    app.event(_ANY)(event)
    app.command(COMMAND)(command)
    app.action(_ANY)(pressed)
    app.view(_ANY)(entered)
    app.options(_ANY)(typed)
    app.shortcut(_ANY)(shortcut)
    app.error(_failed)
    return app


async def _failed(error: Exception) -> None:
    """The library answers 500, and Slack delivers it again."""
    if isinstance(error, NotTaken):
        _log.warning("an event of Slack's is not taken in now, and comes again: %s", error)
    else:
        _log.error("an event of Slack's could not be dealt with", exc_info=error)


def by_socket(app: AsyncApp) -> Handle:
    """What a socket does with a request: the app's answer is the acknowledgement."""

    async def handle(socket: Socket, request: SocketModeRequest) -> None:
        began = time.time()
        if not is_whole(request.payload):
            _log.warning("what Slack has delivered cannot be read, and is let be")
            await socket.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
            return
        await send_async_response(socket, request, await run_async_bolt_app(app, request), began)

    return handle


def by_http(app: AsyncApp, path: str, *, signing_secret: str) -> web.Application:
    """A server's part that takes signed requests at `path`, and nothing else."""
    verifier = SignatureVerifier(signing_secret)

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        # The library reads what it is given before it looks who has signed it, and breaks at what it cannot read.
        if not _is_signed(verifier, body, request.headers):
            return web.Response(status=401, text=NOT_SLACKS)
        try:
            given: AsyncBoltRequest | None = AsyncBoltRequest(
                body=body.decode(), headers=dict(request.headers)
            )
        except (ValueError, AttributeError, TypeError, RecursionError):
            given = None
        if given is None or not is_whole(given.body):
            # Slack would deliver what is refused again, and it would be no better then.
            _log.warning("a signed request cannot be read, and is let be")
            return web.Response(text=NOT_READ)
        return await to_aiohttp_response(await app.async_dispatch(given))

    server = web.Application(client_max_size=LARGEST_BODY_BYTES)
    server.router.add_post(path, handle)
    return server


def _is_signed(verifier: SignatureVerifier, body: bytes, headers: Mapping[str, str]) -> bool:
    """Slack's documentation, Verifying requests from Slack: no more than five minutes ago."""
    at, signature = headers.get("X-Slack-Request-Timestamp", ""), headers.get("X-Slack-Signature", "")
    try:
        return bool(at and signature) and verifier.is_valid(body, at, signature)
    except (ValueError, TypeError):
        # A time that is no number, a signature that is not ASCII, a body that is no text.
        return False


async def serve(
    server: web.Application, host: str, port: int, forever: Callable[[], Awaitable[None]]
) -> None:
    """Listens while `forever` runs. Raises NoPort."""
    runner = web.AppRunner(server, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as exc:
            reason = (exc.strerror or str(exc)).rpartition(": ")[2]
            raise NoPort(NO_PORT.format(reason=f"{host}:{port}: {reason}")) from exc
        await forever()
    finally:
        await runner.cleanup()
