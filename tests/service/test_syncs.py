"""What one message costs in syncs, counted in the real service and its real runner."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.bench import syncs
from tests.bench.figures import MAX_SYNCS

MESSAGES = 30
TIMEOUT_SECONDS = 60.0


@pytest.mark.skipif(
    shutil.which("strace") is None and os.environ.get("CI") != "true",
    reason="strace is not installed, and nothing else counts system calls",
)
def test_a_message_costs_no_more_syncs_than_agreed(tmp_path: Path) -> None:
    counted = syncs.count(tmp_path, MESSAGES, timeout_seconds=TIMEOUT_SECONDS)
    assert counted.per_message <= MAX_SYNCS, counted
    # Less would mean that something durable is not, or that nothing was counted.
    for file in ("bot.db-wal", "outbound.db-journal", "outbound.db"):
        assert counted.by_file.get(file, 0) >= MESSAGES, counted


def test_only_what_lies_between_the_markers_counts() -> None:
    trace = """\
7  fsync(3</data/early>) = 0
7  chdir("/elsewhere") = 0
7  chdir("/roost-bench-begin") = -1 ENOENT (No such file or directory)
7  fdatasync(9</data/bot.db-wal> <unfinished ...>
8  fsync(3</data/sessions/a b/out>) = 0
7  <... fdatasync resumed>) = 0
9  chdir("/elsewhere") = 0
9  fdatasync(4</data/outbound.db-journal (deleted)>) = 0
9  msync(0x7f0000000000, 4096, MS_SYNC) = 0
9  sync() = 0
9  +++ exited with 0 +++
7  chdir("/roost-bench-end") = -1 ENOENT (No such file or directory)
7  fsync(3</data/late>) = 0
"""
    assert syncs.between_markers(trace.splitlines()) == {
        "bot.db-wal": 1,
        "out": 1,
        "outbound.db-journal (deleted)": 1,
        "msync": 1,
        "sync": 1,
    }


def test_without_strace_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(syncs.NotTraced, match="strace is not installed"):
        syncs.count(tmp_path, 1, timeout_seconds=1)


def test_a_service_that_fails_is_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strace = tmp_path / "strace"
    strace.write_text("#!/bin/sh\necho 'strace: ptrace: Operation not permitted' >&2\nexit 1\n")
    strace.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(syncs.NotTraced, match="Operation not permitted"):
        syncs.count(tmp_path, 1, timeout_seconds=10)
