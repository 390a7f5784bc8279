"""Attack 22: a container that takes all it can get of processes, memory, room and descriptors gets its share."""

from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from container.base import Exit
from container.docker import OUT_OF_MEMORY
from tests.escape.conftest import Open
from tests.escape.wall import NO_BOUNDS, Cell
from tests.fakes import engine

pytestmark = pytest.mark.docker

MIB = 1024 * 1024
PIDS = 256
FILE_MB = 512
TMP_MB = 64
MEMORY_MB = 192
"""Of the container that tries for more; small, so that the test is over soon."""


@pytest.mark.parametrize(
    ("kind", "most", "share", "answer", "weakened"),
    [
        ("forks", PIDS + 100, range(PIDS - 10, PIDS), "EAGAIN", {"PidsLimit": 0}),
        ("threads", PIDS + 100, range(PIDS - 10, PIDS), "EAGAIN", {"PidsLimit": 0}),
        ("descriptors", 5000, range(4000, 4097), "EMFILE", NO_BOUNDS),
        ("hole", FILE_MB + 1, range(1), "EFBIG", NO_BOUNDS),
        ("cut", FILE_MB + 1, range(1), "EFBIG", NO_BOUNDS),
        ("tmp", TMP_MB + 16, range(TMP_MB - 1, TMP_MB + 1), "ENOSPC", {"Tmpfs": {"/tmp": "size=1g"}}),
        ("shm", TMP_MB + 16, range(TMP_MB - 1, TMP_MB + 1), "ENOSPC", {"Tmpfs": {"/dev/shm": "size=1g"}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_each_thing_ends_at_its_share(
    one: Cell, kind: str, most: int, share: range, answer: str, weakened: dict[str, Any]
) -> None:
    amount, told = (await one.inside("bomb", kind, most)).told
    assert (amount in share, told) == (True, answer)
    assert (await one.bare("bomb", kind, most, changes=weakened)).told == [most, "ok"]


async def test_a_file_may_be_as_long_as_is_said(one: Cell) -> None:
    assert (await one.inside("bomb", "cut", FILE_MB)).told == [FILE_MB, "ok"]


@pytest.mark.parametrize("kind", ["memory", "tmp", "shm"])
async def test_memory_ends_with_the_one_that_takes_it(one: Cell, kind: str) -> None:
    """What lies in /tmp and /dev/shm counts, too."""
    limits = replace(one.spec.limits, memory_mb=MEMORY_MB, tmp_mb=2 * MEMORY_MB)
    seen = await one.inside("bomb", kind, MEMORY_MB + 64, limits=limits)
    assert (seen.exit, seen.exit.why) == (Exit(137), OUT_OF_MEMORY)
    tmp = dict.fromkeys(("/tmp", "/dev/shm"), f"size={2 * MEMORY_MB}m")
    unbound = {**NO_BOUNDS, "Tmpfs": tmp}
    assert (await one.bare("bomb", kind, MEMORY_MB + 64, changes=unbound)).told == [MEMORY_MB + 64, "ok"]


@pytest.mark.parametrize(("kind", "most"), [("forks", PIDS + 100), ("memory", 2 * MEMORY_MB)])
async def test_others_go_on(opened: Open, kind: str, most: int) -> None:
    """While one holds all that it can get, and while the kernel ends it for more, its neighbours and the host work."""
    hostile, neighbour = await opened("hostile"), await opened("neighbour")
    limits = replace(hostile.spec.limits, memory_mb=MEMORY_MB)
    count = neighbour.out / "count"

    def worked() -> int:
        return int(count.read_text()) if count.exists() else 0

    async with neighbour.living("neighbour"):
        await neighbour.until(lambda: worked() > 0, "the neighbour works")
        async with hostile.living("bomb", kind, most, "hold", limits=limits) as backend:
            if kind == "memory":
                ended = await asyncio.wait_for(backend.wait(hostile.spec.name), 30)
                assert (ended, ended.why) == (Exit(137), OUT_OF_MEMORY)
            else:
                await hostile.until((hostile.out / "held").exists, "the bomb has gone off")
            before = worked()
            await neighbour.until(lambda: worked() > before + 5, "the neighbour goes on")
            assert subprocess.run(["true"], check=False).returncode == 0
            late = await opened("late")
            assert (await late.inside("bomb", "forks", 1)).told == [1, "ok"]


async def test_what_it_prints_is_kept_within_bounds(one: Cell) -> None:
    seen = await one.inside("bomb", "print", 4)
    assert 0 < len(seen.text) <= 1.1 * MIB
    assert seen.told == [4, "ok"]
    assert one.spec.log.stat().st_size <= 1.1 * MIB
    bare = await one.bare("bomb", "print", 4, changes={"LogConfig": {"Type": "json-file", "Config": {}}})
    assert len(bare.text) > 4 * MIB


async def test_the_engine_keeps_no_more_than_that_while_it_prints(one: Cell) -> None:
    """The file in which the engine keeps it."""
    async with one.living("bomb", "print", 8) as backend:
        with engine.client() as client:
            path = Path(client.inspect_container(one.spec.name)["LogPath"])
        if not os.access(path.parent, os.R_OK):
            pytest.skip("the engine's files are not to be seen from here")
        largest = 0
        waiting = asyncio.create_task(backend.wait(one.spec.name))
        while not waiting.done():
            largest = max(largest, path.stat().st_size if path.exists() else 0)
            await asyncio.sleep(0.01)
        assert 0 < largest <= 1.2 * MIB
