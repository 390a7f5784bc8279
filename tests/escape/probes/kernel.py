"""System calls by their numbers, each tried in a process of its own: what the kernel has answered, by name.

"ok" or the name of an error; "SIGSYS" and the like where the call has cost the process its life.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
from collections.abc import Callable
from typing import Any, Final

ARM: Final = platform.machine() == "aarch64"
LIBC: Final = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long

NUMBERS: Final[dict[str, tuple[int, int]]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close_range": (436, 436),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "fcntl": (72, 25),
    "finit_module": (313, 273),
    "fsopen": (430, 430),
    "init_module": (175, 105),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mknodat": (259, 33),
    "mount": (165, 40),
    "mq_open": (240, 180),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
"""On x86_64 and aarch64; see the kernel's tables of system calls."""


class Refused(Exception):
    """Raised with the name of the kernel's error."""


def call(name: str, *arguments: Any) -> int:
    """What the call returns. Raises Refused."""
    number = NUMBERS[name][ARM]
    return answered(LIBC.syscall(ctypes.c_long(number), *map(_wide, arguments)))


def answered(returned: int) -> int:
    """The same number, unless it is the -1 of a failure. Raises Refused."""
    if returned == -1:
        raise Refused(errno.errorcode.get(ctypes.get_errno(), str(ctypes.get_errno())))
    return returned


def outcome(attempt: Callable[[], object]) -> str:
    """What becomes of it in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, _said(attempt).encode())
        os._exit(0)
    os.close(writer)
    # Not to the end: what it has started holds the other end, too.
    said = os.read(reader, 1000).decode()
    os.close(reader)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return said


def _said(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except Refused as exc:
        return str(exc)
    except OSError as exc:
        return errno.errorcode.get(exc.errno or 0, str(exc))
    except BaseException as exc:
        return repr(exc)
    return "ok"


def _wide(argument: Any) -> Any:
    """Numbers fill a register: ctypes would pass an int of 32 bits, and leave what stands above it."""
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
