"""What a container leaves behind for whoever walks through its folders, and what it can do to its own keepers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bot.handover import CONTAINER_GID, CONTAINER_UID, hand_over
from bot.removal import remove
from tests.escape.wall import NO_WALLS, Cell

pytestmark = pytest.mark.docker

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root gives files away, and removes another user's"
)
WALKS = 50


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the host's, in a folder of its own, to which the container's links lead."""
    folder = tmp_path / "secrets"
    folder.mkdir(0o700)
    (folder / "secret").write_text("hush")
    (folder / "secret").chmod(0o600)
    return folder / "secret"


def facts(secret: Path) -> list[tuple[int, int, int]]:
    """What must not change of it."""
    found = [path.stat() for path in (secret, secret.parent)]
    return [(each.st_uid, each.st_gid, each.st_mode) for each in found]


@needs_root
async def test_handing_over_leads_nowhere_while_the_container_swaps(one: Cell, secret: Path) -> None:
    before = facts(secret)
    one.session.workspace.outbound.touch()
    async with one.living("mess", secret, "swap"):
        await one.until((one.out / "held").exists, "the mess is made")
        for _ in range(WALKS):
            os.chown(one.session.workspace.outbound, 0, 0)
            hand_over(one.session.workspace)
        assert os.stat(one.session.workspace.outbound).st_uid == CONTAINER_UID
    assert facts(secret) == before
    # Whoever trusts the same folder gives the host's file away.
    os.chown(one.work / "link", CONTAINER_UID, CONTAINER_GID)
    assert facts(secret) != before


@needs_root
async def test_everything_can_be_removed_and_nothing_else_is(one: Cell, secret: Path) -> None:
    await one.inside("mess", secret)
    assert remove(one.session.root)
    assert secret.read_text() == "hush"
    await one.session.close()


@needs_root
async def test_whoever_removes_it_as_usual_gets_lost(one: Cell, secret: Path) -> None:
    await one.inside("mess", secret)
    with pytest.raises((RecursionError, OSError)):
        shutil.rmtree(one.out)
    assert remove(one.out)


async def test_the_first_process_and_the_bounds_are_out_of_reach(one: Cell) -> None:
    told = (await one.inside("init")).told
    assert told == {
        "init after SIGSTOP": True,
        "any after SIGSTOP": False,
        "init after SIGKILL": True,
        "any after SIGKILL": False,
        "less of a sacrifice": "EACCES",
        "as much of a sacrifice": "ok",
        "more of the processor": "EACCES",
        "real time": "EPERM",
        "longer files": "ValueError('not allowed to raise maximum limit')",
    }
    bare = (await one.bare("init", changes=NO_WALLS, user="0:0")).told
    assert bare["more of the processor"] == "ok"
