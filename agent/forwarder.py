"""The runner's end of the gateway: what connects to a port on loopback is handed on to the session's socket.

A container has no network: a model's client and whatever else speaks HTTP finds this port, and the host's socket behind
it decides. The forwarder understands nothing of what passes, holds no secret, and need not be trusted by anybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from agent.protocol.workspace import socket_address

ADDRESS: Final = "127.0.0.1"
MAX_CONNECTIONS: Final = 20
"""As many as the gateway takes of one session; the others wait to be let in."""
BACKLOG: Final = 64
FIRST_SECONDS: Final = 5.0
"""How long to wait for the first words of somebody who cannot be connected."""
LINGER_SECONDS: Final = 0.2
STEADY_SECONDS: Final = 60.0
"""A port that has worked for this long fails for the first time."""
RESTART_SECONDS: Final = (0.05, 0.5, 2.0, 10.0)
"""Before the port is opened again; the last of them again and again."""
_REQUEST: Final = re.compile(rb"[A-Z]{3,12} \S")
_ABSENT_BODY: Final = (
    b'{"type":"error","error":{"type":"api_error","message":"The gateway is not there at the moment."}}'
)
ABSENT: Final = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%b" % (len(_ABSENT_BODY), _ABSENT_BODY)
)

_log = logging.getLogger("roost.forwarder")


class Forwarder:
    """Listens on `port` of loopback, 0 for any free one, and forwards to the unix socket `target`."""

    def __init__(self, target: Path, port: int) -> None:
        self._target = target
        self._listener: socket.socket | None = None
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._open: set[asyncio.Transport] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = port
        """The one that is listened on, once that is so."""

    def listen(self) -> None:
        """Opens the port. Raises OSError."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((ADDRESS, self.port))
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        self._listener = listener

    async def run(self) -> None:
        """Forwards until cancelled. A port that fails is opened again, and the connections that there are go on."""
        loop = asyncio.get_running_loop()
        failures = 0
        try:
            while True:
                began = loop.time()
                try:
                    await self._serve()
                except OSError as exc:
                    _log.error("the port of the forwarder failed and is opened again: %s", exc.strerror)
                self._close_listener()
                failures = 0 if loop.time() - began > STEADY_SECONDS else failures
                await asyncio.sleep(RESTART_SECONDS[min(failures, len(RESTART_SECONDS) - 1)])
                failures += 1
        finally:
            await self._close()

    async def _serve(self) -> None:
        if self._listener is None:
            self.listen()
        await self._accept(cast(socket.socket, self._listener))

    async def _accept(self, listener: socket.socket) -> None:
        """Raises OSError when the port is of no use any more."""
        loop = asyncio.get_running_loop()
        while True:
            await self._room.acquire()
            try:
                connection, _ = await loop.sock_accept(listener)
            except BaseException:
                self._room.release()
                raise
            task = loop.create_task(self._connect(connection), name="forwarder connection")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        near, far = _End(self._near_lost), _End()
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(lambda: near, connection)
        except BaseException as exc:
            connection.close()
            self._room.release()
            if isinstance(exc, OSError):
                return
            raise
        self._open.add(near.transport)
        try:
            with socket_address(self._target) as address:
                await loop.create_unix_connection(lambda: far, address)
        except OSError as exc:
            _log.warning("the gateway cannot be reached: %s", exc.strerror)
            await _apologise(near)
        else:
            near.join(far)

    def _near_lost(self, end: _End) -> None:
        self._open.discard(end.transport)
        self._room.release()

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    async def _close(self) -> None:
        self._close_listener()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for transport in list(self._open):
            transport.abort()


class _End(asyncio.Protocol):
    """One of the two ends of a connection: hands what it reads to the other, and reads next to nothing before it has
    one."""

    transport: asyncio.Transport

    def __init__(self, on_lost: Callable[[_End], None] | None = None) -> None:
        self._on_lost = on_lost
        self._peer: _End | None = None
        self._ended = False
        self.early = b""
        self.spoke = asyncio.Event()
        """Set once something was said, or nothing will be any more."""

    def join(self, peer: _End) -> None:
        """From now on bytes pass in both directions."""
        self._peer, peer._peer = peer, self
        for here, there in ((self, peer), (peer, self)):
            if here.early:
                there.transport.write(here.early)
                here.early = b""
            if here.transport.is_closing():
                there.transport.close()
            here.transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self._peer is not None:
            self._peer.transport.write(data)
        else:
            self.early += data
            self.spoke.set()
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The other direction may go on; once both have ended, so does the connection."""
        self._ended = True
        peer = self._peer
        if peer is None:
            return False
        if not peer.transport.is_closing():
            peer.transport.write_eof()
        if peer._ended:
            peer.transport.close()
            return False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._peer is not None:
            self._peer.transport.close()
        self.spoke.set()
        if self._on_lost is not None:
            self._on_lost(self)

    def pause_writing(self) -> None:
        if self._peer is not None:
            self._peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._peer is not None:
            self._peer.transport.resume_reading()


async def _apologise(end: _End) -> None:
    """Answers what looks like HTTP and hangs up."""
    end.transport.resume_reading()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_SECONDS):
            await end.spoke.wait()
    if _REQUEST.match(end.early) and not end.transport.is_closing():
        end.transport.write(ABSENT)
        # Whatever is still on its way would turn the answer into a reset.
        end.transport.write_eof()
        end.transport.resume_reading()
        await asyncio.sleep(LINGER_SECONDS)
    end.transport.close()
