"""The control socket: how the command line reaches the running service.

Whoever may open the socket is the operator: it is 0600, and the kernel says who is at the other end.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from adapters.terminal import TerminalAdapter, links, wire
from agent.protocol.mailbox import MailboxError
from agent.protocol.workspace import socket_address
from bot import log
from bot.commands.context import Context
from bot.commands.registry import Registry
from bot.control_wire import REQUEST, Answer, Ask, Chat
from bot.errors import RoostError
from bot.ordering import carry_out, operators
from container.base import BackendError

MAX_CONNECTIONS: Final = 64
REQUEST_SECONDS: Final = 10.0
"""How long somebody may take to ask: a connection that never does must not keep others out."""
LOOK_SECONDS: Final = 15.0
"""How often it is looked whether the socket is still there: who tidies up a folder may take it along."""
_PEER: Final = struct.Struct("3i")

_log = log.get("roost.control")


class Control:
    """Serves the command line on one machine."""

    name = "control"

    def __init__(self, path: Path, registry: Registry[Context], terminal: TerminalAdapter) -> None:
        self._path = path
        self._registry = registry
        self._terminal = terminal
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening = asyncio.Event()

    async def listening(self) -> None:
        """Returns when the socket can be connected to."""
        await self._listening.wait()

    async def run(self) -> None:
        """Until cancelled. Raises OSError."""
        try:
            while True:
                await self._listen()
                _log.error("the control socket was removed; it is put back: %s", self._path)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._path.unlink(missing_ok=True)

    async def _listen(self) -> None:
        """Until the socket is not at its place any more."""
        server = await asyncio.start_unix_server(
            self._connected, sock=_bound(self._path), limit=wire.MAX_LINE
        )
        inode = self._path.stat().st_ino
        self._listening.set()
        try:
            while _inode(self._path) == inode:  # noqa: ASYNC110  # nobody rings when a file is removed
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= MAX_CONNECTIONS or not _is_operator(writer):
            writer.close()
            return
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (EOFError, OSError, asyncio.LimitOverrunError, wire.WireError) as exc:
            _log.info("a control connection was cut: %s", exc)
        except asyncio.CancelledError:
            # The service is leaving; the peer sees the end of the connection.
            pass
        except Exception:
            _log.exception("a control connection has failed")
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(REQUEST_SECONDS):
            line = await reader.readuntil(b"\n")
        try:
            request = REQUEST.validate_json(line)
        except ValidationError:
            text = "The service does not understand this request; is it older?"
            await _say(writer, Answer(ok=False, text=text))
            return
        match request:
            case Ask():
                await _say(writer, await self._run(request))
            case Chat(conversation=conversation, once=once):
                await _say(writer, Answer(ok=True, data=[asdict(info) for info in self._registry.infos]))
                await links.serve(self._terminal.sit(conversation, once=once), reader, writer)

    async def _run(self, request: Ask) -> Answer:
        found = self._registry.find(" ".join(request.words))
        if found is None:
            return Answer(ok=False, text=f"There is no command {' '.join(request.words)}.")
        event, facts = operators(" ".join(request.words), dict(request.arguments), found[0].level)
        try:
            reply = await carry_out(self._registry, found, event, facts)
        except (RoostError, BackendError, MailboxError, OSError) as exc:
            return Answer(ok=False, text=str(exc))
        return Answer(ok=True, text=reply.text, data=reply.data)


async def _say(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(answer.model_dump_json().encode() + b"\n")
    await writer.drain()


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _bound(path: Path) -> socket.socket:
    """A socket at `path` that nobody else may ever connect to. Raises OSError."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        # Linux makes the file with the mode of the socket; a umask would hold for every thread and child.
        os.fchmod(listener.fileno(), 0o600)
        with socket_address(path) as address:
            listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener


def _is_operator(writer: asyncio.StreamWriter) -> bool:
    """The service's own user, or root. unix(7): SO_PEERCRED."""
    sock = writer.get_extra_info("socket")
    _, uid, _ = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return uid in (os.getuid(), 0)
