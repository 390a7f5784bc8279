"""One connection to Discord's gateway: frames, compression, heartbeats, and what comes to pass when it is broken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from aiohttp import WSMessage, WSMsgType, web

from tests.fakes.discord_session import CloseCode, GatewaySession

MAX_PAYLOAD_BYTES: Final = 4096
"""A client that sends more is closed with 4002 (Discord's documentation, "Gateway", "Sending Events")."""
LATE_SECONDS: Final = 10.0
"""How much later than the interval a heartbeat may come."""
MINUTE_SECONDS: Final = 60.0
OVER: Final = (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR)


class Op:
    """The gateway's opcodes."""

    DISPATCH: Final = 0
    HEARTBEAT: Final = 1
    IDENTIFY: Final = 2
    PRESENCE_UPDATE: Final = 3
    VOICE_STATE_UPDATE: Final = 4
    RESUME: Final = 6
    RECONNECT: Final = 7
    REQUEST_GUILD_MEMBERS: Final = 8
    INVALID_SESSION: Final = 9
    HELLO: Final = 10
    HEARTBEAT_ACK: Final = 11
    REQUEST_SOUNDBOARD_SOUNDS: Final = 31


class Desk(Protocol):
    """Who deals with what a connection may ask."""

    def identified(self, socket: GatewaySocket, data: Any) -> None:
        """Op 2, of a connection that has no session."""

    def resumed(self, socket: GatewaySocket, data: Any) -> None:
        """Op 6, as above."""

    def members_asked(self, session: GatewaySession, data: Mapping[str, Any]) -> None:
        """Op 8."""

    def shut(self, socket: GatewaySocket, code: int) -> None:
        """The client has done what it is closed for."""

    def left(self, socket: GatewaySocket, code: int | None) -> None:
        """The connection has ended; its client may have said a code."""

    def changed(self) -> None:
        """Something was recorded."""


class GatewaySocket:
    """`session` is what it carries, once there is one."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        abort: Callable[[], None],
        desk: Desk,
        *,
        compressed: bool,
        heartbeat_seconds: float,
        commands_per_minute: int,
    ) -> None:
        self.session: GatewaySession | None = None
        self.address = ""
        """Where its client has connected to, without the query."""
        self.early_heartbeats: list[int | None] = []
        """Those that came before there was a session."""
        self._ws = ws
        self._abort = abort
        self._desk = desk
        self._zlib = zlib.compressobj() if compressed else None
        self._heartbeat_seconds = heartbeat_seconds
        self._commands_per_minute = commands_per_minute
        self._commands: deque[float] = deque()
        self._outbox: asyncio.Queue[Mapping[str, Any] | int] = asyncio.Queue()
        """Payloads, and the code with which it ends."""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._beaten = 0.0
        self._shut = False
        self._closing = False

    def send(self, payload: Mapping[str, Any]) -> None:
        """Sends as soon as what stands before it is sent."""
        self._outbox.put_nowait(payload)

    def say(self, op: int, data: Any = None) -> None:
        """Sends an op that is no dispatch."""
        self.send({"t": None, "s": None, "op": op, "d": data})

    def close(self, code: int) -> None:
        """Closes it after what was sent before; what its client says meanwhile counts for nothing."""
        self._shut = True
        self._outbox.put_nowait(code)

    def cut(self) -> None:
        """Ends the TCP connection without a word."""
        self._abort()
        self._flowing.set()

    def mute(self) -> None:
        """Nothing goes in either direction, and the connection stays open."""
        self._flowing.clear()

    def unmute(self) -> None:
        """What was held back goes on its way."""
        self._flowing.set()

    async def run(self) -> None:
        """Serves the connection to its end."""
        self.say(Op.HELLO, {"heartbeat_interval": int(self._heartbeat_seconds * 1000), "_trace": ["[]"]})
        writing = asyncio.create_task(self._write(), name="gateway writer")
        code = None
        try:
            code = await self._read()
        finally:
            if not self._closing:
                writing.cancel()
            self._desk.left(self, code)
            with contextlib.suppress(asyncio.CancelledError):
                await writing
        if code is not None:
            await self._ws.close(code=code)

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                item = await self._outbox.get()
                await self._flowing.wait()
                if isinstance(item, int):
                    self._closing = True
                    await self._ws.close(code=item)
                    return
                text = json.dumps(item, separators=(",", ":"))
                if self._zlib is None:
                    self._note(item)
                    await self._ws.send_str(text)
                else:
                    data = self._zlib.compress(text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
                    self._note(item)
                    await self._ws.send_bytes(data)

    def _note(self, payload: Mapping[str, Any]) -> None:
        if self.session is not None and payload["s"] is not None:
            self.session.written.append((payload["s"], time.monotonic()))

    async def _read(self) -> int | None:
        """Returns the code with which the client has closed, None where it has not."""
        clock = asyncio.get_running_loop().time
        self._beaten = clock()
        while True:
            message = await self._receive()
            if not self._flowing.is_set():
                await self._flowing.wait()
                self._beaten = clock()  # While it was muted it could not be heard.
            elif message is None:
                self._beaten = clock()
                self._desk.shut(self, CloseCode.SESSION_TIMED_OUT)
            if message is None:
                continue
            if message.type == WSMsgType.CLOSE:
                return int(message.data or 1000)
            if message.type in OVER:
                return None
            if not self._shut:
                self._take(message)

    async def _receive(self) -> WSMessage | None:
        """The next message; None where the heartbeat is overdue."""
        try:
            async with asyncio.timeout_at(self._beaten + self._heartbeat_seconds + LATE_SECONDS):
                return await self._ws.receive()
        except TimeoutError:
            return None

    def _take(self, message: WSMessage) -> None:
        try:
            payload = json.loads(message.data)
            op, data = payload["op"], payload.get("d")
        except (ValueError, TypeError, KeyError, AttributeError):
            return self._desk.shut(self, CloseCode.DECODE_ERROR)
        if len(message.data) > MAX_PAYLOAD_BYTES:
            return self._desk.shut(self, CloseCode.DECODE_ERROR)
        if self._too_many():
            return self._desk.shut(self, CloseCode.RATE_LIMITED)
        self._act(op, data)
        return self._desk.changed()

    def _act(self, op: Any, data: Any) -> None:
        if op == Op.HEARTBEAT:
            self._heartbeat(data)
        elif op in (Op.IDENTIFY, Op.RESUME) and self.session is not None:
            self._desk.shut(self, CloseCode.ALREADY_AUTHENTICATED)
        elif op == Op.IDENTIFY:
            self._desk.identified(self, data)
        elif op == Op.RESUME:
            self._desk.resumed(self, data)
        elif self.session is None:
            self._desk.shut(self, CloseCode.NOT_AUTHENTICATED)
        elif op == Op.PRESENCE_UPDATE:
            self.session.presences.append(data)
        elif op == Op.REQUEST_GUILD_MEMBERS:
            self.session.member_requests.append(data)
            self._desk.members_asked(self.session, data)
        elif op not in (Op.VOICE_STATE_UPDATE, Op.REQUEST_SOUNDBOARD_SOUNDS):
            self._desk.shut(self, CloseCode.UNKNOWN_OPCODE)

    def _heartbeat(self, seq: int | None) -> None:
        self._beaten = asyncio.get_running_loop().time()
        if self.session is None:
            self.early_heartbeats.append(seq)
        else:
            self.session.heartbeats.append(seq)
            self.session.acked = max(self.session.acked, seq or 0)
        self.say(Op.HEARTBEAT_ACK)

    def _too_many(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._commands.append(now)
        while self._commands[0] <= now - MINUTE_SECONDS:
            self._commands.popleft()
        return len(self._commands) > self._commands_per_minute
