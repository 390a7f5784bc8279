"""Attacks 19, 20 and 21: somebody else's rights, orders to the host's kernel, the host's files and processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.escape.probes.orders import ATTEMPTS
from tests.escape.wall import NO_FILTER, NO_WALLS, Cell

pytestmark = pytest.mark.docker

REFUSALS = {"EACCES", "EPERM", "EROFS", "ENOENT"}
"""ENOENT where it is covered, or not to be seen."""


async def test_a_program_of_roots_runs_as_whoever_runs_it(one: Cell) -> None:
    assert (await one.bare("suid", "plant", user="0:0")).told == 0
    assert os.stat(one.work / "id").st_mode & 0o6000 == 0o6000
    assert (await one.inside("suid")).told == 10_001
    without = {"SecurityOpt": [each for each in NO_FILTER["SecurityOpt"] if each != "no-new-privileges"]}
    capable = {"CapDrop": [], **without}
    assert (await one.bare("suid", changes=capable)).told == 0


@pytest.fixture(scope="module")
def orders(once: Callable[..., Any]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What opens behind every wall, and what for an administrator."""

    async def give(cell: Cell) -> tuple[Mapping[str, str], Mapping[str, str]]:
        inside = (await cell.inside("orders")).told
        changes = {**NO_WALLS, "CgroupnsMode": "host"}
        return inside, (await cell.bare("orders", user="0:0", changes=changes)).told

    found: tuple[Mapping[str, str], Mapping[str, str]] = once(give)
    return found


@pytest.mark.parametrize("order", ATTEMPTS)
def test_no_order_can_be_given(order: str, orders: tuple[Mapping[str, str], Mapping[str, str]]) -> None:
    inside, bare = orders
    assert inside[order] in REFUSALS
    if bare[order] in ("ENOENT", "ENODEV", "EINVAL"):
        pytest.skip("this kernel takes no such order from anybody")
    assert bare[order] == "ok"


async def test_the_hosts_files_and_processes_are_out_of_sight(one: Cell, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    inside = (await one.inside("others", secret, os.getpid())).told
    assert set(inside.values()) <= {"ENOENT", "ESRCH", "EACCES"}
    assert inside["a signal to the host's process"] == "ESRCH"
    seen = {**NO_WALLS, "PidMode": "host", "Binds": [f"{tmp_path}:{tmp_path}:ro"]}
    bare = (await one.bare("others", secret, os.getpid(), changes=seen, user="0:0")).told
    # The host's first process may have a root of its own.
    assert {name for name, told in bare.items() if told != "ok" and "first" not in name} == set()
