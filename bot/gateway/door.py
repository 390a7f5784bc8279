"""The socket of one session: who comes in, how many and how fast, and whether HTTP or a tunnel is wanted.

What comes in is parsed strictly by aiohttp's parser (llhttp), but for CONNECT, which has one of its own. A connection
speaks either for its whole life.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from agent.protocol.pace import Bucket
from agent.protocol.workspace import listening_socket
from bot import log
from bot.gateway.caller import Caller
from bot.gateway.connect import METHOD
from bot.gateway.messages import Messages, refused
from bot.gateway.refusals import Refusal
from bot.gateway.tunnel import HEAD_SECONDS, Tunnel, response

MAX_CONNECTIONS: Final = 20
"""Of one session, see docs/session-protocol.md."""
MAX_WAITING_CONNECTIONS: Final = 16
CONNECTIONS_A_SECOND: Final = 20.0
"""In the long run, after the first few: each costs the host something, whatever is said in it."""
FIRST_CONNECTIONS: Final = 100
KEEPALIVE_SECONDS: Final = 900.0
LINGER_SECONDS: Final = 2.0
REFUSED_SECONDS: Final = 0.2
CLOSE_SECONDS: Final = 1.0
STREAM_BYTES: Final = 64 * 1024
MAX_HEADERS: Final = 64
MAX_FIELD_BYTES: Final = 8 * 1024

_log = log.get("roost.gateway")


class Door:
    """Listens on the socket at `path` for as long as it is open."""

    def __init__(self, path: Path, caller: Caller, messages: Messages, tunnel: Tunnel) -> None:
        self._path = path
        self._caller = caller
        self._tunnel = tunnel
        self._server = web.Server(self._answer, handler_cancellation=True)
        self._messages = messages
        self._pace = Bucket(a_second=CONNECTIONS_A_SECOND, at_once=FIRST_CONNECTIONS)
        self._inside: set[asyncio.Transport] = set()
        self._tunnels: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    @property
    def caller(self) -> Caller:
        """Who comes in here."""
        return self._caller

    def open(self) -> asyncio.Task[None]:
        """Binds the socket anew, 0666 within its 0711 folder, and returns what takes in whoever comes: it ends with
        the door, and never before. Raises OSError."""
        listener = listening_socket(self._path, backlog=MAX_WAITING_CONNECTIONS)
        self._listener = listener
        name = f"gateway of {self._caller.session}"
        self._accepting = asyncio.create_task(self._accept(listener), name=name)
        return self._accepting

    async def close(self) -> None:
        """Stops listening and hangs up; requests under way are cut off. Twice is fine."""
        if self._listener is None or self._accepting is None:
            return
        listener, self._listener = self._listener, None
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        listener.close()
        self._path.unlink(missing_ok=True)
        tunnels = list(self._tunnels)
        for each in tunnels:
            each.cancel()
        for transport in list(self._inside):
            transport.abort()
        await self._server.shutdown(CLOSE_SECONDS)
        await asyncio.gather(*tunnels, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        """Takes what connects, no faster than is allowed: the others wait where they are."""
        loop = asyncio.get_running_loop()
        while True:
            while wait := self._pace.take():  # noqa: ASYNC110  # the time comes by itself
                await asyncio.sleep(wait)
            try:
                connection, _ = await loop.sock_accept(listener)
                await loop.connect_accepted_socket(lambda: _Entrance(self), connection)
            except OSError as exc:
                _log.warning(
                    "a connection cannot be answered: %s", exc.strerror, session=self._caller.session
                )
                await asyncio.sleep(1)

    # ---------------------------------------------------------------- what _Entrance and _Requests tell it

    def came(self, transport: asyncio.Transport) -> bool:
        """Whether there is room for it; else it is told so."""
        if len(self._inside) < MAX_CONNECTIONS:
            self._inside.add(transport)
            return True
        refusal = Refusal(
            503,
            "overloaded_error",
            f"A conversation may have {MAX_CONNECTIONS} connections at once.",
            reason="connections",
        )
        self._caller.refusals.note(refusal, "")
        transport.write(response(refusal))
        # Whoever still writes would be told of a reset instead.
        transport.write_eof()
        asyncio.get_running_loop().call_later(REFUSED_SECONDS, transport.abort)
        return False

    def left(self, transport: asyncio.BaseTransport | None) -> None:
        """Makes room."""
        if isinstance(transport, asyncio.Transport):
            self._inside.discard(transport)

    def began(self, transport: asyncio.Transport, first: bytes, deadline: asyncio.TimerHandle) -> None:
        """It says what it wants."""
        if first.startswith(METHOD):
            deadline.cancel()
            self._begin_tunnel(transport, first)
            return
        requests = _Requests(self, self._server, deadline)
        transport.set_protocol(requests)
        requests.connection_made(transport)
        requests.data_received(first)

    def malformed(self, what: str) -> Refusal:
        """Notes HTTP that is none."""
        refusal = Refusal(
            400, "invalid_request_error", "The request is malformed.", reason="http", detail=what
        )
        self._caller.refusals.note(refusal, "")
        return refusal

    def failed(self, exc: BaseException | None) -> None:
        """A request has met a mistake of ours."""
        _log.error("a request failed", session=self._caller.session, exc_info=exc)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        protocol = request.protocol
        if isinstance(protocol, _Requests):
            protocol.deadline.cancel()
        return await self._messages.handle(self._caller, request)

    def _begin_tunnel(self, transport: asyncio.Transport, first: bytes) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=STREAM_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(first)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        task = loop.create_task(
            self._serve_tunnel(transport, reader, writer), name=f"tunnel of {self._caller.session}"
        )
        self._tunnels.add(task)
        task.add_done_callback(self._tunnel_ended)

    async def _serve_tunnel(
        self, transport: asyncio.Transport, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await self._tunnel.serve(self._caller, reader, writer, others=len(self._tunnels) - 1)
        finally:
            # What was written still arrives, unless nobody takes it.
            transport.close()
            self.left(transport)

    def _tunnel_ended(self, task: asyncio.Task[None]) -> None:
        self._tunnels.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            self.failed(exc)


class _Entrance(asyncio.Protocol):
    """A connection until its first bytes say what it is."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._first = b""
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._door.came(self._transport):
            self._deadline = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            return
        self._first += data
        if len(self._first) >= len(METHOD) or not METHOD.startswith(self._first):
            self._door.began(self._transport, self._first, self._deadline)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._door.left(self._transport)


class _Requests(RequestHandler):
    """A connection with requests in it. `deadline` ends it unless the first of them comes in time."""

    __slots__ = ("_door", "_inside", "deadline")

    def __init__(self, door: Door, server: web.Server, deadline: asyncio.TimerHandle) -> None:
        options: dict[str, Any] = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": KEEPALIVE_SECONDS,
            "lingering_time": LINGER_SECONDS,
            "max_field_size": MAX_FIELD_BYTES,
            "max_headers": MAX_HEADERS,
            "max_line_size": MAX_FIELD_BYTES,
            "tcp_keepalive": False,
        }
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._door = door
        self._inside: asyncio.BaseTransport | None = None
        self.deadline = deadline

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inside = transport
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.deadline.cancel()
        self._door.left(self._inside)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What was no request, or met a mistake of ours, in a form that a model's client understands."""
        if status == 400:
            refusal = self._door.malformed("it is no well-formed HTTP")
        else:
            self._door.failed(exc)
            refusal = Refusal(500, "api_error", "The gateway has failed.", reason="http")
        return refused(refusal)
