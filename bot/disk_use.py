"""How much of the disk the files of a session take up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from agent.protocol.workspace import Workspace

MEASURE_SECONDS: Final = 30.0
"""How long it may take; an agent can make more files than anybody can count in that time."""


async def used_mb(workspace: Workspace) -> float:
    """What is really on the disk of all that the agent writes, in MiB, however deep it lies. What is endless counts
    as endless. Raises OSError where nothing can be counted at all."""
    folders = (workspace.outbox, workspace.home, workspace.work)
    # A process of its own: a million files must not take the interpreter from everybody else.
    measuring = await asyncio.create_subprocess_exec(
        *("nice", "du", "--summarize", "--one-file-system", "--block-size=1024", "--total", "--"),
        *map(str, folders),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(MEASURE_SECONDS):
            told, _ = await measuring.communicate()
    except TimeoutError:
        return float("inf")
    finally:
        if measuring.returncode is None:
            with suppress(ProcessLookupError):
                measuring.kill()
            await measuring.wait()
    # What vanishes while it is counted is complained about, and the rest counts all the same.
    total = told.decode(errors="replace").splitlines()[-1:]
    return int(total[0].split()[0]) / 1024 if total else 0.0
