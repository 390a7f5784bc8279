"""Processes of a round, found by their environment and never by name."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from contextlib import suppress
from pathlib import Path


def below(root: Path) -> list[int]:
    """The pids of the runners that live in `root`, and of whatever they have started."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if os.fsencode(f"{root}/") in environ.read_bytes():
                found.append(int(environ.parent.name))
    return found


def signal_all(root: Path, signum: signal.Signals) -> None:
    """Signals every one of them."""
    for pid in below(root):
        with suppress(ProcessLookupError):
            os.kill(pid, signum)


class Process:
    """A process that is no child of ours."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._pidfd = -1

    def signal(self, signum: signal.Signals) -> None:
        """Absent is success."""
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signum)

    @property
    def ended(self) -> bool:
        """Whether it is dead; from then on there is nothing to signal."""
        if self._pidfd < 0:
            return True
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(0):
            return False
        os.close(self._pidfd)
        self._pidfd = -1
        return True

    async def wait(self, seconds: float) -> bool:
        """Whether it ended in time."""
        if self.ended:
            return True
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pidfd, over.set)
        try:
            async with asyncio.timeout(seconds):
                await over.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._pidfd)
        return self.ended

    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))
