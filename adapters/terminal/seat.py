"""A seat: one terminal's place in a conversation, with what it has yet to be shown."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from adapters.terminal import wire

LIVE_ROOM: Final = 64
"""Frames waiting at which live text is left out: the next live frame, or the reply, makes up for it."""
MAX_WAITING: Final = 1024
"""Frames waiting at which the seat is closed: nobody reads at the other end."""


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
        return self._waiting.popleft()

    def __aiter__(self) -> Seat:
        return self

    async def __anext__(self) -> wire.SeatFrame:
        frame = await self.next()
        if frame is None:
            raise StopAsyncIteration
        return frame

    def offer(self, frame: wire.SeatFrame) -> None:
        """Puts `frame` in line. A reader that has fallen too far behind loses its seat."""
        if self.closed:
            return
        self._waiting.append(frame)
        self._news.set()
        if len(self._waiting) >= MAX_WAITING:
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
        self.finish()
        self._left(self, unread)

    def finish(self) -> None:
        """No more will come; what is in line can still be read."""
        self.closed = True
        self._news.set()
