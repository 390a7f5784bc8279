"""What a container is made with: everything that keeps whoever is in it from anything outside.

The program in it is taken for an attacker who runs what code he likes as an unprivileged user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from docker import APIClient
from docker.types import LogConfig, Ulimit
from docker.types import Mount as EngineMount

from container.base import Limits, Mount, Spec
from container.seccomp import profile

USER: Final = "10001:10001"
"""Nobody on the host, and nobody who owns anything that is mounted read-only."""
HOST_NAME: Final = "roost"
OPEN_FILES: Final = 4096
KILLED_BEFORE_THE_SERVICE: Final = 500
"""The kernel's oom_score_adj: an agent dies before the host's own programs do."""
LOG_OPTIONS: Final = {"max-size": "1m", "max-file": "1"}
"""A program that prints without end fills this and nothing more."""
NO_NAME_SERVER: Final = "127.0.0.1"
"""Nobody answers there. Without one of ours the engine writes the host's into /etc/resolv.conf, and its domain."""
HIDDEN: Final = [
    "/dev/mqueue",
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/pressure",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
]
"""What tells of the whole machine, takes orders about it as /proc/pressure does, or takes from what all containers have
together, as a message queue does. Engines have such lists, too, which differ by their versions; this one takes their
place."""
UNCHANGEABLE: Final = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
_MIB: Final = 1024 * 1024


def creation(client: APIClient, spec: Spec, labels: Mapping[str, str], runtime: str | None) -> dict[str, Any]:
    """The arguments of `APIClient.create_container` for `spec`."""
    return {
        "image": spec.image,
        "command": list(spec.command),
        "name": spec.name,
        "hostname": HOST_NAME,
        "user": USER,
        "environment": dict(spec.env),
        "working_dir": str(spec.workdir),
        "labels": dict(labels),
        # Otherwise the engine's client puts the proxies of its own configuration in, with their passwords.
        "use_config_proxy": False,
        "host_config": host_config(client, spec.mounts, spec.limits, runtime),
    }


def host_config(client: APIClient, mounts: Sequence[Mount], limits: Limits, runtime: str | None) -> Any:
    """No network, no capability, no way to get any, nothing writable but what is meant to be, and bounds on all else.
    See `docker run --help`, whose options these are."""
    memory = limits.memory_mb * _MIB
    size = limits.file_mb * _MIB
    temporary = f"rw,noexec,nosuid,nodev,size={limits.tmp_mb}m,mode=1777"
    config = client.create_host_config(
        network_mode="none",
        ipc_mode="none",
        cgroupns="private",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges", f"seccomp={profile()}"],
        # Python's multiprocessing keeps its locks in /dev/shm, which the engine leaves out with IPC.
        tmpfs=dict.fromkeys(("/tmp", "/dev/shm"), temporary),  # noqa: S108
        dns=[NO_NAME_SERVER],
        dns_search=["."],
        mounts=[_bind(mount) for mount in mounts],
        mem_limit=memory,
        memswap_limit=memory,
        nano_cpus=int(limits.cpus * 1e9),
        pids_limit=limits.pids,
        ulimits=[
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="fsize", soft=size, hard=size),
            Ulimit(name="nofile", soft=OPEN_FILES, hard=OPEN_FILES),
        ],
        oom_score_adj=KILLED_BEFORE_THE_SERVICE,
        restart_policy={"Name": "no"},
        log_config=LogConfig(type=LogConfig.types.JSON, config=LOG_OPTIONS),
        runtime=runtime,
    )
    # The engine's client has no arguments for these.
    return {**config, "MaskedPaths": HIDDEN, "ReadonlyPaths": UNCHANGEABLE}


def _bind(mount: Mount) -> EngineMount:
    return EngineMount(
        target=str(mount.target),
        source=str(mount.source),
        type="bind",
        read_only=not mount.writable,
        propagation="rprivate",
    )
