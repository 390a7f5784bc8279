"""The bell over real sockets: who hears what, and what a caller out of tune gets."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from agent.protocol import bell
from agent.protocol.bell import (
    FIRST_CONNECTIONS,
    MAX_CONNECTIONS,
    MAX_FRAME_BYTES,
    MAX_LIVE_CHARS,
    Activity,
    AgentFrame,
    BellAgent,
    BellHost,
    Changed,
    CloseInbound,
    HostFrame,
    InterruptTurn,
    LiveText,
    Quiet,
    encode,
)

TIMEOUT_SECONDS: Final = 10.0


class Ears:
    """Keeps the frames and lets a test wait for them."""

    def __init__(self) -> None:
        self.frames: list[object] = []
        self._heard = asyncio.Event()

    def __call__(self, frame: object) -> None:
        self.frames.append(frame)
        self._heard.set()

    async def until(self, enough: Callable[[list[object]], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not enough(self.frames):
                self._heard.clear()
                await self._heard.wait()

    async def hear(self, frame: object) -> None:
        await self.until(lambda frames: frame in frames)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bell.sock"


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[tuple[BellHost, Ears]]:
    ears = Ears()
    host = BellHost(path, ears)
    await host.listen()
    try:
        yield host, ears
    finally:
        await host.close()


@asynccontextmanager
async def calling(path: Path) -> AsyncIterator[tuple[BellAgent, Ears]]:
    ears = Ears()
    agent = BellAgent(path, ears)
    task = asyncio.create_task(agent.run())
    try:
        yield agent, ears
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


FROM_AGENT: list[AgentFrame] = [
    Changed(),
    Quiet(busy=True),
    Activity(turn_id="m2", progress="Thinking"),
    LiveText(turn_id="m2", offset=0, text="hi \u2028 \n \x00 \U0001f600"),
]
FROM_HOST: list[HostFrame] = [Changed(), CloseInbound(), InterruptTurn(turn_id="m2"), InterruptTurn()]


async def test_both_hear_each_other(path: Path) -> None:
    async with listening(path) as (host, host_ears), calling(path) as (agent, agent_ears):
        await agent_ears.hear(Changed())
        await host_ears.hear(Changed())
        assert host.connected
        assert agent.connected
        for said in FROM_AGENT:
            agent.ring(said)
        for told in FROM_HOST:
            assert host.ring(told)
        await host_ears.until(lambda frames: frames[1:] == FROM_AGENT)
        await agent_ears.until(lambda frames: frames[1:] == FROM_HOST)


async def test_ringing_for_nobody_is_no_error(path: Path) -> None:
    BellAgent(path, lambda frame: None).ring(Changed())
    async with listening(path) as (host, _):
        assert not host.ring(Changed())
        assert not host.connected


async def test_an_agent_reconnects_to_a_new_host_and_looks(path: Path) -> None:
    async with calling(path) as (agent, ears):
        for times in (1, 2, 3):
            async with listening(path) as (host, host_ears):
                await ears.until(lambda frames, times=times: len(frames) == times)  # type: ignore[misc]
                agent.ring(Quiet())
                await host_ears.hear(Quiet())
                assert host.connected
        assert ears.frames == [Changed()] * 3


async def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    async with listening(folder / "bell.sock") as (_, ears), calling(folder / "bell.sock"):
        await ears.hear(Changed())
        assert stat.S_IMODE((folder / "bell.sock").stat().st_mode) == 0o666
    assert list(folder.iterdir()) == []


async def test_a_socket_that_a_killed_host_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with listening(path) as (_, ears), calling(path):
        await ears.hear(Changed())


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"hello\n",
        b'{"frame": "nonsense"}\n',
        b'{"frame": "changed", "more": 1}\n',
        b'{"frame": "interrupt", "turn_id": null}\n',
        b'{"frame": "text", "turn_id": "m2", "offset": -1, "text": "x"}\n',
        b'{"frame": "text", "turn_id": "m2", "offset": 0, "text": "\\ud800"}\n',
        b'{"frame": "activity", "turn_id": ""}\n',
        b"\xff\xfe\n",
        json.dumps(
            {"frame": "text", "turn_id": "m", "offset": 0, "text": "x" * (MAX_LIVE_CHARS + 1)}
        ).encode()
        + b"\n",
        b"x" * (3 * MAX_FRAME_BYTES),
        b"[" * 50_000 + b"\n",
    ],
)
async def test_a_caller_out_of_tune_is_hung_up_on(path: Path, line: bytes) -> None:
    async with listening(path) as (_, ears):
        reader, writer = await asyncio.open_unix_connection(str(path))
        await ears.hear(Changed())
        writer.write(line)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            # One that sends too much at a time may see a reset instead of an end.
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
        assert ears.frames == [Changed()]
        writer.close()
        async with calling(path):
            await ears.until(lambda frames: frames == [Changed()] * 2)


async def test_there_is_room_for_two(path: Path) -> None:
    async with listening(path) as (host, ears):
        writers = [(await asyncio.open_unix_connection(str(path)))[1] for _ in range(MAX_CONNECTIONS)]
        await ears.until(lambda frames: len(frames) == MAX_CONNECTIONS)
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert await asyncio.wait_for(reader.read(), TIMEOUT_SECONDS) == b""
        assert host.connected
        for each in (*writers, writer):
            each.close()


async def test_whoever_calls_again_and_again_is_answered_now_and_then(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "MAX_CONNECTIONS_A_SECOND", 1e-6)
    async with listening(path) as (_, ears):
        for number in range(1, FIRST_CONNECTIONS + 1):
            _, writer = await asyncio.open_unix_connection(str(path))
            await ears.until(lambda frames, number=number: len(frames) == number)  # type: ignore[misc]
            writer.close()
        waiting = []
        for _ in range(100):
            caller = socket.socket(socket.AF_UNIX)
            caller.setblocking(False)
            waiting.append(caller)
            with suppress(BlockingIOError):
                caller.connect(str(path))
                await asyncio.sleep(0)
        assert len(ears.frames) == FIRST_CONNECTIONS
        with pytest.raises(BlockingIOError), socket.socket(socket.AF_UNIX) as one_more:
            one_more.setblocking(False)
            one_more.connect(str(path))
        for caller in waiting:
            caller.close()


async def test_callers_out_of_tune_fill_no_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(path) as (host, ears):
        for number in range(1, 6):
            reader, writer = await asyncio.open_unix_connection(str(path))
            await ears.until(lambda frames, number=number: len(frames) == number)  # type: ignore[misc]
            writer.write(b"{}\n")
            await asyncio.wait_for(reader.read(), TIMEOUT_SECONDS)
            writer.close()
        assert not host.connected
    assert len([record for record in caplog.records if "refused" in record.message]) == 1


async def test_frames_within_the_limits_fit(path: Path) -> None:
    worst = LiveText(turn_id="\U0001f600" * 200, offset=2**31, text="\U0001f600" * MAX_LIVE_CHARS)
    assert len(encode(worst)) < MAX_FRAME_BYTES
    async with listening(path) as (_, host_ears), calling(path) as (agent, ears):
        await ears.hear(Changed())
        agent.ring(worst)
        await host_ears.hear(worst)


async def test_live_text_gives_way_to_what_matters_when_the_host_does_not_read(path: Path) -> None:
    piece = "x" * MAX_LIVE_CHARS
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        async with calling(path) as (agent, ears):
            await ears.hear(Changed())
            assert agent._writer is not None
            transport = agent._writer.transport
            for n in range(1_000):
                agent.ring(LiveText(turn_id="m2", offset=n * len(piece), text=piece))
            kept = transport.get_write_buffer_size()
            assert kept < 20 * MAX_FRAME_BYTES, "a host that does not read costs little memory"

            agent.ring(Activity(turn_id="m2"))
            agent.ring(Changed())

            assert transport.get_write_buffer_size() > kept
            for _ in range(100_000):
                agent.ring(Changed())
            assert transport.get_write_buffer_size() < 40 * MAX_FRAME_BYTES
            transport.abort()


async def test_a_host_does_not_wait_for_a_container_that_does_not_read(path: Path) -> None:
    async with listening(path) as (host, ears):
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await ears.hear(Changed())
        for _ in range(100_000):
            host.ring(Changed())
        (kept,) = host._writers
        assert kept.transport.get_write_buffer_size() <= 2 * MAX_FRAME_BYTES
        writer.close()


async def test_closing_hangs_up_and_twice_is_fine(path: Path) -> None:
    async with calling(path) as (_, ears):
        async with listening(path) as (host, _):
            await ears.hear(Changed())
            await host.close()
            assert not host.connected
        await host.close()
        assert not path.exists()


async def test_an_old_host_does_not_take_away_the_socket_of_a_new_one(path: Path) -> None:
    old = BellHost(path, Ears())
    await old.listen()
    await old.close()
    async with listening(path) as (_, ears):
        await old.close()
        async with calling(path):
            await ears.hear(Changed())
