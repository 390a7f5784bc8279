"""Standard input that is no terminal: one message a line, each answered before the next is sent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from typing import Final, TextIO

from adapters.offers import CommandInfo
from adapters.terminal.client import UNANSWERED, Client, Desk
from adapters.terminal.lines import SERVICE_COMMANDS
from adapters.terminal.links import Link
from adapters.terminal.printer import Printer
from agent.protocol.messages import MAX_TEXT_CHARS

_CHUNK_BYTES: Final = 256 * 1024
_MAX_LINE_BYTES: Final = 4 * (MAX_TEXT_CHARS + 1)
"""A longer line holds too many characters whatever they are; the rest of it is let go, not kept."""


async def run_pipe(
    link: Link,
    entered: AsyncIterator[str],
    out: TextIO,
    err: TextIO,
    *,
    commands: Sequence[CommandInfo] = SERVICE_COMMANDS,
) -> int:
    """Replies go to `out`, everything else to `err`. 0 when all went well, 1 when anything did not, 2 when the
    link was lost. While a question is open the next line is sent at once, for it may be the answer."""
    client = Client(link)
    printer = Printer(client, out, err)
    desk = Desk(client, commands, tell=printer.tell, complain=printer.complain)

    async def person() -> int:
        async for line in entered:
            if not desk.act(line):
                break
            await client.idle()
        if desk.attached:
            printer.complain(f"{desk.attached[0].name} was attached, but no message followed.")
        if client.busy:
            printer.complain(UNANSWERED)
        return 0

    return await printer.converse(person())


async def stdin_lines(fd: int = 0) -> AsyncIterator[str]:
    """The lines of a file descriptor as they come, without their ends; whatever is no UTF-8 is replaced.

    Serves pipes, sockets, files and devices alike. The descriptor stays in blocking mode: the mode belongs to
    everybody who shares it, standard output perhaps among them. Raises OSError.
    """
    line = bytearray()
    while chunk := await _read(fd):
        first, *more = chunk.split(b"\n")
        line += first[: _MAX_LINE_BYTES - len(line)]
        for following in more:
            yield _decode(line)
            line = bytearray(following)
    if line:
        yield _decode(line)


def _decode(line: bytearray) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")


async def _read(fd: int) -> bytes:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(fd, ready.set)
    except PermissionError:
        pass  # epoll(7) takes no regular file and no /dev/null: they are always ready.
    else:
        try:
            await ready.wait()
        finally:
            loop.remove_reader(fd)
    return os.read(fd, _CHUNK_BYTES)
