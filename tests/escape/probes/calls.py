"""Asks the kernel for everything that leads out of a container, and prints what it has answered.

Every call is harmless where it is granted: its arguments are nonsense, or what it does stays in the container.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import socket
import tempfile
import time
from collections.abc import Callable
from typing import Final

from .kernel import ARM, LIBC, Refused, answered, call, outcome

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
CLONE_THREAD: Final = 0x00010000
CLOSE_RANGE_UNSHARE: Final = 2
PTRACE_SEIZE: Final = 0x4206
GHOST: Final = 2**31 - 1
"""No process, file or keyring has this number."""
CLONE_FLAGS: Final = {
    "user": CLONE_NEWUSER,
    "mount": CLONE_NEWNS,
    "network": CLONE_NEWNET,
    "pid": 0x20000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
    "time": 0x00000080,
}
UPPER_HALF: Final = 1 << 32
"""The kernel takes some arguments for 32 bits and never looks at what stands above them; a filter does."""


def mount_tmpfs() -> None:
    """A file system of one's own."""
    call("mount", b"none", b"/mnt", b"tmpfs", 0, None)


def mount_over_proc() -> None:
    """What masks parts of /proc comes off."""
    call("mount", b"none", b"/proc/acpi", b"tmpfs", 0, None)


def make_device() -> None:
    """The memory of the machine."""
    path = os.path.join(tempfile.mkdtemp(dir="/workspace"), "mem")
    call("mknodat", -100, path.encode(), 0o020600, os.makedev(1, 1))
    os.unlink(path)


def clone(flags: int) -> Callable[[], None]:
    """A child in a namespace of its own."""

    def attempt() -> None:
        child = call("clone", flags | 17, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    return attempt


def clone3() -> None:
    """The same through the call whose flags no filter can see."""
    asked = (ctypes.c_uint64 * 11)(CLONE_NEWUSER, 0, 0, 0, 17)
    child = call("clone3", ctypes.byref(asked), ctypes.sizeof(asked))
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def other() -> int:
    """A process to be looked into."""
    child = os.fork()
    if child == 0:
        time.sleep(5)
        os._exit(0)
    return child


def trace_other() -> None:
    """Another process as a puppet."""
    call("ptrace", PTRACE_SEIZE, other(), 0, 0)


class Vector(ctypes.Structure):
    """iovec of process_vm_readv(2)."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read_other(name: str = "process_vm_readv") -> None:
    """Another process's memory."""
    word = ctypes.create_string_buffer(b"word")
    vector = Vector(ctypes.addressof(word), 4)
    call(name, other(), ctypes.byref(vector), 1, ctypes.byref(vector), 1, 0)


def steal_descriptor() -> None:
    """Another process's open files."""
    call("pidfd_getfd", call("pidfd_open", other(), 0), 0, 0)


def io_uring() -> None:
    """The way into the kernel around every filter of system calls."""
    parameters = ctypes.create_string_buffer(120)
    call("io_uring_setup", 1, parameters)


def io_setup() -> None:
    """Asynchronous I/O, of which the whole machine has a fixed number."""
    call("io_setup", 1, ctypes.byref(ctypes.c_ulong(0)))


def lease(command: int) -> Callable[[], None]:
    """Whoever opens the file waits for its holder, also on the host."""

    def attempt() -> None:
        with tempfile.NamedTemporaryFile(dir="/workspace") as file:
            fd = os.open(file.name, os.O_RDWR)
            file.close()
            call("fcntl", fd, command, fcntl.F_WRLCK)

    return attempt


def open_socket(family: int, kind: int, protocol: int = 0) -> Callable[[], None]:
    """A socket of a family."""

    def attempt() -> None:
        answered(LIBC.socket(family, kind, protocol))

    return attempt


def old_call() -> None:
    """getpid by the number and the gate of 32 bit programs, where no rule is written for them."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20; int 0x80; ret
    entry = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    if entry() != os.getpid():
        raise Refused("EPERM")


def x32_call() -> None:
    """getpid by its number among those of x32."""
    answered(LIBC.syscall(ctypes.c_long(0x40000000 | 39)))


ATTEMPTS: dict[str, Callable[[], object]] = {
    "mount tmpfs": mount_tmpfs,
    "mount over proc": mount_over_proc,
    "umount2": lambda: call("umount2", b"/session/in/none", 0),
    "fsopen": lambda: call("fsopen", b"tmpfs", 0),
    "open_tree": lambda: call("open_tree", -100, b"/", 1),
    "move_mount": lambda: call("move_mount", GHOST, b"", GHOST, b"", 0),
    "mount_setattr": lambda: call("mount_setattr", GHOST, b"", 0, None, 0),
    "pivot_root": lambda: call("pivot_root", b"/none", b"/none"),
    "chroot": lambda: call("chroot", b"/tmp"),
    "mknod a device": make_device,
    **{f"unshare {name}": (lambda flag=flag: call("unshare", flag)) for name, flag in CLONE_FLAGS.items()},  # type: ignore[misc]
    **{f"clone {name}": clone(flag) for name, flag in CLONE_FLAGS.items() if name != "time"},
    "clone3 user": clone3,
    # Without CLONE_SIGHAND, so that the kernel itself makes none where it is asked.
    "a thread with files of its own": lambda: call("clone", CLONE_THREAD, 0, 0, 0, 0),
    "close_range with files of its own": lambda: call("close_range", GHOST, GHOST, CLOSE_RANGE_UNSHARE),
    "setns": lambda: call("setns", os.open("/proc/self/ns/uts", os.O_RDONLY), 0),
    "ptrace": trace_other,
    "process_vm_readv": read_other,
    "process_vm_writev": lambda: read_other("process_vm_writev"),
    "pidfd_getfd": steal_descriptor,
    "kcmp": lambda: call("kcmp", os.getpid(), os.getppid(), 0, 0, 0),
    "io_uring_setup": io_uring,
    "io_setup": io_setup,
    "mq_open": lambda: call("mq_open", b"queue", os.O_CREAT | os.O_RDWR, 0o600, None),
    "bpf": lambda: call("bpf", GHOST, None, 0),
    "keyctl": lambda: call("keyctl", 0, -3, 0),
    "add_key": lambda: call("add_key", b"user", b"a", b"b", 1, -3),
    "request_key": lambda: call("request_key", b"user", b"none", None, 0),
    "userfaultfd": lambda: call("userfaultfd", os.O_CLOEXEC),
    "perf_event_open": lambda: call("perf_event_open", None, 0, -1, -1, 0),
    "name_to_handle_at": lambda: call("name_to_handle_at", -100, b"/none", None, None, 0),
    "open_by_handle_at": lambda: call("open_by_handle_at", GHOST, None, 0),
    "fanotify_init": lambda: call("fanotify_init", 0, 0),
    "init_module": lambda: call("init_module", None, 0, None),
    "finit_module": lambda: call("finit_module", GHOST, None, 0),
    "delete_module": lambda: call("delete_module", b"no_such_module", 0),
    "kexec_load": lambda: call("kexec_load", 0, 0, None, GHOST),
    "reboot": lambda: call("reboot", 0, 0, 0, None),
    "swapon": lambda: call("swapon", None, 0),
    "settimeofday": lambda: call("settimeofday", None, None),
    "sethostname": lambda: call("sethostname", None, -1),
    "syslog": lambda: call("syslog", 10, None, 0),
    "acct": lambda: call("acct", b"/no/such/file"),
    "quotactl": lambda: call("quotactl", 0, b"/none", 0, None),
    "personality without randomness": lambda: call("personality", 0x0040000),
    "lease": lease(fcntl.F_SETLEASE),
    "lease by a wider number": lease(fcntl.F_SETLEASE | UPPER_HALF),
    "AF_PACKET": open_socket(socket.AF_PACKET, socket.SOCK_DGRAM),
    "AF_ALG": open_socket(socket.AF_ALG, socket.SOCK_SEQPACKET),
    "AF_VSOCK": open_socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "a raw socket": open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "netlink of the firewall": open_socket(socket.AF_NETLINK, socket.SOCK_RAW, 12),
    "a protocol of a module": open_socket(socket.AF_INET, socket.SOCK_STREAM, 132),
}
if not ARM:
    ATTEMPTS |= {"a call of 32 bits": old_call, "a call of x32": x32_call}


def main() -> None:
    """Prints the answers."""
    print(json.dumps({name: outcome(attempt) for name, attempt in ATTEMPTS.items()}))


if __name__ == "__main__":
    main()
