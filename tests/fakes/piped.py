"""A whole service in a process of its own, which can be signalled; its platform is a pair of pipes.

A line of JSON in says something, `["p1", "hello"]`; what comes out is {"accepted": text} for it, {"working": place}
when an agent says that it works, {"sent": text, "place": place, "file": name} for what reaches the platform, and
{"open": true} once the service runs. It leaves on SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from adapters.base import Part, Update, Working
from tests.fakes.platform import TIMEOUT_SECONDS, FakePlatform
from tests.service.conftest import House

ROOT: Final = Path(__file__).parents[2]

Said = dict[str, Any]


class PipedService:
    """The process, for whoever talks to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.heard: list[Said] = []

    async def say(self, text: str, *places: str) -> None:
        """Says it in each of the places, or in the usual one, and returns when it was accepted."""
        assert self.process.stdin is not None
        accepted = [{"accepted": text, "place": place} for place in places or ("p1",)]
        for each in accepted:
            self.process.stdin.write(json.dumps([each["place"], text]).encode() + b"\n")
        await self.until(lambda heard: all(each in heard for each in accepted))

    async def until(self, holds: Callable[[list[Said]], bool]) -> None:
        """Reads on until that holds. Raises TimeoutError."""
        assert self.process.stdout is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not holds(self.heard):
                line = await self.process.stdout.readline()
                assert line, "the service has ended"
                self.heard.append(json.loads(line))

    def sent(self, place: str = "p1") -> list[str]:
        """What has reached the place."""
        return [each["sent"] for each in self.heard if "sent" in each and each["place"] == place]

    async def end(self, signum: signal.Signals) -> None:
        """Sends the signal, and reads what it still says until it is gone."""
        assert self.process.stdout is not None
        self.process.send_signal(signum)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            async for line in self.process.stdout:
                self.heard.append(json.loads(line))
            await self.process.wait()


@asynccontextmanager
async def piped(house: House, *, through: Sequence[str] = ()) -> AsyncIterator[PipedService]:
    """The service on the house's data folder with its agent and pool, killed at the end of the block if need be.
    `through` is a command that starts the command that follows it."""
    settings = json.dumps({"agent": house.agent, "pool": house.pool})
    command = [sys.executable, "-m", __name__, str(house.data.parent), house.kind, settings]
    process = await asyncio.create_subprocess_exec(
        *(*through, *command),
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    service = PipedService(process)
    try:
        await service.until(lambda heard: {"open": True} in heard)
        yield service
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class _Pipes(FakePlatform):
    async def send(self, part: Part) -> str | None:
        sent = await super().send(part)
        file = None if part.file is None else part.file.name
        _tell(sent=part.text, place=part.outgoing.route.platform_id, file=file)
        return sent

    async def show(self, update: Update) -> None:
        await super().show(update)
        if isinstance(update, Working) and update.on:
            _tell(working=update.route.platform_id)


def _tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def _serve(root: Path, kind: Any, settings: Mapping[str, dict[str, Any]]) -> None:
    house = House(root, kind)
    house.agent, house.pool = settings["agent"], settings["pool"]
    house.platform = _Pipes()
    loop, stopped, lines = asyncio.get_running_loop(), asyncio.Event(), asyncio.StreamReader()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with house.open() as p:
        listening = asyncio.create_task(_listen(lines, p))
        _tell(open=True)
        await stopped.wait()
        listening.cancel()
    pipe.close()


async def _listen(lines: asyncio.StreamReader, p: FakePlatform) -> None:
    async for line in lines:
        place, text = json.loads(line)
        receipt = await p.say(text, place=place)
        _tell(**{receipt.state: text, "place": place})


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])))
