"""A seat: one terminal's place in a conversation, with what it has yet to be shown."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from adapters.terminal import wire
from adapters.terminal.kept import weight

LIVE_ROOM: Final = 64
"""Frames waiting at which live text is left out: the next live frame, or the reply, makes up for it."""
MAX_WAITING: Final = 1024
MAX_WAITING_BYTES: Final = 32 * 2**20
"""Frames, or bytes of them, waiting at which the seat is closed: nobody reads at the other end."""


class Seat:
    """Made by `TerminalAdapter.sit`. One reader takes the frames; `handle` may be called beside it.

    A `once` seat is for a single message: it is shown only what answers its own events.
    """

    def __init__(
        self,
        *,
        once: bool,
        handle: Callable[[Seat, wire.ClientFrame], Awaitable[None]],
        left: Callable[[Seat, list[wire.SeatFrame]], None],
    ) -> None:
        self.once = once
        self.events: set[str] = set()
        self.closed = False
        self._handle = handle
        self._left = left
        self._waiting: deque[wire.SeatFrame] = deque()
        self._waiting_bytes = 0
        self._news = asyncio.Event()
        self._live: tuple[str, int] = ("", 0)

    async def handle(self, frame: wire.ClientFrame) -> None:
        """Acts on what the person did. Returns when the service has taken it, or known not to."""
        await self._handle(self, frame)

    async def next(self) -> wire.SeatFrame | None:
        """The next frame to show; None when the seat is closed and there are no more."""
        while not self._waiting:
            if self.closed:
                return None
            self._news.clear()
            await self._news.wait()
        frame = self._waiting.popleft()
        self._waiting_bytes -= weight(frame)
        return frame

    def __aiter__(self) -> Seat:
        return self

    async def __anext__(self) -> wire.SeatFrame:
        frame = await self.next()
        if frame is None:
            raise StopAsyncIteration
        return frame

    def offer(self, frame: wire.SeatFrame) -> None:
        """Puts `frame` in line. A newer word about work takes the place of the one before. A reader that has fallen
        too far behind loses its seat."""
        if self.closed:
            return
        if isinstance(frame, wire.Working) and self._waiting and isinstance(self._waiting[-1], wire.Working):
            self._waiting_bytes -= weight(self._waiting.pop())
        self._waiting.append(frame)
        self._waiting_bytes += weight(frame)
        self._news.set()
        if len(self._waiting) >= MAX_WAITING or (
            self._waiting_bytes > MAX_WAITING_BYTES and len(self._waiting) > 1
        ):
            self.close()

    def stream(self, turn_id: str, text: str, *, anew: bool) -> None:
        """Offers what this seat lacks of `text`, all of the answer so far, unless too much waits already."""
        if anew or self._live[0] != turn_id:
            self._live = (turn_id, 0)
        sent = self._live[1]
        if len(self._waiting) < LIVE_ROOM and len(text) > sent:
            self.offer(wire.Live(turn_id=turn_id, offset=sent, text=text[sent:]))
            self._live = (turn_id, len(text))

    def close(self) -> None:
        """Nobody sits here any more; what was not read goes back. Absent is success."""
        unread = list(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self.finish()
        self._left(self, unread)

    def finish(self) -> None:
        """No more will come; what is in line can still be read."""
        self.closed = True
        self._news.set()
