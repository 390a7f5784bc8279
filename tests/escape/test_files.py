"""Attack 31 and its kin: leases and locks through a mount, second names, and another thing in the place of one."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.bell import BellHost
from tests.escape.probes.links import ATTEMPTS, PERMITTED
from tests.escape.service import HOSTILE, VICTIM, serving
from tests.escape.wall import NO_FILTER, Cell
from tests.service.conftest import House

pytestmark = pytest.mark.docker

REFUSALS = {"EROFS", "EACCES", "EXDEV", "EPERM", "ENOENT"}


@asynccontextmanager
async def held(cell: Cell, what: str, **changes: Any) -> AsyncIterator[str]:
    """A container that has tried to take hold of something, and lives on. What came of it."""
    async with cell.living("holds", what, **changes):
        await cell.until((cell.out / "held").exists, f"it has taken {what}")
        yield str(json.loads((cell.out / "held").read_text()))


def opens_at_once(path: Path) -> bool:
    """Whether the host gets at the file without waiting for anybody."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize(
    "what",
    [
        "a read lease on inbound",
        "a write lease on inbound",
        "a lease on inbound by a wider number",
        "a write lease on outbound",
        "a lease on outbound by a wider number",
    ],
)
async def test_no_lease_is_given(one: Cell, what: str) -> None:
    async with held(one, what) as told:
        assert told == "EPERM"
        assert opens_at_once(one.session.workspace.inbound)
        assert "outbound" not in what or opens_at_once(one.session.workspace.outbound)


@pytest.mark.parametrize("what", ["a write lease on outbound", "a lease on outbound by a wider number"])
async def test_without_the_filter_the_host_waits_for_a_lease(one: Cell, what: str) -> None:
    async with one.living_bare("holds", what, changes=NO_FILTER):
        await one.until((one.out / "held").exists, f"it has taken {what}")
        assert json.loads((one.out / "held").read_text()) == "ok"
        assert not opens_at_once(one.session.workspace.outbound)


async def test_no_exclusive_lock_through_a_mount_for_reading(one: Cell) -> None:
    async with held(one, "an exclusive lock on inbound") as told:
        assert "Read-only" in told or "Permission" in told
        assert writes(one) == "ok"


async def test_a_whole_lock_is_no_lock_to_the_host(one: Cell) -> None:
    async with held(one, "a whole lock on inbound") as told:
        assert told == "ok"
        assert writes(one) == "ok"


async def test_a_shared_lock_keeps_a_trusting_writer_out(one: Cell) -> None:
    """What the next test is about: the kernel gives this lock to whoever may read."""
    async with held(one, "a shared lock on inbound") as told:
        assert told == "ok"
        assert "locked" in writes(one)
    assert writes(one) == "ok"


def writes(cell: Cell) -> str:
    """What comes of a commit in inbound.db by somebody who waits for nothing."""
    with closing(sqlite3.connect(cell.session.workspace.inbound, isolation_level=None, timeout=0)) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE session_routing SET channel = channel")
            db.execute("COMMIT")
        except sqlite3.OperationalError as exc:
            return str(exc)
    return "ok"


async def test_who_keeps_a_lock_on_inbound_is_ended_and_others_feel_nothing(
    tmp_path: Path, image: str, namespace: str
) -> None:
    house = House(tmp_path)

    def locker() -> list[str]:
        return ["probes.holds", "a shared lock on inbound"]

    async with serving(house, f"{namespace}-locks", image, locker) as (p, backend):
        await p.say("hello?", place=HOSTILE)
        await house.until(lambda: bool(house.query("SELECT 1 FROM sessions")))
        await house.until((house.folder(HOSTILE) / "out" / "held").exists)
        assert json.loads((house.folder(HOSTILE) / "out" / "held").read_text()) == "ok"
        backend.honest = True
        await p.say("and now?", place=HOSTILE)
        await p.say("hello", place=VICTIM)
        assert await p.replies(1, place=VICTIM) == ["You said: hello"]
        await p.until(lambda: "and now?" in " ".join(p.texts(HOSTILE)))
        await house.until_quiet(HOSTILE)
        assert house.states() == {"done": 3}


@pytest.fixture(scope="module")
def changes(once: Callable[..., Any]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What can be changed behind every wall, and what by root where the folders are mounted for writing."""

    async def change(cell: Cell) -> tuple[Mapping[str, str], Mapping[str, str]]:
        bell = BellHost(cell.session.workspace.bell, lambda _: None)
        await bell.listen()
        try:
            inside = (await cell.inside("links")).told
            # One mount of all folders, as somebody makes it who likes it short.
            folder = cell.session.root
            mounted = {
                "Mounts": [],
                "Binds": [
                    f"{folder}:/session",
                    f"{folder}/work:/workspace",
                    f"{cell.spec.mounts[-1].source}:/agent",
                ],
                "ReadonlyRootfs": False,
                "CapDrop": [],
            }
            bare = (await cell.bare("links", changes=mounted, user="0:0")).told
        finally:
            await bell.close()
        return inside, bare

    found: tuple[Mapping[str, str], Mapping[str, str]] = once(change)
    return found


@pytest.mark.parametrize("change", ATTEMPTS)
def test_what_is_mounted_for_reading_stays_as_it_is(
    change: str, changes: tuple[Mapping[str, str], Mapping[str, str]]
) -> None:
    inside, bare = changes
    if change == PERMITTED:
        assert inside[change] == "ok"
    else:
        assert inside[change] in REFUSALS
        assert bare[change] == "ok"
