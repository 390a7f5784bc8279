"""Socket Mode in the fake Slack: several connections of one app, and each envelope to any one of them.

What is not acknowledged in time, or was under way on a connection that broke, is delivered again on whichever is there.
Slack's documentation, Using Socket Mode.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import WSMsgType, web

from tests.fakes.slack_calls import Call
from tests.fakes.slack_interactions import Given
from tests.fakes.slack_refusals import Refused

MAX_CONNECTIONS: Final = 10
TICKET_SECONDS: Final = 30.0
ACK_SECONDS: Final = 3.0
DELIVERIES: Final = 4
"""The first and three more, for an event; commands and interactions are delivered once more."""


@dataclass(eq=False)
class Connection:
    """One socket. One that is `silent` answers nothing, not even a ping; one that is `deaf` is told no events."""

    number: int
    socket: web.WebSocketResponse
    request: web.Request
    silent: bool = False
    deaf: bool = False
    envelopes: list[str] = field(default_factory=list)

    def drop(self) -> None:
        """Cuts it, without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()


@dataclass(eq=False)
class Envelope:
    """Something that was delivered. `acked` is how many seconds after the first delivery it was acknowledged."""

    id: str
    kind: str
    payload: dict[str, Any]
    given: Given | None
    tries: int = 0
    acked: float | None = None
    answer: dict[str, Any] | None = None
    began: float = 0.0
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Hub:
    """The connections of the app. `choose` picks the one that an envelope goes to, of those that can be told."""

    def __init__(self, changed: Callable[[], None], *, ack_seconds: float = ACK_SECONDS) -> None:
        self.connections: list[Connection] = []
        self.opened = 0
        self.envelopes: list[Envelope] = []
        self.pongs = 0
        self.url = ""
        self.refuses = ""
        """The error by which no connection is given out."""
        self.choose: Callable[[list[Connection]], Connection] = lambda those: those[-1]
        self._changed = changed
        self._ack_seconds = ack_seconds
        self._tickets: dict[str, float] = {}
        self._numbers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    # ---------------------------------------------------------------- connections

    def open(self, _call: Call) -> dict[str, Any]:
        """apps.connections.open: an address that is good once. Raises Refused."""
        if self.refuses:
            raise Refused(self.refuses)
        self._numbers += 1
        ticket = f"ticket{self._numbers}"
        self._tickets[ticket] = time.monotonic()
        return {"url": f"{self.url}?ticket={ticket}"}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection, for as long as it lasts."""
        began = self._tickets.pop(request.query.get("ticket", ""), None)
        if began is None or time.monotonic() - began > TICKET_SECONDS:
            return web.Response(status=403)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        connection = Connection(self._numbers, socket, request)
        if len(self.connections) >= MAX_CONNECTIONS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        hello = {
            "type": "hello",
            "num_connections": len(self.connections) + 1,
            "debug_info": {"host": "fake", "approximate_connection_time": 18_060},
            "connection_info": {"app_id": "A0TEST"},
        }
        await socket.send_json(hello)
        self.connections.append(connection)
        self.opened += 1
        self._changed()
        try:
            await self._listen(connection)
        finally:
            self.connections.remove(connection)
            self._changed()
        return socket

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.socket:
            if connection.silent:
                continue
            if message.type is WSMsgType.PING:
                self.pongs += 1
                await connection.socket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._answered(json.loads(message.data))

    def _answered(self, told: dict[str, Any]) -> None:
        envelope = next((each for each in self.envelopes if each.id == told.get("envelope_id")), None)
        if envelope is None or envelope.acked is not None:
            return
        envelope.acked = time.monotonic() - envelope.began
        envelope.answer = told.get("payload")
        if envelope.given is not None:
            envelope.given.answered(envelope.answer)
        envelope.over.set()
        self._changed()

    async def disconnect(
        self, reason: str = "refresh_requested", *, connection: Connection | None = None
    ) -> None:
        """Tells one connection, or all, that it is about to end."""
        for each in [connection] if connection else list(self.connections):
            await each.socket.send_json(
                {"type": "disconnect", "reason": reason, "debug_info": {"host": "fake"}}
            )

    def drop_all(self) -> None:
        """Cuts every connection."""
        for each in list(self.connections):
            each.drop()

    async def stop(self) -> None:
        """Ends everything."""
        self._stopping = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.drop_all()

    # ---------------------------------------------------------------- envelopes

    def event(self, body: dict[str, Any]) -> None:
        """Delivers an event."""
        self.deliver("events_api", body, None)

    def deliver(self, kind: str, payload: dict[str, Any], given: Given | None) -> Envelope:
        """Delivers something, until it is acknowledged or was tried often enough."""
        envelope = Envelope(f"envelope{len(self.envelopes) + 1}", kind, payload, given)
        self.envelopes.append(envelope)
        self.again(envelope)
        return envelope

    def again(self, envelope: Envelope) -> None:
        """Delivers it once more from the beginning, acknowledged or not."""
        envelope.over.clear()
        envelope.tries = 0
        task = asyncio.create_task(self._see_through(envelope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def twice(self, envelope: Envelope) -> None:
        """The same on each of two connections, at once."""
        for each in self.connections[:2]:
            await self._send(each, envelope)

    async def _see_through(self, envelope: Envelope) -> None:
        most = DELIVERIES if envelope.kind == "events_api" else 2
        while envelope.tries < most and not envelope.over.is_set() and not self._stopping:
            heard = [each for each in self.connections if not each.deaf and not each.socket.closed]
            if not heard:
                # To an app that listens nowhere nothing is delivered, and nothing is kept for it.
                return
            connection = self.choose(heard)
            try:
                await self._send(connection, envelope)
            except (ConnectionError, RuntimeError):
                continue
            await self._until_acked(connection, envelope)

    async def _until_acked(self, connection: Connection, envelope: Envelope) -> None:
        until = time.monotonic() + self._ack_seconds
        while not envelope.over.is_set() and (left := until - time.monotonic()) > 0:
            if connection not in self.connections:
                return
            try:
                async with asyncio.timeout(min(left, 0.05)):
                    await envelope.over.wait()
            except TimeoutError:
                continue

    async def _send(self, connection: Connection, envelope: Envelope) -> None:
        body: dict[str, Any] = {
            "envelope_id": envelope.id,
            "type": envelope.kind,
            "payload": envelope.payload,
            "accepts_response_payload": envelope.kind != "events_api",
        }
        if envelope.kind == "events_api":
            body |= {"retry_attempt": envelope.tries, "retry_reason": "timeout" if envelope.tries else ""}
        envelope.tries += 1
        envelope.began = envelope.began or time.monotonic()
        connection.envelopes.append(envelope.id)
        await connection.socket.send_json(body)
