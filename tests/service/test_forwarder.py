"""The forwarder on real sockets: bytes pass as they are, in both directions, whatever happens at the two ends."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agent.forwarder import ABSENT, MAX_CONNECTIONS, Forwarder

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def forwarding(target: Path, port: int = 0) -> AsyncIterator[Forwarder]:
    forwarder = Forwarder(target, port)
    forwarder.listen()
    task = asyncio.create_task(forwarder.run())
    try:
        yield forwarder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def listening(target: Path, serve: Serve) -> AsyncIterator[None]:
    server = await asyncio.start_unix_server(serve, target)
    yield
    server.close()
    await server.wait_closed()


async def connect(forwarder: Forwarder) -> Ends:
    return await asyncio.open_connection("127.0.0.1", forwarder.port)


async def assert_leads_through(forwarder: Forwarder) -> None:
    """To an `echo` at the other end."""
    reader, writer = await connect(forwarder)
    writer.write(b"hello")
    writer.write_eof()
    async with asyncio.timeout(10):
        assert await reader.read() == b"hello"
    writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers only when everything was said."""
    data = await reader.read()
    writer.write(data)
    writer.close()


async def test_bytes_pass_and_one_direction_may_end_first(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", echo), forwarding(tmp_path / "s") as forwarder:
        data = random.Random(1).randbytes(3_000_000)
        reader, writer = await connect(forwarder)
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(10):
            assert hashlib.sha256(await reader.read()).digest() == hashlib.sha256(data).digest()
        writer.close()


async def test_a_path_of_any_length(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 150)
    folder.mkdir()
    here = os.open(folder, os.O_PATH)
    async with listening(Path(f"/proc/self/fd/{here}/s"), echo), forwarding(folder / "s") as forwarder:
        await assert_leads_through(forwarder)
    os.close(here)


async def test_a_slow_reader_slows_the_writer_down(tmp_path: Path) -> None:
    written = 0
    stop = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        try:
            while not stop.is_set():
                writer.write(bytes(65536))
                written += 65536
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with listening(tmp_path / "s", flood), forwarding(tmp_path / "s") as forwarder:
        reader, writer = await connect(forwarder)
        await reader.read(1)
        before = -1
        async with asyncio.timeout(20):
            while written != before:
                before = written
                await asyncio.sleep(0.3)
        assert written < 32 * 1024 * 1024
        stop.set()
        writer.transport.abort()


async def test_whoever_hangs_up_is_hung_up_on(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"x")
            while await reader.read(100):
                pass
        except ConnectionError:
            pass
        ended.set()
        writer.close()

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    async with listening(tmp_path / "s", wait), forwarding(tmp_path / "s") as forwarder:
        reader, writer = await connect(forwarder)
        await reader.read(1)
        writer.transport.abort()
        async with asyncio.timeout(5):
            await ended.wait()
    async with listening(tmp_path / "t", leave), forwarding(tmp_path / "t") as forwarder:
        reader, writer = await connect(forwarder)
        async with asyncio.timeout(5):
            assert await reader.read() == b"bye"
        writer.close()


async def test_a_gateway_that_is_not_there_is_said_in_http(tmp_path: Path) -> None:
    async with forwarding(tmp_path / "s") as forwarder:
        reader, writer = await connect(forwarder)
        writer.write(b"POST /v1/messages HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + bytes(100_000))
        async with asyncio.timeout(5):
            assert await reader.read() == ABSENT
        writer.close()
        # To whatever is no HTTP nothing is said.
        reader, writer = await connect(forwarder)
        writer.write(b"\x16\x03\x01 hello")
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        # And once it is there again, all is well.
        async with listening(tmp_path / "s", echo):
            await assert_leads_through(forwarder)


async def test_a_port_that_fails_is_opened_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(tmp_path / "s", echo), forwarding(tmp_path / "s") as forwarder:
        port = forwarder.port
        kept_reader, kept = await connect(forwarder)
        kept.write(b"before ")
        listener = forwarder._listener
        assert listener is not None
        # To the kernel the port is closed now, as if somebody had taken it away.
        listener.shutdown(socket.SHUT_RDWR)
        async with asyncio.timeout(5):
            while forwarder._listener in (listener, None):  # noqa: ASYNC110  # nobody says so
                await asyncio.sleep(0.01)
        assert forwarder.port == port
        await assert_leads_through(forwarder)
        kept.write(b"and after")
        kept.write_eof()
        async with asyncio.timeout(5):
            assert await kept_reader.read() == b"before and after"
        kept.close()
    assert "is opened again" in caplog.text


async def test_connections_are_bounded_and_the_others_wait(tmp_path: Path) -> None:
    inside: list[asyncio.StreamWriter] = []
    release = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside.append(writer)
        await release.wait()
        writer.close()

    async with listening(tmp_path / "s", hold), forwarding(tmp_path / "s") as forwarder:
        ends = [await connect(forwarder) for _ in range(MAX_CONNECTIONS + 3)]
        async with asyncio.timeout(5):
            while len(inside) < MAX_CONNECTIONS:  # noqa: ASYNC110  # nobody says so
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(inside) == MAX_CONNECTIONS
        release.set()
        async with asyncio.timeout(5):
            for reader, writer in ends:
                assert await reader.read() == b""
                writer.close()
        assert len(inside) == MAX_CONNECTIONS + 3


def test_it_weighs_nothing() -> None:
    """An idle runner imports it."""
    code = "import sys, agent.forwarder; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "http.client", "agent.providers"} & set(done.stdout.split())
