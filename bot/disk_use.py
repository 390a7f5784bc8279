"""How much of the disk the files of a session take up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from agent.protocol.workspace import Workspace

MEASURE_SECONDS: Final = 30.0
"""How long it may take; an agent can make more files than anybody can count in that time."""


@dataclass(frozen=True)
class Use:
    """So many MiB of the disk, and so many files and folders."""

    mb: float
    files: float


ENDLESS: Final = Use(float("inf"), float("inf"))


async def use_of(workspace: Workspace) -> Use:
    """What is really on the disk of all that the agent writes, however deep it lies. What cannot be counted in time
    counts as endless. Raises OSError where nothing can be counted at all."""
    folders = [str(each) for each in (workspace.outbox, workspace.home, workspace.work)]
    try:
        async with asyncio.timeout(MEASURE_SECONDS):
            kib, files = await asyncio.gather(
                _total("--block-size=1024", folders), _total("--inodes", folders)
            )
    except TimeoutError:
        return ENDLESS
    return Use(kib / 1024, files)


async def _total(unit: str, folders: Sequence[str]) -> int:
    # A process of its own: a million files must not take the interpreter from everybody else.
    measuring = await asyncio.create_subprocess_exec(
        *("nice", "du", "--summarize", "--one-file-system", unit, "--total", "--", *folders),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        told, _ = await measuring.communicate()
    finally:
        if measuring.returncode is None:
            with suppress(ProcessLookupError):
                measuring.kill()
            await measuring.wait()
    # What vanishes while it is counted is complained about, and the rest counts all the same.
    total = told.decode(errors="replace").splitlines()[-1:]
    return int(total[0].split()[0]) if total else 0
