"""A service that is not root, and what is between it and the container's user, who is a third one."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from bot.folder import FOLDER_MODES
from bot.handover import CONTAINER_UID
from tests.fakes.piped import piped
from tests.fakes.somebody import ROOT, UID, Somebody, somebody
from tests.service.conftest import House

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else"),
]

FILE: Final = {
    "match": "file",
    "steps": [
        {"do": "tool", "name": "send_file", "arguments": {"path": "made.txt", "text": "Here."}},
        {"do": "result", "text": None},
    ],
}


@pytest.fixture
def user() -> Iterator[Somebody]:
    with somebody() as made:
        yield made


@pytest.fixture
def theirs(user: Somebody, image: str) -> Iterator[House]:
    """A house in the user's home."""
    house = House(user.home, "docker")
    yield house
    house.close()


async def test_a_conversation_goes_on_over_a_restart(theirs: House, user: Somebody) -> None:
    theirs.script(FILE)
    async with piped(theirs, through=user.through) as service:
        await service.say("hello")
        await service.until(lambda heard: service.sent() == ["You said: hello"])
        assert Path(f"/proc/{service.process.pid}").stat().st_uid == UID
        (folder,) = (theirs.data / "sessions").iterdir()
        (folder / "work" / "made.txt").write_text("made")
        await service.say("file")
        await service.until(lambda heard: len(service.sent()) == 3)
        (file,) = [each["file"] for each in service.heard if each.get("file")]
        assert file == "made.txt"
        (before,) = theirs.containers.living()
        await service.end(signal.SIGTERM)
    assert service.process.returncode == 0
    async with piped(theirs, through=user.through) as service:
        await service.say("again")
        await service.until(lambda heard: service.sent() == ["You said: again"])
        (after,) = theirs.containers.living()
        assert after["Id"] == before["Id"]
        await service.end(signal.SIGTERM)
    found = {name: os.stat(folder / name) for name in ("", *FOLDER_MODES)}
    assert {name: stat.S_IMODE(each.st_mode) for name, each in found.items()} == {"": 0o700, **FOLDER_MODES}
    assert {each.st_uid for each in found.values()} == {UID}
    outbound = os.stat(folder / "out" / "outbound.db")
    assert (outbound.st_uid, stat.S_IMODE(outbound.st_mode)) == (CONTAINER_UID, 0o644)


def test_what_the_container_owns_is_removed_by_a_container(theirs: House, user: Somebody, image: str) -> None:
    tree = user.home / "left"
    locked = tree / "out" / "locked"
    locked.mkdir(parents=True)
    (locked / "file").write_text("left")
    (tree / "theirs").write_text("left")
    for path in (locked, locked / "file"):
        os.chown(path, CONTAINER_UID, CONTAINER_UID)
    for path in (tree, tree / "out", tree / "theirs"):
        os.chown(path, UID, UID)
    (tree / "out").chmod(0o777)
    locked.chmod(0)
    done = subprocess.run(
        [
            *(*user.through, sys.executable, "-m", "tests.fakes.programs.clear_folder"),
            *(str(tree), image, theirs.containers.name),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.split(), done.returncode) == (["False", "True"], 0), done.stderr
    assert not tree.exists()
