"""One connection of an app to the fake Slack by Socket Mode, with what may be wrong with it, and what goes by it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import WSMsgType, web

from tests.fakes.slack_forms import Given

LOOK_SECONDS: Final = 0.02


@dataclass(frozen=True)
class Ack:
    """An acknowledgement: of which envelope, by which connection, and how long after the envelope was sent there."""

    envelope: str
    connection: int
    ms: float
    payload: dict[str, Any] | None = None


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
    sent: dict[int, float] = field(default_factory=dict)
    """When it went out by each connection, on a steady clock."""
    why: str = ""
    """What was the matter with the delivery before."""
    put_off: int = 0
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is acknowledged, or its connection is lost."""


@dataclass(eq=False)
class Connection:
    """A socket that is open. One that is `silent` answers nothing, not even a ping, and nothing comes by it, but TCP
    holds; one that is `deaf` answers, and is told no events. `number` counts from 1."""

    number: int
    socket: web.WebSocketResponse
    request: web.Request
    silent: bool = False
    deaf: bool = False
    envelopes: list[str] = field(default_factory=list)
    """What was sent by it, in that order."""
    pings: int = 0
    """Slack's."""
    answered: int = 0
    """Those of them that the app has answered."""
    asked: int = 0
    """Pings of the app's."""
    gone: bool = False

    async def tell(self, body: dict[str, Any]) -> None:
        """Sends a message, or loses it where the connection is silent. Raises ConnectionError, RuntimeError."""
        if not self.silent:
            await self.socket.send_json(body)

    def drop(self) -> None:
        """Cuts it, without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()

    async def end(self) -> None:
        """Closes it as Slack does when its time is over."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self.socket.close()

    async def listen(self, heard: Callable[[str], None], ping_seconds: float) -> None:
        """Hands on what the app sends, until either side ends it."""
        pinging = asyncio.create_task(self._ping(ping_seconds))
        try:
            async for message in self.socket:
                if self.silent:
                    continue
                match message.type:
                    case WSMsgType.PING:
                        self.asked += 1
                        # An app that was killed asks no more.
                        with contextlib.suppress(ConnectionError, RuntimeError):
                            await self.socket.pong(message.data)
                    case WSMsgType.PONG:
                        self.answered += 1
                    case WSMsgType.TEXT:
                        heard(message.data)
                    case _:
                        pass
            await self._part()
        finally:
            pinging.cancel()

    async def _part(self) -> None:
        """Answers the app's goodbye; a silent one does not, and is there until the app hangs up."""
        transport = self.request.transport
        while self.silent and transport is not None and not transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
        await self.end()

    async def _ping(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            if self.silent:
                continue
            try:
                await self.socket.ping(f"Ping from {self.number}".encode())
            except (ConnectionError, RuntimeError):
                return
            self.pings += 1
