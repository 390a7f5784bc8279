"""The way between a user interface and its seat: within this process, or over a socket.

LinkLost                    the other end is gone, or speaks something else
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from adapters.terminal import wire
from adapters.terminal.seat import Seat


class LinkLost(Exception):
    """Raised when nothing can be sent any more."""


class Link(Protocol):
    """One person's connection. Iterating gives the frames to show and ends when the connection does."""

    async def send(self, frame: wire.ClientFrame) -> None:
        """Returns when the other end has taken the frame. Raises LinkLost."""

    def __aiter__(self) -> AsyncIterator[wire.SeatFrame]: ...


class LocalLink:
    """A seat in this process."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    async def send(self, frame: wire.ClientFrame) -> None:
        """Raises LinkLost when the seat is closed."""
        if self._seat.closed:
            raise LinkLost
        await self._seat.handle(frame)

    def __aiter__(self) -> AsyncIterator[wire.SeatFrame]:
        return aiter(self._seat)


class SocketLink:
    """A seat in another process. `reader` must have been opened with limit=wire.MAX_LINE."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, frame: wire.ClientFrame) -> None:
        """Raises LinkLost when the socket does not take it."""
        try:
            self._writer.write(wire.encode(frame))
            await self._writer.drain()
        except OSError as exc:
            raise LinkLost from exc

    async def __aiter__(self) -> AsyncIterator[wire.SeatFrame]:
        while line := await _line(self._reader):
            try:
                yield wire.decode_seat(line)
            except wire.WireError as exc:
                raise LinkLost from exc


async def serve(seat: Seat, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The seat's side of a SocketLink: returns when the terminal has gone or the seat has ended.

    The seat is closed then; the socket is the caller's to close. Raises WireError for a line that is no frame.
    `reader` must have been opened with limit=wire.MAX_LINE.
    """
    tasks = [
        asyncio.create_task(_take(seat, reader), name="terminal-take"),
        asyncio.create_task(_give(seat, writer), name="terminal-give"),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        seat.close()


async def _take(seat: Seat, reader: asyncio.StreamReader) -> None:
    while line := await _line(reader):
        await seat.handle(wire.decode_client(line))


async def _give(seat: Seat, writer: asyncio.StreamWriter) -> None:
    try:
        async for frame in seat:
            writer.write(wire.encode(frame))
            await writer.drain()
    except OSError:
        return  # The terminal has gone, which is how most conversations end.


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next whole line; empty at the end, also when the end cuts a line short or the line is too long."""
    try:
        return await reader.readuntil(b"\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        return b""
