"""Socket Mode in the fake Slack: several connections of one app, and each envelope to any one of them.

What is not acknowledged in time, or was under way on a connection that broke, is delivered again on whichever is there.
Slack's documentation, Using Socket Mode.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from tests.fakes.slack_calls import Call
from tests.fakes.slack_connections import Ack, Connection, Envelope
from tests.fakes.slack_interactions import Given
from tests.fakes.slack_later import RETRY_SECONDS, Later
from tests.fakes.slack_refusals import Refused

MAX_CONNECTIONS: Final = 10
TICKET_SECONDS: Final = 30.0
ACK_SECONDS: Final = 3.0
PING_SECONDS: Final = 10.0
CONNECTION_SECONDS: Final = 18_060
"""For how long a connection lasts, as Slack's hello has it."""
DELIVERIES: Final = 4
"""The first and three more, for an event; commands and interactions are delivered once more."""


class Hub:
    """The connections of the app. `choose` picks the one that an envelope goes to, of those that can be told."""

    def __init__(
        self,
        changed: Callable[[], None],
        *,
        ack_seconds: float = ACK_SECONDS,
        ping_seconds: float = PING_SECONDS,
        later: Later | None = None,
    ) -> None:
        self.connections: list[Connection] = []
        self.opened = 0
        """How many there have been."""
        self.turned_away = 0
        """Those that were one too many, or had no good ticket."""
        self.envelopes: list[Envelope] = []
        self.acks: list[Ack] = []
        """Every one that came, in that order, the second of an envelope as well."""
        self.past: list[Connection] = []
        self.url = ""
        self.app_id = "A0TEST"
        self.refuses = ""
        """The error by which no connection is given out."""
        self.says_hello = True
        self.next: Connection | None = None
        """The one that the next envelope goes to."""
        self.choose: Callable[[list[Connection]], Connection] = lambda those: those[-1]
        self.ticket_seconds = TICKET_SECONDS
        self._changed = changed
        self._ack_seconds = ack_seconds
        self._ping_seconds = ping_seconds
        self._later = later if later is not None else Later()
        self._by_id: dict[str, Envelope] = {}
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
        return {"url": f"{self.url}?ticket={ticket}&app_id={self.app_id}"}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection, for as long as it lasts."""
        began = self._tickets.pop(request.query.get("ticket", ""), None)
        if began is None or time.monotonic() - began > self.ticket_seconds:
            self.turned_away += 1
            return web.Response(status=403)
        socket = web.WebSocketResponse(autoping=False, autoclose=False)
        await socket.prepare(request)
        if len(self.connections) >= MAX_CONNECTIONS:
            self.turned_away += 1
            await socket.send_json(_goodbye("too_many_websockets"))
            await socket.close()
            return socket
        self.opened += 1
        connection = Connection(self.opened, socket, request)
        try:
            if self.says_hello:
                await socket.send_json(self._hello())
            self.connections.append(connection)
            self._changed()
            await connection.listen(lambda text: self._heard(connection, text), self._ping_seconds)
        finally:
            self._lost(connection)
        return socket

    @property
    def pongs(self) -> int:
        """How many pings of the app's were answered."""
        return sum(each.asked for each in [*self.connections, *self.past])

    def shuffle(self, seed: int) -> None:
        """Envelopes go to any connection from now on, the same for the same seed."""
        self.choose = random.Random(seed).choice

    async def disconnect(
        self, reason: str = "refresh_requested", *, connection: Connection | None = None, closes: bool = False
    ) -> None:
        """Tells one connection, or all, that it is about to end; ends it as well where it `closes`. A "warning" comes
        about ten seconds before."""
        for each in [connection] if connection else list(self.connections):
            await each.tell(_goodbye(reason))
            if closes:
                await each.end()

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

    def _hello(self) -> dict[str, Any]:
        return {
            "type": "hello",
            "num_connections": len(self.connections) + 1,
            "debug_info": {
                "host": "applink-fake",
                "build_number": 1,
                "approximate_connection_time": CONNECTION_SECONDS,
            },
            "connection_info": {"app_id": self.app_id},
        }

    def _lost(self, connection: Connection) -> None:
        connection.gone = True
        self.past.append(connection)
        if connection in self.connections:
            self.connections.remove(connection)
        for each in self.envelopes:
            if connection.number in each.sent:
                each.stirred.set()
        self._changed()

    def _heard(self, connection: Connection, text: str) -> None:
        told = json.loads(text)
        envelope = self._by_id.get(told.get("envelope_id"))
        if envelope is None:
            return
        now, answer = time.monotonic(), told.get("payload")
        ms = (now - envelope.sent.get(connection.number, now)) * 1000
        self.acks.append(Ack(envelope.id, connection.number, ms, answer))
        if envelope.acked is None:
            envelope.acked, envelope.answer = now - envelope.began, answer
            if envelope.given is not None:
                envelope.given.answered(answer)
        envelope.over.set()
        envelope.stirred.set()
        self._changed()

    # ---------------------------------------------------------------- envelopes

    def event(self, body: dict[str, Any]) -> None:
        """Delivers an event."""
        self.deliver("events_api", body, None)

    def deliver(self, kind: str, payload: dict[str, Any], given: Given | None) -> Envelope:
        """Delivers something, until it is acknowledged or was tried often enough."""
        envelope = Envelope(f"envelope{len(self.envelopes) + 1}", kind, payload, given)
        self.envelopes.append(envelope)
        self._by_id[envelope.id] = envelope
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
            connection = self._chosen()
            if connection is None:
                self._put_off(envelope)
                return
            envelope.stirred.clear()
            try:
                await self._send(connection, envelope)
            except (ConnectionError, RuntimeError):
                continue
            await self._until_acked(connection, envelope)
        if not envelope.over.is_set() and envelope.given is not None:
            envelope.given.fail()
            self._changed()

    def _chosen(self) -> Connection | None:
        heard = [each for each in self.connections if not each.deaf and not each.socket.closed]
        chosen, self.next = self.next, None
        if chosen in heard:
            return chosen
        return self.choose(heard) if heard else None

    def _put_off(self, envelope: Envelope) -> None:
        """Nobody listens: an event comes again at the times of every retry, a person is told that it went wrong."""
        waits = RETRY_SECONDS[1:]
        if envelope.given is not None:
            envelope.given.fail()
            self._changed()
        elif envelope.put_off < len(waits):
            wait = waits[envelope.put_off]
            envelope.put_off += 1
            envelope.tries += 1
            envelope.why = "connection_failed"
            self._later.put(wait, lambda: self._see_through(envelope))

    async def _until_acked(self, connection: Connection, envelope: Envelope) -> None:
        until = time.monotonic() + self._ack_seconds
        while not envelope.over.is_set() and not connection.gone:
            envelope.stirred.clear()
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    await envelope.stirred.wait()
            except TimeoutError:
                envelope.why = "timeout"
                return
        if not envelope.over.is_set():
            envelope.why = "connection_failed"

    async def _send(self, connection: Connection, envelope: Envelope) -> None:
        """Raises ConnectionError, RuntimeError."""
        body: dict[str, Any] = {
            "envelope_id": envelope.id,
            "type": envelope.kind,
            "payload": envelope.payload,
            "accepts_response_payload": envelope.kind != "events_api",
        }
        if envelope.kind == "events_api":
            body |= {"retry_attempt": envelope.tries, "retry_reason": envelope.why if envelope.tries else ""}
        envelope.tries += 1
        envelope.began = envelope.began or time.monotonic()
        envelope.sent[connection.number] = time.monotonic()
        connection.envelopes.append(envelope.id)
        await connection.tell(body)


def _goodbye(reason: str) -> dict[str, Any]:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-fake"}}
