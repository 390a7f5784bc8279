"""Opens for writing what gives orders to the kernel of the host, and writes nothing into it."""

from __future__ import annotations

import glob
import json
import os
import tempfile
from collections.abc import Callable
from typing import Final

from .kernel import Refused, call, outcome

MS_REMOUNT: Final = 0x20
MS_REMOUNT_BIND: Final = 0x1020
SYSRQ: Final = "/proc/sysrq-trigger"
FILES: Final = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/kernel/sysrq",
    "/proc/sys/vm/panic_on_oom",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/fs/suid_dumpable",
    "/proc/sys/fs/file-max",
    "/proc/irq/default_smp_affinity",
    "/sys/kernel/uevent_helper",
    SYSRQ,
)


def opened(path: str) -> None:
    """Raises OSError."""
    os.close(os.open(path, os.O_WRONLY))


def fresh_proc() -> None:
    """The same in a /proc of one's own, on which nothing is covered. Raises OSError, Refused."""
    folder = tempfile.mkdtemp(dir="/workspace")
    call("mount", b"none", folder.encode(), b"proc", 0, None)
    opened(f"{folder}/sys/kernel/core_pattern")


def writable_sys() -> None:
    """What of /sys cannot be written to, after taking that off. Raises OSError, Refused."""
    call("mount", b"none", b"/sys", None, MS_REMOUNT, None)
    call("mount", b"none", b"/sys", None, MS_REMOUNT_BIND, None)
    opened("/sys/module/overlay/parameters/metacopy")


def release_agent() -> None:
    """The program that the host runs when a control group of the first version is empty. Raises OSError, Refused."""
    found = glob.glob("/sys/fs/cgroup/*/release_agent")
    if found:
        opened(found[0])
        return
    for controllers in (b"memory", b"rdma", b"misc", b"none,name=systemd"):
        folder = tempfile.mkdtemp(dir="/workspace")
        try:
            call("mount", b"none", folder.encode(), b"cgroup", 0, controllers)
        except Refused as exc:
            refusal = exc
        else:
            opened(f"{folder}/release_agent")
            return
    raise refusal


def own_bounds() -> None:
    """The container's own bounds. Raises OSError, Refused."""
    files = ("pids/pids.max", "pids.max", "cgroup.procs", "pids/cgroup.procs")
    there = [f"/sys/fs/cgroup/{name}" for name in files if os.path.exists(f"/sys/fs/cgroup/{name}")]
    try:
        opened(there[0])
    except OSError:
        call("mount", b"none", os.path.dirname(there[0]).encode(), None, MS_REMOUNT_BIND, None)
        opened(there[0])


ATTEMPTS: dict[str, Callable[[], object]] = {
    **{path: (lambda path=path: opened(path)) for path in FILES},  # type: ignore[misc]
    "core_pattern in a fresh proc": fresh_proc,
    "sys after a remount": writable_sys,
    "release_agent": release_agent,
    "own bounds": own_bounds,
}


def main() -> None:
    """Prints what came of each."""
    print(json.dumps({name: outcome(attempt) for name, attempt in ATTEMPTS.items()}))


if __name__ == "__main__":
    main()
