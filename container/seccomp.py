"""The system calls that a container may make: those of ordinary programs, and none besides.

Docker's own profile depends on the engine's version and lets through what an agent has no use for (io_uring in older
engines, leases on files everywhere). This one is a list of what is allowed; whatever is not on it fails with EPERM, or,
where a C library has another way to fall back upon, with ENOSYS. See seccomp(2), and "seccomp" in the OCI runtime
specification.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

ALLOWED: Final[dict[str, str]] = {
    "files": """
        access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
        fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fdatasync fgetxattr
        flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64
        futimesat getcwd getdents getdents64 getxattr lchown lchown32 lgetxattr link linkat listxattr llistxattr
        _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat newfstatat open openat openat2
        pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr rename
        renameat renameat2 rmdir sendfile sendfile64 setxattr splice stat stat64 statfs statfs64 statx symlink
        symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat
        utimensat_time64 utimes vmsplice write writev inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
        memfd_create ioctl landlock_add_rule landlock_create_ruleset landlock_restrict_self
    """,
    "memory": """
        brk madvise membarrier mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap msync munlock munlockall munmap
        pkey_alloc pkey_free pkey_mprotect get_mempolicy set_mempolicy map_shadow_stack mseal
    """,
    "processes": """
        arch_prctl capget capset execve execveat exit exit_group fork getegid getegid32 geteuid geteuid32 getgid
        getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getresgid getresgid32 getresuid
        getresuid32 getrlimit getrusage getsid gettid getuid getuid32 ioprio_get ioprio_set kill pidfd_open
        pidfd_send_signal prctl prlimit64 rseq sched_get_priority_max sched_get_priority_min sched_getaffinity
        sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
        sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp set_robust_list
        get_robust_list set_thread_area get_thread_area set_tid_address set_tls setfsgid setfsgid32 setfsuid setfsuid32
        setgid setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid
        setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 tgkill tkill ugetrlimit uname sysinfo getcpu
        vfork wait4 waitid waitpid
    """,
    "waiting and signals": """
        alarm clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
        eventfd2 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake getitimer gettimeofday nanosleep
        pause poll ppoll ppoll_time64 pselect6 pselect6_time64 restart_syscall rt_sigaction rt_sigpending
        rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
        rt_tgsigqueueinfo select _newselect setitimer sigaltstack signalfd signalfd4 sigprocmask sigreturn time
        timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
        timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times
    """,
    "between processes": """
        accept accept4 bind connect getpeername getsockname getsockopt listen pipe pipe2 recv recvfrom recvmmsg
        recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair getrandom ipc
        msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
    """,
}
"""By what they are for. Not among them, and so refused: mount and its kin, unshare, setns, chroot, pivot_root, bpf,
perf_event_open, keyctl and its kin, io_uring, userfaultfd, ptrace, reading another process's memory, kernel modules,
kexec, the clock, swap, quotas, accounting, the kernel's log, handles to files; and io_setup and
mq_open, because there is one amount of what they take for the machine or for the containers' user, which one
container could hold all by itself (fs.aio-max-nr, RLIMIT_MSGQUEUE)."""
SOCKETS: Final[dict[int, tuple[int, ...]]] = {1: (), 2: (0, 6, 17), 10: (0, 6, 17), 16: (0,)}
"""By family the protocols, none meaning all: AF_UNIX, AF_INET and AF_INET6 with TCP and UDP, AF_NETLINK for the
interfaces. To ask for another has the host load the kernel module that it is in."""
NAMESPACES: Final = 0x7E020080
"""Every CLONE_NEW* flag of clone(2): an agent makes no namespace of its own, in which it would be root."""
THREAD: Final = 0x00010000
SHARED_FILES: Final = 0x00000400
"""CLONE_THREAD and CLONE_FILES: a thread with descriptors of its own could keep files where nobody looks for them, see
unlinked.py."""
OWN_FILES: Final = 0x2
"""CLOSE_RANGE_UNSHARE of close_range(2): the same by another way."""
NO_SUCH_CALL: Final = 38
"""ENOSYS."""
FILE_COMMANDS: Final = (*range(18), *range(36, 39), 0x401, 0x403, 0x404, *range(0x406, 0x40F))
"""Of fcntl(2): descriptors, flags, locks, owners, pipes, seals, hints. Not F_SETLEASE, with which whoever opens the
file waits, also the host; nor F_NOTIFY."""
LOW_HALF: Final = 0xFFFFFFFF
"""All that the kernel looks at where it takes an argument for 32 bits; a filter sees what stands above, too, and so a
rule for all but one value could be got around."""
ORDINARY_PERSONALITIES: Final = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
"""Linux's own, of 32 bit, and the question which it is; see personality(2)."""
_FILTERED: Final = frozenset({"clone", "close_range", "fcntl", "fcntl64", "personality", "socket"})


def profile() -> str:
    """The profile as the engine takes it, in JSON."""
    plain = sorted({name for names in ALLOWED.values() for name in names.split()} - _FILTERED)
    rules: list[dict[str, Any]] = [
        _allow(plain),
        _allow(["clone"], _masked(0, NAMESPACES | THREAD, 0)),
        _allow(["clone"], _masked(0, NAMESPACES | THREAD | SHARED_FILES, THREAD | SHARED_FILES)),
        _allow(["close_range"], _masked(2, OWN_FILES, 0)),
        # Its flags lie in memory, where no filter sees them; C libraries go back to clone.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": NO_SUCH_CALL},
    ]
    rules += [_allow(["fcntl", "fcntl64"], _is(1, command)) for command in FILE_COMMANDS]
    for family, protocols in SOCKETS.items():
        rules += [_allow(["socket"], _is(0, family), _is(2, protocol)) for protocol in protocols]
        rules += [] if protocols else [_allow(["socket"], _is(0, family))]
    rules += [_allow(["personality"], _is(0, kind)) for kind in ORDINARY_PERSONALITIES]
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "architectures": _ARCHITECTURES, "syscalls": rules})


_ARCHITECTURES: Final = ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]
"""Only the 64 bit calls: each other way into the kernel is one more to be watched."""


def _allow(names: Sequence[str], *args: dict[str, Any]) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", "args": list(args)}


def _is(index: int, value: int) -> dict[str, Any]:
    return _masked(index, LOW_HALF, value)


def _masked(index: int, mask: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
