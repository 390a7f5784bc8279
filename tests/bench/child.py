"""A platform in a process of its own, beside the service that is measured: what it does must not hold that up."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.bench.figures import ROOT
from tests.bench.person import NotAnswered

START_SECONDS: Final = 20.0
ORDER_SECONDS: Final = 60.0
"""The longest that anything may take which the other process is asked for."""


class Child:
    """The process in which a platform and its people are."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, order: str) -> Any:
        """What it has found. Raises NotAnswered, TimeoutError."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n".encode())
        return await self.told(ORDER_SECONDS)

    async def told(self, seconds: float) -> Any:
        """The next that it says. Raises NotAnswered where it has ended, TimeoutError."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        if not line:
            raise NotAnswered("the process in which the platform was has ended")
        return json.loads(line)


@asynccontextmanager
async def child(module: str) -> AsyncIterator[tuple[Child, Any]]:
    """The other process, and what it says of where it is. Raises NotAnswered, TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        there = Child(process)
        yield there, await there.told(START_SECONDS)
    finally:
        process.kill()
        await process.wait()
