"""Files that are handed over to the user in a container: those of the session, and nothing that a link leads to."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.protocol.workspace import Workspace
from bot.handover import CONTAINER_GID, CONTAINER_UID, MAX_DEPTH, hand_over
from bot.removal import remove
from tests.fakes.hostile import NOBODY, deepen

ROOT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
TRIES = 20_000

RACE = """
import os, sys
from pathlib import Path
from agent.protocol.workspace import Workspace
from bot import handover
root, way, tries = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if os.geteuid() == 0:
    os.setgid({nobody})
    os.setuid({nobody})
work, victim = root / "work", root / "victim"
(work / "a").touch()
(work / "b").symlink_to(victim)
os.close(os.open(victim, os.O_CREAT, 0o600))
os.chmod(victim, 0o600)
if os.fork() == 0:
    while True:
        os.rename(work / "a", work / "c")
        os.rename(work / "b", work / "a")
        os.rename(work / "c", work / "b")
at = os.open(work, os.O_RDONLY)
swapping = os.getpid()
for _ in range(tries):
    try:
        if way == "ours":
            handover._give_one("a", at)
        elif not os.path.islink(work / "a"):
            os.chmod("a", 0o666, dir_fd=at)
    except FileNotFoundError:
        pass
    if os.stat(victim).st_mode & 0o777 != 0o600:
        print("the victim was opened up")
        break
os.killpg(0, 9)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace.on_host(tmp_path / "session")
    for folder in (made.outbox, made.home, made.work):
        folder.mkdir(parents=True)
    made.outbound.touch()
    yield made
    remove(made.work)


def owner(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid


@needs_root
def test_what_an_earlier_runner_has_left_is_the_containers(workspace: Workspace) -> None:
    (workspace.work / "a").mkdir()
    for file in (workspace.work / "a" / "b", workspace.home / "c"):
        file.touch()
    hand_over(workspace)
    for path in (workspace.outbound, workspace.work / "a", workspace.work / "a" / "b", workspace.home / "c"):
        assert owner(path) == (CONTAINER_UID, CONTAINER_GID)


@needs_root
def test_what_is_the_containers_already_is_not_walked_through(workspace: Workspace) -> None:
    (workspace.work / "a").touch()
    os.chown(workspace.outbound, CONTAINER_UID, CONTAINER_GID)
    hand_over(workspace)
    assert owner(workspace.work / "a") == (0, 0)


@needs_root
def test_no_link_leads_out_of_the_session(workspace: Workspace, tmp_path: Path) -> None:
    secret, folder = tmp_path / "secret", tmp_path / "folder"
    secret.touch(0o600)
    folder.mkdir(0o700)
    (folder / "in it").touch(0o600)
    before = [path.lstat() for path in (secret, folder, folder / "in it")]
    (workspace.work / "link").symlink_to(secret)
    (workspace.work / "folder").symlink_to(folder)
    os.link(secret, workspace.outbox / "second name")
    hand_over(workspace)
    assert owner(workspace.work / "link") == (CONTAINER_UID, CONTAINER_GID)
    for was, path in zip(before, (secret, folder, folder / "in it"), strict=True):
        assert owner(path) == (was.st_uid, was.st_gid)
        assert stat.S_IMODE(path.lstat().st_mode) == stat.S_IMODE(was.st_mode)


@needs_root
def test_a_tree_of_any_depth_is_gone_through_as_far_as_is_sensible(workspace: Workspace) -> None:
    deepen(workspace.work, 3 * sys.getrecursionlimit())
    (workspace.work / "z").touch()
    hand_over(workspace)
    assert owner(workspace.work / "z") == (CONTAINER_UID, CONTAINER_GID)
    assert owner(workspace.work.joinpath(*["d"] * MAX_DEPTH)) == (CONTAINER_UID, CONTAINER_GID)
    # Whoever tidies up after the tests would get lost in it.
    assert remove(workspace.work)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user gets to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    (folder / "work").mkdir()
    (folder / "work").chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(("way", "said"), [("ours", ""), ("trusting", "the victim was opened up\n")])
def test_a_link_that_takes_the_place_of_a_file_is_not_followed(
    open_folder: Path, way: str, said: str
) -> None:
    """A service that is not root opens its files up; a trusting one opens the victim up before long."""
    done = subprocess.run(
        [sys.executable, "-u", "-c", RACE.format(nobody=NOBODY), str(open_folder), way, str(TRIES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == (said, "")
