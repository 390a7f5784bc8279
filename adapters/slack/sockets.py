"""Sockets: Socket Mode by several connections, of which each event comes on any one.

A connection that Slack is about to end, or that has gone silent, is replaced by a new one before it is closed, so
that there is always one that listens. Slack's documentation, Using Socket Mode.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import aiohttp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from adapters.base import SendFailed
from adapters.slack.errors import TOKEN_ERRORS, error_of, translated
from adapters.slack.timing import Timing

TOO_MANY: Final = "too_many_websockets"
SWITCHED_OFF: Final = "link_disabled"
"""Reasons of a disconnect message."""
NO_HELLO: Final = "Slack has not said hello"
NO_SOCKETS: Final = (
    "Socket Mode is switched off, without which nothing is heard: switch on Enable Socket Mode (api.slack.com/apps,"
    " Socket Mode)."
)
APP_REFUSED: Final = (
    "Slack does not take the app-level token: generate one with the scope connections:write (api.slack.com/apps, Basic"
    " Information, App-Level Tokens), put it where [slack] says, and start Roost again."
)

Handle = Callable[["Socket", SocketModeRequest], Awaitable[None]]
_log = logging.getLogger("roost.slack")


class Counted(Protocol):
    """Whoever wants to know whether anybody listens."""

    def on_open(self) -> None:
        """A connection is there."""

    def on_closed(self, quiet_seconds: float) -> None:
        """A connection is gone, which had been quiet for so long."""

    def on_refused(self, reason: SendFailed) -> None:
        """None can be had now."""


class Socket(SocketModeClient):
    """One connection. The library pings it, and says by `connect_to_new_endpoint` that it is over; what then is for
    others to do: a client that connects anew by itself would close the old connection first."""

    def __init__(self, app_token: str, web_client: AsyncWebClient, handle: Handle, timing: Timing) -> None:
        super().__init__(app_token, web_client=web_client, ping_interval=timing.ping)
        self.over = asyncio.Event()
        self.hello = asyncio.Event()
        self.reason = ""
        self.heard_at = time.monotonic()
        self._timing = timing
        self.message_listeners.append(self._look)
        self._handle = handle
        self.socket_mode_request_listeners.append(self._request)

    @property
    def is_dead(self) -> bool:
        """Whether nothing can come any more: it was closed, or has gone silent."""
        return self.stale or self.current_session is None or self.current_session.closed

    async def begin(self) -> None:
        """Connects, and returns when Slack has said hello. Raises SendFailed."""
        try:
            async with asyncio.timeout(self._timing.call):
                with translated():
                    answer = await self.web_client.apps_connections_open(app_token=self.app_token)
                    self.wss_uri = str(answer["url"])
                    await self.connect()
                await self.hello.wait()
        except TimeoutError as exc:
            raise SendFailed(NO_HELLO, retry_after=0) from exc
        except SendFailed as exc:
            if error_of(exc) not in TOKEN_ERRORS | {"not_allowed_token_type"}:
                raise
            # Of the two tokens it is not the bot's.
            raise SendFailed(APP_REFUSED, retry_after=exc.retry_after) from exc.__cause__

    async def connect(self) -> None:
        """Once. Raises what aiohttp does: the library would try the same address for ever."""
        self.current_session = await self.aiohttp_client_session.ws_connect(
            self.wss_uri or "",
            autoping=False,
            heartbeat=self.ping_interval,
            proxy=self.proxy,
            ssl=self.web_client.ssl if self.web_client.ssl is not None else True,
        )
        self.current_session_monitor = asyncio.ensure_future(self.monitor_current_session())
        self.message_receiver = asyncio.ensure_future(self.receive_messages())

    async def receive_messages(self) -> None:
        """Whatever comes shows that the connection lives; the library would see its end only at the next ping."""
        session = self.current_session
        assert session is not None  # noqa: S101 - connect has set it
        async for message in session:
            self.heard_at = time.monotonic()
            # What the library looks at, to know a connection that has gone silent.
            self.last_ping_pong_time = time.time()
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    await self.enqueue_message(message.data)
                case aiohttp.WSMsgType.PING:
                    await session.pong(message.data)
                case _:
                    pass
        self.over.set()

    async def connect_to_new_endpoint(self, force: bool = False) -> None:
        """Called by the library when the connection is over, or is about to be."""
        self.over.set()

    async def close(self) -> None:
        """Whatever state it is in. The other end of a dead connection never says that it is closed."""
        self.closed = True
        self.over.set()
        tasks = [self.message_processor, self.current_session_monitor, self.message_receiver]
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)
        try:
            async with asyncio.timeout(self._timing.closing):
                if self.current_session is not None:
                    await self.current_session.close()
        except (TimeoutError, aiohttp.ClientError, OSError):
            _log.debug("a connection did not take its end")
        finally:
            await self.aiohttp_client_session.close()

    async def _request(self, _client: object, request: SocketModeRequest) -> None:
        try:
            await self._handle(self, request)
        except (ConnectionError, aiohttp.ClientError):
            # It was dealt with; Slack delivers it again, and it is known for what it is.
            _log.info("something was dealt with whose connection was gone before it could be acknowledged")

    async def _look(self, _client: object, message: dict[str, Any], _raw: str | None) -> None:
        if message.get("type") == "hello":
            self.hello.set()

    async def run_message_listeners(self, message: dict[str, Any], raw_message: str) -> None:
        """Called by the library for each message."""
        if message.get("type") == "disconnect":
            self.reason = str(message.get("reason", ""))
            _log.info("Slack wants a new connection: %s", self.reason)
        await super().run_message_listeners(message, raw_message)


class Sockets:
    """So many connections at once, until cancelled. `app_token` is asked for at each new one, and raises NoSecret."""

    def __init__(
        self,
        count: int,
        app_token: Callable[[], str],
        web_client: AsyncWebClient,
        handle: Handle,
        counted: Counted,
        timing: Timing,
    ) -> None:
        self._count = count
        self._app_token = app_token
        self._web_client = web_client
        self._handle = handle
        self._counted = counted
        self._timing = timing
        self._open: set[Socket] = set()

    async def run(self) -> None:
        """Raises NoSecret."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._count):
                    group.create_task(self._keep(number), name=f"slack socket {number}")
        except BaseExceptionGroup as exc:
            # Each of them has the same reason, and nobody waits for a group.
            raise exc.exceptions[0] from exc

    def replace(self) -> None:
        """All of them are open and say nothing: new ones."""
        for each in list(self._open):
            each.over.set()

    async def _keep(self, number: int) -> None:
        """One connection after the other."""
        await asyncio.sleep(number * self._timing.stagger)
        old: Socket | None = None
        wait = self._timing.again
        try:
            while True:
                if old is not None and old.reason == TOO_MANY:
                    await self._end(old)
                    old = None
                began = time.monotonic()
                try:
                    fresh = await self._begin()
                except SendFailed as exc:
                    self._counted.on_refused(exc)
                    await asyncio.sleep(max(wait, exc.retry_after or 0.0))
                    wait = min(self._timing.longest, wait * 2)
                    continue
                if old is not None:
                    await self._end(old)
                old = fresh
                await fresh.over.wait()
                if time.monotonic() - began > self._timing.longest:
                    wait = self._timing.again
                if fresh.reason == SWITCHED_OFF:
                    await self._end(fresh)
                    old = None
                    self._counted.on_refused(SendFailed(NO_SOCKETS, retry_after=None))
                    await asyncio.sleep(self._timing.mended)
                elif fresh.is_dead:
                    # Nobody listens there any more; one that is about to end does until there is a new one.
                    await self._end(fresh)
                    old = None
                    await asyncio.sleep(wait)
                    wait = min(self._timing.longest, wait * 2)
        finally:
            if old is not None:
                await self._end(old)

    async def _begin(self) -> Socket:
        socket = Socket(self._app_token(), self._web_client, self._handle, self._timing)
        try:
            await socket.begin()
        except BaseException:
            await socket.close()
            raise
        self._open.add(socket)
        self._counted.on_open()
        return socket

    async def _end(self, socket: Socket) -> None:
        if socket not in self._open:
            return
        self._open.discard(socket)
        self._counted.on_closed(time.monotonic() - socket.heard_at)
        await socket.close()
