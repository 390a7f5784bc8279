"""The bell: "look now", over one unix socket per session.

Rows are the truth; a lost frame costs latency and never data. The host listens, the agent connects and
reconnects. A frame is one line of JSON of at most MAX_FRAME_BYTES. Both ends validate every frame, and
the host drops a connection that rings out of tune: what is at the other end may be an attacker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from agent.protocol.messages import Frozen, Id
from agent.protocol.pace import Bucket, Pace
from agent.protocol.workspace import listening_socket, socket_address

MAX_FRAME_BYTES: Final = 64 * 1024
MAX_LIVE_CHARS: Final = 4_096
"""Live text in one frame; JSON may need six bytes, in the worst case twelve, for a character."""
MAX_CONNECTIONS: Final = 2
MAX_WAITING_CONNECTIONS: Final = 4
MAX_CONNECTIONS_A_SECOND: Final = 5.0
"""In the long run, after the first few. An honest agent stays connected, and a new one takes a while to start."""
FIRST_CONNECTIONS: Final = 10
MAX_FRAMES_A_SECOND: Final = 500
"""Of one connection. An honest agent bunches what it has to say."""
_LIVE_BACKLOG_BYTES: Final = 16 * MAX_FRAME_BYTES
_BACKLOG_BYTES: Final = 2 * _LIVE_BACKLOG_BYTES
"""What a host that does not read is kept: live text gives way long before a Changed does."""
WARNING_SECONDS: Final = 60.0
RECONNECT_SECONDS: Final = (0.02, 0.1, 0.5, 2.0)

_log = logging.getLogger("roost.bell")


class Changed(Frozen):
    """Either way: the file that I write has something new for you."""

    frame: Literal["changed"] = "changed"


class CloseInbound(Frozen):
    """Host to agent: close inbound.db and answer Quiet, you are about to be paused."""

    frame: Literal["close_inbound"] = "close_inbound"


class InterruptTurn(Frozen):
    """Host to agent: stop this turn, or whichever runs."""

    frame: Literal["interrupt"] = "interrupt"
    turn_id: Id | None = None


class Leave(Frozen):
    """Host to agent: take on nothing more, answer what you work on, and end: others wait for your place."""

    frame: Literal["leave"] = "leave"


class Quiet(Frozen):
    """Agent to host: inbound.db is closed; or busy: a turn runs and nothing was closed."""

    frame: Literal["quiet"] = "quiet"
    busy: bool = False


class Activity(Frozen):
    """Agent to host: the turn `turn_id` is doing something."""

    frame: Literal["activity"] = "activity"
    turn_id: Id
    progress: Annotated[str, Field(max_length=500)] | None = None


class LiveText(Frozen):
    """Agent to host: more of the answer of `turn_id` for the place that asked.

    `offset` counts characters since the turn began; 0 starts anew, and a gap means: wait for the final row.
    """

    frame: Literal["text"] = "text"
    turn_id: Id
    offset: Annotated[int, Field(ge=0, le=2**31)]
    text: Annotated[str, Field(max_length=MAX_LIVE_CHARS)]


HostFrame = Changed | CloseInbound | InterruptTurn | Leave
AgentFrame = Changed | Quiet | Activity | LiveText
# A runner that starts builds them when the first frame comes.
_LATER: Final = ConfigDict(defer_build=True)
_HOST: Final[TypeAdapter[HostFrame]] = TypeAdapter(
    Annotated[HostFrame, Field(discriminator="frame")], config=_LATER
)
_AGENT: Final[TypeAdapter[AgentFrame]] = TypeAdapter(
    Annotated[AgentFrame, Field(discriminator="frame")], config=_LATER
)


def encode(frame: Frozen) -> bytes:
    """One line; ASCII, so that nothing in a text can end it early."""
    return json.dumps(frame.model_dump()).encode("ascii") + b"\n"


class BellHost:
    """The host's end: listens on a session's bell.sock for as long as the session is awake."""

    def __init__(self, path: Path, on_frame: Callable[[AgentFrame], None]) -> None:
        self._path = path
        self._on_frame = on_frame
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._connections = Bucket(a_second=MAX_CONNECTIONS_A_SECOND, at_once=FIRST_CONNECTIONS)
        self._warnings = Bucket(a_second=1 / WARNING_SECONDS, at_once=1)
        self._closed = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether anybody is there to hear the bell."""
        return bool(self._writers)

    async def listen(self) -> None:
        """Binds the socket anew, 0666 within its 0711 folder. Raises OSError."""
        listener = listening_socket(self._path, backlog=MAX_WAITING_CONNECTIONS)
        self._listener = listener
        self._accepting = asyncio.create_task(self._accept(listener), name="bell")

    def ring(self, frame: HostFrame) -> bool:
        """Says `frame` to whoever listens; False when nobody does. Never blocks."""
        data = encode(frame)
        for writer in self._writers:
            if writer.transport.get_write_buffer_size() < MAX_FRAME_BYTES:
                writer.write(data)
        return bool(self._writers)

    async def close(self) -> None:
        """Stops listening and hangs up. Twice is fine."""
        if self._closed:
            return
        self._closed = True
        tasks = [*self._tasks, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # One that was cancelled before it began has closed nothing.
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        if self._listener is not None:
            self._listener.close()
        self._path.unlink(missing_ok=True)

    async def _accept(self, listener: socket.socket) -> None:
        """Takes what connects, no faster than is allowed: the others wait where they are."""
        loop = asyncio.get_running_loop()
        while True:
            while wait := self._connections.take():  # noqa: ASYNC110  # the time comes by itself
                await asyncio.sleep(wait)
            try:
                connection, _ = await loop.sock_accept(listener)
                await self._admit(connection)
            except OSError as exc:
                self._warn("a bell cannot be answered: %s", exc.strerror)
                await asyncio.sleep(1)

    async def _admit(self, connection: socket.socket) -> None:
        if len(self._writers) >= MAX_CONNECTIONS:
            connection.close()
            return
        try:
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=MAX_FRAME_BYTES)
        except BaseException:
            connection.close()
            raise
        self._writers.add(writer)
        task = asyncio.create_task(self._serve(reader, writer), name="bell connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self._on_frame(Changed())
            pace = Pace(MAX_FRAMES_A_SECOND)
            while line := await reader.readline():
                self._on_frame(_AGENT.validate_json(line))
                # Lines that are there already are read without a pause: one bell must not keep the others waiting.
                await asyncio.sleep(pace.pause())
        except (ValidationError, ValueError) as exc:
            self._warn("bell frame refused, connection closed: %s", str(exc).splitlines()[0])
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _warn(self, what: str, why: str | None) -> None:
        """Whoever is at the other end may do it without end."""
        if self._warnings.take() == 0:
            _log.warning(what, why)


class BellAgent:
    """The agent's end: connects, reconnects, and keeps the last word of the host until it is read."""

    def __init__(self, path: Path, on_frame: Callable[[HostFrame], None]) -> None:
        self._path = path
        self._on_frame = on_frame
        self._writer: asyncio.StreamWriter | None = None
        self.tried = asyncio.Event()
        """Set once the first attempt to connect has ended, one way or the other."""

    @property
    def connected(self) -> bool:
        """Whether the host can be heard; when not, poll."""
        return self._writer is not None

    def ring(self, frame: AgentFrame) -> None:
        """Says `frame` to the host if it is there and listening; a frame to nobody is dropped."""
        writer = self._writer
        room = _LIVE_BACKLOG_BYTES if isinstance(frame, LiveText) else _BACKLOG_BYTES
        if writer is not None and writer.transport.get_write_buffer_size() < room:
            writer.write(encode(frame))

    async def run(self) -> None:
        """Stays connected until cancelled."""
        failures = 0
        while True:
            with contextlib.suppress(OSError, ValueError, ValidationError):
                await self._session()
                failures = 0
            self.tried.set()
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1

    async def _session(self) -> None:
        with socket_address(self._path) as address:
            reader, writer = await asyncio.open_unix_connection(address, limit=MAX_FRAME_BYTES)
        self._writer = writer
        self.tried.set()
        try:
            self._on_frame(Changed())
            while line := await reader.readline():
                self._on_frame(_HOST.validate_json(line))
        finally:
            self._writer = None
            writer.close()
