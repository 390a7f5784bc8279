"""How often host and runner wait for the disk: counted by strace in a service of its own.

As a program, this is that service: DATA MESSAGES. What depends on how long something takes is put out of
reach in it, so that a message costs the same number of calls however slow the machine is.

    NotTraced                   strace is missing or could not do its work; the text says which
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from unittest import mock

from bot.db import engine
from container.base import Spec
from container.process import ProcessBackend
from tests.bench.figures import ROOT
from tests.bench.service import open_room

WARM_UP: Final = 20
LONG_SECONDS: Final = 60.0
SYNCS: Final = ("fsync", "fdatasync", "sync_file_range", "msync", "sync", "syncfs")
MARKER: Final = "chdir"
"""A call that goes by this name on every machine; nobody else asks for a folder of these names."""
BEGIN: Final = "/roost-bench-begin"
END: Final = "/roost-bench-end"
_CALL: Final = re.compile(r'\d+ +(?P<call>\w+)\((?:\d+<(?P<path>[^>]*)>|"(?P<folder>[^"]*)")?')


class NotTraced(Exception):
    """Raised when the calls cannot be counted here."""


@dataclass(frozen=True)
class Syncs:
    """What `messages` messages cost, in calls. `by_file` goes by the name of the file or folder."""

    messages: int
    by_file: dict[str, int]

    @property
    def per_message(self) -> float:
        """Calls for one message."""
        return sum(self.by_file.values()) / self.messages


def count(data: Path, messages: int, *, timeout_seconds: float) -> Syncs:
    """Runs the service under strace, with its data in `data`. Raises NotTraced."""
    if shutil.which("strace") is None:
        raise NotTraced("strace is not installed")
    trace = data / "trace"
    traced = f"trace={','.join((MARKER, *SYNCS))}"
    strace = ["strace", "-f", "-y", "-qq", "--seccomp-bpf", "--signal=none", "-e", traced, "-o", str(trace)]
    try:
        subprocess.run(
            [*strace, sys.executable, "-m", "tests.bench.syncs", str(data), str(messages)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=True,
        )
    except subprocess.CalledProcessError as exc:
        raise NotTraced(f"the traced service failed: {exc.stderr.strip()}") from exc
    except subprocess.TimeoutExpired as exc:
        raise NotTraced(f"the traced service took longer than {timeout_seconds:.0f} s") from exc
    return Syncs(messages, dict(between_markers(trace.read_text().splitlines())))


def between_markers(lines: Iterable[str]) -> Counter[str]:
    """Counts the syncs of a trace by file. A call that strace shows in two lines counts with the first."""
    found: Counter[str] = Counter()
    counting = False
    for call in filter(None, map(_CALL.match, lines)):
        if call["call"] != MARKER:
            found[Path(call["path"] or call["call"]).name] += counting
        elif call["folder"] in (BEGIN, END):
            counting = call["folder"] == BEGIN
    return +found


class Unhurried(ProcessBackend):
    """Its runners answer before they would claim a message on the disk, however long that takes them."""

    async def start(self, spec: Spec) -> None:
        await super().start(replace(spec, env={**spec.env, "AGENT_CLAIM_MS": str(int(LONG_SECONDS * 1000))}))


async def serve(data: Path, messages: int) -> None:
    """Answers messages one after the other, and marks those that count."""
    backend = Unhurried(data / "run", "bench")
    try:
        async with open_room(data, backend) as room:
            for _ in range(WARM_UP):
                await room.ask("place", "warm up")
            _mark(BEGIN)
            for number in range(messages):
                await room.ask("place", f"message {number}")
            _mark(END)
    finally:
        await backend.aclose()


def _mark(name: str) -> None:
    with suppress(FileNotFoundError):
        os.chdir(name)


if __name__ == "__main__":
    with mock.patch.object(engine, "LATER_SECONDS", LONG_SECONDS):
        asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
