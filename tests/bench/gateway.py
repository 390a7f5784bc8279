"""What forwarder and gateway cost: the time until the first byte of a streamed answer, through them and without.

The model's stand-in, the gateway and the forwarders are processes of their own, as they are in a service; requests are
as large as the CLI's, and CONCURRENT conversations ask and listen at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.forwarder import Forwarder
from agent.protocol.clock import now_ms
from bot.budgets import Budgets
from bot.config_gateway import GatewayConfig
from bot.config_tables import AgentConfig
from bot.db.engine import open_database
from bot.gateway.service import SOCKET, Gateway
from bot.metrics import Metrics
from bot.services import running
from bot.sessions import Sessions
from tests.bench.figures import ROOT, Spread
from tests.fakes.gateway import FakeVault, charges

CONCURRENT: Final = 20
REQUEST_BYTES: Final = 90_000
"""What the CLI sends with a first message: its instructions and tools."""
WORDS: Final = 20
PAUSE_SECONDS: Final = 0.02
START_SECONDS: Final = 20.0
JITTER_SECONDS: Final = 0.2
GATEWAY: Final = "gateway"
FORWARDERS: Final = "forwarders"


@dataclass
class Found:
    """Milliseconds until the first byte of an answer."""

    direct: list[float] = field(default_factory=list)
    through: list[float] = field(default_factory=list)

    @property
    def overhead(self) -> Spread:
        """How much later the answer begins: the differences of the two."""
        direct, through = Spread.of(self.direct), Spread.of(self.through)
        return Spread(
            round(through.p50 - direct.p50, 2),
            round(through.p95 - direct.p95, 2),
            round(through.p99 - direct.p99, 2),
            through.n,
        )


async def measure(data: Path, *, rounds: int, each: int) -> Found:
    """`each` requests of every conversation, `rounds` times with and without. Raises TimeoutError, OSError."""
    found = Found()
    async with AsyncExitStack() as stack:
        api = ("tests.fakes.messages_api", "--port", "0", "--pause", str(PAUSE_SECONDS))
        line = await stack.enter_async_context(_program(*api))
        url = next(word.rstrip(";") for word in line.split() if word.startswith("http"))
        tokens = json.loads(
            await stack.enter_async_context(_program("tests.bench.gateway", GATEWAY, str(data), url))
        )
        ports = json.loads(
            await stack.enter_async_context(_program("tests.bench.gateway", FORWARDERS, str(data)))
        )
        api_port = int(url.rpartition(":")[2])
        for number in range(rounds + 1):
            direct = await _all([api_port] * CONCURRENT, tokens, each)
            through = await _all(ports, tokens, each)
            # The first round opens the connections, and is not counted.
            if number:
                found.direct += direct
                found.through += through
    return found


async def _all(ports: Sequence[int], tokens: Sequence[str], count: int) -> list[float]:
    asking = [_ask(port, token, count) for port, token in zip(ports, tokens, strict=True)]
    return [each for one in await asyncio.gather(*asking) for each in one]


async def _ask(port: int, token: str, count: int) -> list[float]:
    """One conversation, on one connection."""
    body = {
        "model": "claude-sonnet-5",
        "stream": True,
        "system": "x" * REQUEST_BYTES,
        "messages": [{"role": "user", "content": " ".join(["hello"] * WORDS)}],
    }
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/messages?beta=true HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-api-key: {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    took = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        await asyncio.sleep(random.uniform(0, JITTER_SECONDS))
        began = time.perf_counter()
        writer.write(head.encode() + data)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"message_start")
        took.append((time.perf_counter() - began) * 1000)
        await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.close()
    return took


@asynccontextmanager
async def _program(*arguments: str) -> AsyncIterator[str]:
    """A process for the length of the block, and the first line that it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = (await process.stdout.readline()).decode()
        yield line
    finally:
        process.kill()
        await process.wait()


def _folders(data: Path) -> list[Path]:
    folders = [data / f"s{number}" for number in range(CONCURRENT)]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return folders


async def _serve_gateway(data: Path, url: str) -> None:
    db = open_database(data / "bot.db")
    limits = {"requests_per_minute": 100_000}
    agent = AgentConfig.model_validate({"model": "claude-sonnet-5", "model_url": url, "gateway": limits})
    metrics = Metrics()
    budgets = Budgets(db, [], {}, metrics=metrics, clock=now_ms)
    sessions = Sessions(db, data / "sessions", data / "incoming", lambda _: (), boot_id="boot", clock=now_ms)
    gateway = Gateway(
        data,
        GatewayConfig(),
        {"a": agent},
        vault=FakeVault(),
        db=db,
        charges=charges(db, budgets, sessions, metrics),
        metrics=metrics,
        environ={},
    )
    async with running(gateway):
        for folder in _folders(data):
            await gateway.open(folder.name, "a", folder)
        print(json.dumps([gateway.token(folder.name) for folder in _folders(data)]), flush=True)
        await asyncio.get_running_loop().create_future()


async def _serve_forwarders(data: Path) -> None:
    forwarders = [Forwarder(folder / SOCKET, 0) for folder in _folders(data)]
    for each in forwarders:
        each.listen()
    print(json.dumps([each.port for each in forwarders]), flush=True)
    await asyncio.gather(*(each.run() for each in forwarders))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway")
    parser.add_argument("what", choices=[GATEWAY, FORWARDERS, "measure"])
    parser.add_argument("data", type=Path)
    parser.add_argument("url", nargs="?", default="")
    given = parser.parse_args()
    match given.what:
        case "gateway":
            asyncio.run(_serve_gateway(given.data, given.url))
        case "forwarders":
            asyncio.run(_serve_forwarders(given.data))
        case _:
            found = asyncio.run(measure(given.data, rounds=3, each=5))
            print(f"direct {Spread.of(found.direct)}\nthrough {Spread.of(found.through)}")
            print(f"gateway_overhead_ms p50 {found.overhead.p50} p99 {found.overhead.p99}")


if __name__ == "__main__":
    main()
