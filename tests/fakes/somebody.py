"""Runs programs as somebody who is not root, and may use Docker: as most services are run."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from shutil import rmtree
from tempfile import mkdtemp
from typing import Final

UID: Final = 65_534
ROOT: Final = Path(__file__).resolve().parents[2]


class Somebody:
    """`home` is theirs alone; `through` is a command that runs the command that follows it as them."""

    def __init__(self, home: Path, through: Sequence[str]) -> None:
        self.home = home
        self.through = through


@contextmanager
def somebody(socket: Path = Path("/var/run/docker.sock")) -> Iterator[Somebody]:
    """For the length of the block. Takes root."""
    home = Path(mkdtemp(prefix="roost-somebody-"))
    stage = Path(mkdtemp(prefix="roost-stage-"))
    try:
        os.chown(home, UID, UID)
        stage.chmod(0o755)
        # Everything else of what is locked to others stays out of sight.
        needed = {ROOT, Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_path("purelib"))}
        rights = f"setpriv --reuid {UID} --regid {socket.stat().st_gid} --clear-groups"
        script = "\n".join(
            ["set -e", *_shown(needed, stage), f"cd {quote(str(ROOT))}", f'exec {rights} "$@"']
        )
        environment = [f"HOME={home}", f"TMPDIR={home}"]
        yield Somebody(home, ["unshare", "--mount", "sh", "-c", script, "sh", "env", *environment])
    finally:
        rmtree(home, ignore_errors=True)
        rmtree(stage, ignore_errors=True)


def _shown(paths: set[Path], stage: Path) -> list[str]:
    """What mounts these paths, and nothing else, over the first folder on the way to each that others may not enter."""
    lines: list[str] = []
    tops: dict[Path, Path] = {}
    for path in sorted(path for path in paths if not paths.intersection(path.parents)):
        locked = next(
            (each for each in reversed([path, *path.parents]) if not each.stat().st_mode & 0o001), None
        )
        if locked is None:
            continue
        top = tops.setdefault(locked, stage / str(len(tops)))
        there = quote(str(top / path.relative_to(locked)))
        lines += [f"mkdir -p {there}", f"mount --bind {quote(str(path))} {there}"]
        lines.append(f"mount -o remount,bind,ro {there}")
    return lines + [f"mount --rbind {quote(str(top))} {quote(str(locked))}" for locked, top in tops.items()]
