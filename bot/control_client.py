"""The command line's end of the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from adapters.offers import CommandInfo
from adapters.terminal import wire
from adapters.terminal.links import SocketLink
from agent.protocol.workspace import socket_address
from bot.control_wire import Answer, Ask, Chat
from bot.data_lock import is_held
from bot.errors import CommandFailed, NotRunning

_COMMANDS: Final = TypeAdapter(list[CommandInfo])


class ServiceLink(SocketLink):
    """A seat in the service's terminal channel; `commands` are those that the service has."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, commands: Sequence[CommandInfo]
    ) -> None:
        super().__init__(reader, writer)
        self.commands = commands


async def ask(path: Path, words: Sequence[str], arguments: Mapping[str, str] | None = None) -> Answer:
    """Runs a command in the service. Raises NotRunning, CommandFailed with the service's own sentence."""
    reader, writer = await _connect(path)
    try:
        return await _exchange(reader, writer, Ask(words=list(words), arguments=dict(arguments or {})))
    finally:
        writer.close()


@asynccontextmanager
async def chat(path: Path, conversation: str, *, once: bool = False) -> AsyncIterator[ServiceLink]:
    """Sits down in the service's terminal channel. Raises NotRunning, CommandFailed."""
    reader, writer = await _connect(path)
    try:
        answer = await _exchange(reader, writer, Chat(conversation=conversation, once=once))
        yield ServiceLink(reader, writer, _COMMANDS.validate_python(answer.data))
    finally:
        writer.close()


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        with socket_address(path) as address:
            return await asyncio.open_unix_connection(address, limit=wire.MAX_LINE)
    except PermissionError as exc:
        raise NotRunning(
            f"You may not talk to the service in {path.parent}: it belongs to another user."
        ) from exc
    except OSError as exc:
        if is_held(path.parent):
            raise NotRunning(
                f"A service holds {path.parent} but cannot be reached: wait a moment, or restart it."
            ) from exc
        raise NotRunning(f"Roost is not running in {path.parent}: start it with `roost run`.") from exc


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Ask | Chat
) -> Answer:
    try:
        writer.write(request.model_dump_json().encode() + b"\n")
        await writer.drain()
        answer = Answer.model_validate_json(await reader.readuntil(b"\n"))
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as exc:
        raise NotRunning("The service closed the connection without an answer; try again.") from exc
    if not answer.ok:
        raise CommandFailed(answer.text)
    return answer
