"""How much memory a program has for itself: what is anonymous, since the rest is the kernel's to take back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
PLACES: Final = (
    ("memory/docker/{id}", "total_rss"),
    ("memory/system.slice/docker-{id}.scope", "total_rss"),
    ("docker/{id}", "anon"),
    ("system.slice/docker-{id}.scope", "anon"),
)
"""Where the engine puts a container's cgroup, of either version and by either driver, and the key in its
memory.stat; see the kernel's admin-guide/cgroup-v1/memory and cgroup-v2."""
MIB: Final = 1024 * 1024
MAX_PROCESSES: Final = 1_000


def anonymous_mb(container: str, cgroups: Path = CGROUPS) -> float | None:
    """Of a container, by its full id, in MiB; None where the engine keeps its cgroups elsewhere."""
    for place, key in PLACES:
        try:
            text = (cgroups / place.format(id=container) / "memory.stat").read_text()
        except OSError:
            continue
        fields = dict(line.split(" ", 1) for line in text.splitlines())
        return int(fields[key]) / MIB
    return None


def process_mb(pid: int) -> float | None:
    """Of a process and all that it has started, in MiB; None when it is gone."""
    found = [kib for each in _family(pid) if (kib := _anonymous_kib(each)) is not None]
    return sum(found) / 1024 if found else None


def _family(pid: int) -> Iterator[int]:
    waiting, left = [pid], MAX_PROCESSES
    while waiting and left:
        left -= 1
        each = waiting.pop()
        yield each
        try:
            waiting += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
        except OSError:
            continue


def _anonymous_kib(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon:")), None)
