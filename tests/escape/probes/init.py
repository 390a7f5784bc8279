"""Turns on the container's first process, which everything else in it hangs on, and on what keeps its own bounds."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from .kernel import outcome


def state(pid: int) -> str:
    """One letter; see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]


def victim() -> int:
    """A process like any other, for comparison."""
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    return child


def main() -> None:
    """Prints what came of it."""
    told: dict[str, object] = {}
    child = victim()
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for name, pid in (("init", 1), ("any", child)):
            os.kill(pid, number)
            if pid == child:
                os.waitpid(child, os.WUNTRACED)
            told[f"{name} after {number.name}"] = (
                state(pid) in "SRD" if os.path.exists(f"/proc/{pid}") else False
            )
    told["less of a sacrifice"] = outcome(lambda: Path("/proc/self/oom_score_adj").write_text("-500"))
    told["as much of a sacrifice"] = outcome(lambda: Path("/proc/self/oom_score_adj").write_text("500"))
    told["more of the processor"] = outcome(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))
    told["real time"] = outcome(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
    told["longer files"] = outcome(lambda: _raise_limit())
    print(json.dumps(told))


def _raise_limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
