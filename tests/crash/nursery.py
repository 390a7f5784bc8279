"""Where services are born: a process that has loaded all the code once and forks a service whenever one is asked
for, which is twenty times as fast as loading it again.

It reads a line of JSON for each, `{"root": ..., "point": ..., "runner_points": [...]}`, and answers with the pid.
When its input ends, so do the services.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from agent.protocol import failpoint
from tests.crash import service

ROOT: Final = Path(__file__).parents[2]


class Nursery:
    """The process, for whoever wants services. `async with` it."""

    async def __aenter__(self) -> Nursery:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.crash.nursery",
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._one = asyncio.Lock()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def born(self, root: Path, point: str | None, runner_points: Sequence[str | None]) -> int:
        """The pid of a new service that lives in `root`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"root": str(root), "point": point, "runner_points": list(runner_points)}
        async with self._one:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            return int(await self._process.stdout.readline())


def _live(order: dict[str, Any]) -> None:
    root = Path(order["root"])
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    said = os.open(root / "stderr.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd, target in ((nothing, 0), (nothing, 1), (said, 2)):
        os.dup2(fd, target)
    os.closerange(3, 100)
    if order["point"] is not None:
        os.environ[failpoint.VARIABLE] = order["point"]
        importlib.reload(failpoint)
    service.main(root, order["runner_points"])


def main() -> None:
    # Nobody waits for the services here; the kernel forgets them by itself.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    born: list[int] = []
    """Descriptors of the services, which no other process can come to have."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                _live(json.loads(line))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        with suppress(ProcessLookupError):
            born.append(os.pidfd_open(pid))
        print(pid, flush=True)
        born = [pidfd for pidfd in born if _lives(pidfd)]
    for pidfd in born:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _lives(pidfd: int) -> bool:
    """Closes the descriptor of one that has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(0):
        return True
    os.close(pidfd)
    return False


if __name__ == "__main__":
    main()
