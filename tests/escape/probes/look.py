"""Looks around: everything that a program in the container can see of where it is, printed and told."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

NOT_FILES: Final = ("/proc", "/sys")
"""Trees that the kernel makes up; in them it is asked which files open for writing, not what their modes say."""
MOST: Final = 500
"""So many of a kind are told; the log of a container holds no more than a megabyte."""
SPARED: Final = ("/proc/self/", "/proc/thread-self/", "/proc/1/")
"""A process's own files, which it may change: they are about itself and nothing else."""


def status() -> dict[str, str]:
    """/proc/self/status, of which the user, the capabilities and the filter are wanted."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}


def mounts() -> list[dict[str, str]]:
    """/proc/self/mountinfo; see proc(5)."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, source, options) = before.split(), after.split(maxsplit=2)
        found.append(
            {
                "at": fields[4],
                "root": fields[3],
                "flags": fields[5],
                "kind": kind,
                "source": source,
                "options": options,
            }
        )
    return found


def limits() -> dict[str, list[str]]:
    """/proc/self/limits: soft and hard."""
    lines = Path("/proc/self/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[:2] for line in lines}


def bounds() -> dict[str, str]:
    """Those of the control group, of either version of cgroups, as far as it shows them."""
    wanted = (
        "memory.max memory.swap.max pids.max cpu.max memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes"
        " pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us"
    )
    root = Path("/sys/fs/cgroup")
    return {name: (root / name).read_text().strip() for name in wanted.split() if (root / name).exists()}


def tree() -> Iterator[str]:
    """Every file and folder that is no invention of the kernel's."""
    for folder, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in NOT_FILES]
        yield folder
        yield from (os.path.join(folder, name) for name in files)


def files() -> dict[str, list[str]]:
    """Where a program may write, what makes it somebody else, and what stands open to all."""
    found: dict[str, list[str]] = {"writable": [], "setuid": [], "devices": [], "sockets": [], "loose": []}
    for path in tree():
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue
        if stat.S_ISLNK(mode):
            continue
        if os.access(path, os.W_OK):
            found["writable"].append(path)
        if mode & (stat.S_ISUID | stat.S_ISGID) and stat.S_ISREG(mode):
            found["setuid"].append(path)
        if mode & stat.S_IWOTH:
            found["loose"].append(path)
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            found["devices"].append(path)
        if stat.S_ISSOCK(mode):
            found["sockets"].append(path)
    return {kind: paths[:MOST] for kind, paths in found.items()}


def inventions() -> list[str]:
    """The files of /proc and /sys that open for writing, but those about the process itself."""
    found = []
    for top in NOT_FILES:
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if not name.isdecimal() and name != "task"]
            for name in names:
                path = os.path.join(folder, name)
                if path.startswith(SPARED) or not os.access(path, os.W_OK) or is_null(path):
                    continue
                try:
                    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
                except OSError:
                    continue
                found.append(path)
    return found[:MOST]


def is_null(path: str) -> bool:
    """Whether /dev/null covers it."""
    return os.stat(path).st_rdev == os.makedev(1, 3)


def network() -> dict[str, Any]:
    """Interfaces and routes, of both versions of IP."""
    return {
        "interfaces": [name for _, name in socket.if_nameindex()],
        "routes": Path("/proc/net/route").read_text().splitlines()[1:],
        "routes6": [line.split() for line in Path("/proc/net/ipv6_route").read_text().splitlines()],
        "unix": Path("/proc/net/unix").read_text().splitlines()[1:],
        "resolvers": Path("/etc/resolv.conf").read_text().splitlines(),
    }


def processes() -> list[str]:
    """Who else is there, by command."""
    found = []
    for entry in sorted(filter(str.isdecimal, os.listdir("/proc")), key=int):
        command = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
        found.append(f"{entry} {command[0].decode()}")
    return found


def privileged(path: str) -> bool:
    """Whether a file has capabilities of its own, which whoever runs it has then."""
    try:
        return bool(os.getxattr(path, "security.capability", follow_symlinks=False))
    except OSError:
        return False


def plant() -> None:
    """What should not be there, for a look that has to find it. Raises OSError for whoever may not."""
    open("/var/tmp/setuid", "w").close()
    os.chmod("/var/tmp/setuid", 0o4755)  # noqa: S103
    open("/var/tmp/privileged", "w").close()
    # Version 2, effective, CAP_NET_RAW; see vfs_cap_data in <linux/capability.h>.
    os.setxattr(
        "/var/tmp/privileged", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
    )
    os.mknod("/var/tmp/disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    os.chmod("/var/tmp/disk", 0o666)  # noqa: S103


def main() -> None:
    """Prints each part with its name, and all of them in the last line."""
    if "plant" in sys.argv[1:]:
        plant()
    found: dict[str, Any] = {
        "environment": dict(os.environ),
        "status": status(),
        "mounts": mounts(),
        "limits": limits(),
        "bounds": bounds(),
        "sacrifice": Path("/proc/self/oom_score_adj").read_text().strip(),
        "network": network(),
        "processes": processes(),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "files": files(),
        "inventions": inventions(),
        "privileged": [path for path in tree() if privileged(path)],
    }
    for name, value in found.items():
        print(f"--- {name}")
        for line in (
            value if isinstance(value, list) else value.items() if isinstance(value, dict) else [value]
        ):
            print(f"    {line}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
