"""Stands between a test and the engine's socket, and does what a network or a sick engine does: it is away, hangs, is
slow, or loses an answer."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final, Self

REAL: Final = "/var/run/docker.sock"
CHUNK: Final = 65_536


class Held:
    """Something that is on its way: `here` is set when the proxy has it, and with `passed_on` it gets further."""

    def __init__(self) -> None:
        self.here = asyncio.Event()
        self.passed_on = asyncio.Event()


class EngineProxy:
    """`url` is its DOCKER_HOST. `async with` it; belongs to the test's event loop, and needs it to be free."""

    def __init__(self) -> None:
        # A socket's path may have 107 bytes, and a test's folder has more.
        self._folder = Path(tempfile.mkdtemp(prefix="roost-engine-"))
        self._folder.chmod(0o755)
        self._socket = self._folder / "engine.sock"
        self.url = f"unix://{self._socket}"
        self.asked: list[str] = []
        """The first lines of the requests."""
        self.delay_seconds = 0.0
        """How long each piece of a request is held back."""
        self._real = os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or REAL
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self._losing: bytes | None = None
        self._holding: dict[bytes, Held] = {}

    async def __aenter__(self) -> Self:
        await self.come()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go()
        shutil.rmtree(self._folder)

    async def come(self) -> None:
        """Is there (again)."""
        self._server = await asyncio.start_unix_server(self._connected, self._socket)

    async def go(self) -> None:
        """Is away: every connection breaks, and nobody answers."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._socket.unlink(missing_ok=True)
        await self.cut()

    async def cut(self) -> None:
        """Breaks the connections that there are."""
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def hang(self) -> None:
        """Takes connections and requests, and does nothing about them."""
        self._flows.clear()

    def go_on(self) -> None:
        self._flows.set()

    def lose_answer(self, to: str) -> None:
        """The next request with `to` in its first line is done, and its connection breaks before the answer."""
        self._losing = to.encode()

    def hold_request(self, to: str) -> Held:
        """The next request with `to` in its first line does not reach the engine yet."""
        return self._holding.setdefault(b"> " + to.encode(), Held())

    def hold_answer(self, to: str) -> Held:
        """What the engine says to the next request with `to` in its first line is not told yet."""
        return self._holding.setdefault(b"< " + to.encode(), Held())

    def _held(self, direction: bytes, first: bytes) -> Held | None:
        name = next((each for each in self._holding if each[:2] == direction and each[2:] in first), None)
        return None if name is None else self._holding.pop(name)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]

        def over(line: asyncio.Task[None]) -> None:
            self._lines.discard(line)
            for end in ends:
                end.close()

        line = asyncio.create_task(self._relay(reader, writer, ends), name="proxy line")
        self._lines.add(line)
        # A task that is cancelled before its first step runs no `finally`.
        line.add_done_callback(over)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: list[asyncio.StreamWriter]
    ) -> None:
        engine_reader, engine_writer = await asyncio.open_unix_connection(self._real)
        ends.append(engine_writer)
        lost = asyncio.Event()
        late: list[Held] = []

        async def up() -> None:
            while piece := await reader.read(CHUNK):
                await asyncio.sleep(self.delay_seconds)
                await self._flows.wait()
                if reader.at_eof():
                    # Whoever asked has given up; what comes about all the same is what `lose_answer` is for.
                    return
                first = piece.split(b"\r\n", 1)[0]
                if b" HTTP/1." in first:
                    self.asked.append(first.decode())
                    if self._losing is not None and self._losing in first:
                        self._losing = None
                        lost.set()
                    if held := self._held(b"< ", first):
                        late.append(held)
                    if held := self._held(b"> ", first):
                        held.here.set()
                        await held.passed_on.wait()
                engine_writer.write(piece)
                await engine_writer.drain()

        async def down() -> None:
            while piece := await engine_reader.read(CHUNK):
                await self._flows.wait()
                if lost.is_set():
                    return
                if late:
                    held = late.pop()
                    held.here.set()
                    await held.passed_on.wait()
                writer.write(piece)
                await writer.drain()

        halves = [asyncio.create_task(up(), name="proxy up"), asyncio.create_task(down(), name="proxy down")]
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for half in halves:
                half.cancel()
            await asyncio.gather(*halves, return_exceptions=True)
