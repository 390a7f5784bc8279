"""How much memory a process holds: the service as a program of its own, and its runners."""

from __future__ import annotations

import asyncio
import io
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from adapters.terminal.once import run_once
from bot import control_client
from bot.errors import NotRunning
from tests.bench.figures import ROOT
from tests.bench.person import NotAnswered

START_SECONDS: Final = 20.0
RETRY_SECONDS: Final = 0.05
_SERVICE: Final = "import bot.cli; bot.cli.main()"


def rss_mb(pid: int) -> float:
    """VmRSS of proc(5)'s status: everything that is mapped and in memory, what others share included."""
    return _mib(Path(f"/proc/{pid}/status"), "VmRSS")


def pss_mb(pid: int) -> float:
    """Pss of proc(5)'s smaps_rollup: a page that several processes share counts in part for each."""
    return _mib(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


async def host_rss_mb(data: Path, conversations: Sequence[str], *, at_once: int = 1) -> float:
    """Of a `roost run --headless` that has answered one message in each of these conversations, one after the
    other or `at_once` side by side; the same may be there often. Raises NotAnswered, RoostError."""
    async with _service(data) as process:
        control = data / "control.sock"
        waiting = iter(conversations)

        async def talk() -> None:
            for name in waiting:
                await _ask(control, name)

        await asyncio.gather(*(talk() for _ in range(at_once)))
        found = rss_mb(process.pid)
        listed = await control_client.ask(control, ["session", "list"])
        for session in listed.data:
            await control_client.ask(control, ["session", "stop", session["id"]])
        return found


async def _ask(control: Path, conversation: str) -> None:
    async with control_client.chat(control, conversation, once=True) as link:
        out = io.StringIO()
        if await run_once(link, "hello", out, out) != 0:
            raise NotAnswered(out.getvalue())


@asynccontextmanager
async def _service(data: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service once it listens. Raises TimeoutError."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("ROOST_")}
    env = {**outside, "ROOST_SERVICE__DATA_DIR": str(data), "PYTHONPATH": str(ROOT)}
    # Its runners are measured, too, as children that can be looked at.
    env["ROOST_BACKEND__KIND"] = "process"
    # Its working directory is one without a config.toml.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SERVICE, "run", "--headless"),
        cwd=data,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            await _listening(data / "control.sock")
        yield process
        process.terminate()
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _listening(control: Path) -> None:
    while True:
        try:
            await control_client.ask(control, ["status"])
        except NotRunning:
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


def _mib(file: Path, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{file} does not say {name}")
    return round(int(found[1]) / 1024, 1)
