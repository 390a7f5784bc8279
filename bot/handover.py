"""Hands over to the user in a container what an earlier runner, outside of one, has left in the session's folders.

A trial on the process backend leaves files that belong to the service's own user, and nobody in a container could go
on with them.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.protocol.workspace import Workspace
from bot import log

CONTAINER_UID: Final = 10_001
CONTAINER_GID: Final = 10_001
MAX_FILES: Final = 1_000_000
MAX_DEPTH: Final = 100
"""Of folders in folders. A walk takes a descriptor and a call of a function for each."""

_log = log.get("roost.handover")


def hand_over(workspace: Workspace) -> None:
    """Looks at outbound.db, which every runner writes first: is it the container's, so is all the rest."""
    try:
        owner = os.stat(workspace.outbound, follow_symlinks=False).st_uid
    except OSError:
        return
    if owner != os.geteuid():
        # The container's own, whatever its user is called on this side of the engine.
        return
    _log.info("the files of a session are handed over to its container", folder=str(workspace.outbox.parent))
    left = MAX_FILES
    for folder in (workspace.outbox, workspace.home, workspace.work):
        left = _give(folder, left)


def _give(folder: Path, left: int) -> int:
    """Whatever is below the folder, links not being followed. What cannot be given stays, and is met again."""
    deepest = len(folder.parts) + MAX_DEPTH
    for path, folders, files, at in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *files):
            left -= 1
            if left < 0:
                return 0
            with suppress(OSError):
                _give_one(name, at)
        if len(Path(path).parts) >= deepest:
            folders.clear()
    return left


def _give_one(name: str, at: int) -> None:
    found = os.stat(name, dir_fd=at, follow_symlinks=False)
    if os.geteuid() == 0:
        # A second name of a file may be somewhere else, where it is somebody else's.
        if stat.S_ISDIR(found.st_mode) or found.st_nlink == 1:
            os.chown(name, CONTAINER_UID, CONTAINER_GID, dir_fd=at, follow_symlinks=False)
        return
    # By a descriptor: chmod follows links, and a link may have taken the place of the file by now.
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    try:
        found = os.fstat(fd)
        if not stat.S_ISLNK(found.st_mode) and found.st_uid == os.geteuid():
            execute = 0o111 if found.st_mode & stat.S_IXUSR else 0
            mode = stat.S_IMODE(found.st_mode) | 0o666 | execute
            os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)
