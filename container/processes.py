"""A handle on one process that cannot be mistaken for another: a pidfd, and when the process started."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from container.base import BackendError, Exit

_log = logging.getLogger("roost.container")


class Record(BaseModel):
    """A program as the next service finds it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    pid: Annotated[int, Field(gt=1)]
    start_time: str
    labels: dict[str, str]


class Program:
    """A living program, held by a pidfd: a signal through it cannot reach a stranger with the same pid."""

    def __init__(self, record: Record, pidfd: int) -> None:
        self.record = record
        self.pidfd = pidfd
        self._exit: Exit | None = None
        self._over = asyncio.Event()

    def has_ended(self) -> bool:
        """Whether it is dead, reaped or not."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def terminate(self) -> None:
        """Asks the program itself, and nothing that it started, to leave."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)

    def signal_group(self, signum: signal.Signals) -> None:
        """Signals everything in its process group."""
        # An adopted program's pid is free once somebody else has reaped it. The kernel keeps it from being
        # given out while the group has members, so whoever has it now proves that the group is empty.
        if self._over.is_set() or start_time(self.record.pid) not in (None, self.record.start_time):
            return
        try:
            os.killpg(self.record.pid, signum)
        except ProcessLookupError:
            pass
        except PermissionError:
            _log.warning("%s has left processes of another user behind", self.record.name)

    def settle(self, exit_: Exit | None) -> None:
        """Lets every waiter go. None: nobody will know how it ends, the backend was closed."""
        os.close(self.pidfd)
        self._exit = exit_
        self._over.set()

    async def wait(self) -> Exit:
        await self._over.wait()
        if self._exit is None:
            raise BackendError(f"the backend was closed while {self.record.name} was waited for")
        return self._exit


def open_pidfd(record: Record) -> int | None:
    """The process that the record means, or None when it is gone."""
    try:
        pidfd = os.pidfd_open(record.pid)
    except OSError as exc:
        # With EINVAL or ENOENT (it depends on the kernel) the number is now that of a thread.
        if exc.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
            return None
        raise
    if start_time(record.pid) == record.start_time:
        return pidfd
    os.close(pidfd)
    return None


def reap(pidfd: int) -> Exit:
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return Exit(None)
    if result is None:
        return Exit(None)
    return Exit(result.si_status if result.si_code == os.CLD_EXITED else -result.si_status)


def start_time(pid: int) -> str | None:
    """The boot, and clock ticks since then (field 22 of proc(5)'s stat). None: there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name, which may hold spaces and brackets of its own.
    ticks = stat.rpartition(b")")[2].split()[19].decode()
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{ticks}"
