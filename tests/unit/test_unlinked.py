"""Room on a disk without a name, as it is held by processes that do not want it to be found."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from container.unlinked import MAX_MAPS_BYTES, unlinked_mb

MIB = 1024 * 1024
OPEN = """
import os
fd = os.open("big", os.O_RDWR | os.O_CREAT)
os.unlink("big")
os.posix_fallocate(fd, 0, 8 << 20)
"""
LIBC = """
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
"""
MAPPED = """
libc.mmap(None, 4 << 20, 1, 1, fd, 0)
os.close(fd)
"""
LEADERLESS = """
import ctypes, sys, threading

def stay():
    while "Z" not in open(f"/proc/{os.getpid()}/stat").read().rpartition(")")[2].split()[0]:
        pass
    print("ready", flush=True)
    sys.stdin.readline()
    os._exit(0)

threading.Thread(target=stay).start()
ctypes.CDLL(None).pthread_exit(None)
"""
MANY_MAPPINGS = """
for _ in range(8):
    name = "\\n" * 250
    os.mkdir(name)
    os.chdir(name)
fd = os.open("x", os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 4096)
os.unlink("x")
for _ in range(20_000):
    libc.mmap(None, 4096, 1, 1, fd, 0)
"""
MANY_DESCRIPTORS = """
for _ in range(900):
    os.dup(fd)
for _ in range(120):
    if os.fork() == 0:
        break
else:
    print("ready", flush=True)
sys.stdin.readline()
os._exit(0)
"""
READY = """
import sys
print("ready", flush=True)
sys.stdin.readline()
"""

Look = Callable[[str], float | None]


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Look]:
    """Runs a program until it is ready, and looks at it and all that it has started."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "files").mkdir()

    def at(program: str) -> float | None:
        running = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path / "files",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(running)
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        group = tmp_path / "docker" / "id"
        group.mkdir(parents=True)
        (group / "cgroup.procs").write_text("\n".join([str(running.pid), *children]))
        return unlinked_mb("id", tmp_path)

    yield at
    for each in started:
        each.communicate("\n" * 200)


def test_what_is_open_counts(look: Look) -> None:
    assert look(OPEN + READY) == pytest.approx(8, abs=0.1)


def test_what_is_only_mapped_counts_as_far_as_it_is(look: Look) -> None:
    assert look(OPEN + LIBC + MAPPED + READY) == pytest.approx(4, abs=0.1)


def test_what_is_left_when_the_first_thread_has_ended_counts(look: Look) -> None:
    """Its own folder in /proc shows no descriptor and no mapping then."""
    assert look(OPEN + LEADERLESS) == pytest.approx(8, abs=0.1)


def test_mappings_without_end_are_not_read_to_their_end(look: Look) -> None:
    """The kernel writes a name's new-lines as four letters, and every mapping with the whole path."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert look(OPEN + LIBC + MANY_MAPPINGS + READY) == float("inf")
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib * 1024 < MAX_MAPS_BYTES


def test_descriptors_without_end_are_not_counted_to_their_end(look: Look) -> None:
    assert look("import sys" + OPEN + MANY_DESCRIPTORS) == float("inf")
