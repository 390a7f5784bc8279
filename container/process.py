"""Runs each program as a child process. THIS ISOLATES NOTHING: for development and demonstrations only.

A program sees the host's own files, network and processes with the rights of the service's user. Of a
Spec, `mounts` and the limits on memory, processors and processes are ignored; its environment, its log
and the size of its files are held to. A program has a process group of its own, which is killed when
the program ends; what it moved to another group or session gets away.

Programs outlive the service. Each has a record, `folder/namespace/<name>.json`, of its pid and the time
it started (pids come back, a pair of both does not). A program is held at a gate until its record is
written: when the service dies before that, the gate's pipe ends and the program never runs.

    BackendError                no such program or folder, a taken name, a name that cannot be one
      BackendUnavailable        the host is out of processes, descriptors, memory or disk
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import resource
import shutil
import signal
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Final, cast

from container.base import Backend, BackendError, BackendUnavailable, Exit, Limits, Running, Spec
from container.memory import process_mb
from container.processes import Program, Record, open_pidfd, reap, start_time

WARNING: Final = (
    "The process backend isolates nothing: an agent can read and change whatever this user can. "
    "Use it for development and demonstrations only."
)
MAX_LOG_BYTES: Final = 1024 * 1024
"""A log longer than this is moved to `<log>.1` at the next start."""
MAX_REMEMBERED: Final = 1000
"""How many exits are kept for a `wait` that comes late."""
DEFAULT_ENV: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}

# The shell's own variables are unset because they would reach the program with its environment.
_GATE: Final = 'unset PWD OLDPWD SHLVL _; read -r __go && exec "$0" "$@" </dev/null'
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TRY_LATER: Final = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC}

_log = logging.getLogger("roost.container")


class ProcessBackend(Backend):
    """Runs programs as child processes, with their records in `folder/namespace`.

    Belongs to one event loop, and the folder to one backend at a time. A program that a later service
    adopted ends with Exit(None), because only its parent is told the code.
    """

    mounts = False

    def __init__(self, folder: Path, namespace: str) -> None:
        self._folder = folder / namespace
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._programs: dict[str, Program] = {}
        self._ended: dict[str, Exit] = {}

    async def start(self, spec: Spec) -> None:
        """Starts the program. Raises BackendError; a file that is there but cannot be executed exits 126.

        A cancelled start still finishes: `running` then lists the program and `stop` ends it.
        """
        if not _NAME.fullmatch(spec.name):
            raise BackendError(f"{spec.name!r} cannot be the name of a program")
        if spec.name in self._starting or self._lookup(spec.name) is not None:
            raise BackendError(f"{spec.name} is running already")
        task = asyncio.create_task(self._begin(spec), name=f"start {spec.name}")
        self._starting[spec.name] = task
        # Not in the task's own code, which never runs when the task is cancelled before its first step.
        task.add_done_callback(lambda _: self._starting.pop(spec.name))
        await asyncio.shield(task)

    async def stop(self, name: str, *, grace_seconds: float) -> None:
        """Asks the program to leave and kills its process group after `grace_seconds`. Absent is success."""
        program = await self._find(name)
        if program is None:
            return
        program.terminate()
        program.signal_group(signal.SIGCONT)
        try:
            async with asyncio.timeout(grace_seconds):
                await program.wait()
        except TimeoutError:
            program.signal_group(signal.SIGKILL)
            await program.wait()

    async def wait(self, name: str) -> Exit:
        """How it ended: its code, -N for a signal, None if adopted. Raises BackendError if unknown."""
        program = await self._find(name)
        if program is not None:
            return await program.wait()
        if name in self._ended:
            return self._ended[name]
        raise BackendError(f"no program is known as {name}")

    async def running(self) -> list[Running]:
        """The living programs, sorted by name; takes on those of an earlier service. Raises BackendError."""
        if self._starting:
            await asyncio.wait(list(self._starting.values()))
        names = {path.stem for path in self._folder.glob("*.json")} | set(self._programs)
        found = [program.record for name in sorted(names) if (program := self._lookup(name))]
        return [Running(record.name, record.labels, record.pid, process_mb(record.pid)) for record in found]

    async def freeze(self, name: str, *, frozen: bool) -> None:
        """Stops the process group, or lets it go on. Raises BackendError for a name that does not run."""
        program = await self._find(name)
        if program is None:
            raise BackendError(f"no program runs as {name}")
        program.signal_group(signal.SIGSTOP if frozen else signal.SIGCONT)

    async def aclose(self) -> None:
        """Lets go of the programs without ending them. Whoever still waits gets a BackendError."""
        while self._starting:
            await asyncio.wait(list(self._starting.values()))
        while self._programs:
            _, program = self._programs.popitem()
            asyncio.get_running_loop().remove_reader(program.pidfd)
            program.settle(None)

    async def _begin(self, spec: Spec) -> None:
        try:
            record, pidfd = await asyncio.to_thread(self._launch, spec)
            self._watch(record, pidfd)
            _log.info("started %s as pid %d", spec.name, record.pid)
        except (OSError, ValueError) as exc:
            raise _failure(f"{spec.name} cannot be started", exc) from exc

    def _launch(self, spec: Spec) -> tuple[Record, int]:
        env = {**DEFAULT_ENV, **spec.env}
        _check(spec, env)
        path = self._path(spec.name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        child = _spawn(spec, env)
        with cast(IO[bytes], child.stdin) as gate, ExitStack() as undo:
            undo.callback(os.waitpid, child.pid, 0)
            undo.callback(os.kill, child.pid, signal.SIGKILL)
            pidfd = os.pidfd_open(child.pid)
            undo.callback(os.close, pidfd)
            _limit(child.pid, spec.limits)
            record = Record(
                name=spec.name,
                pid=child.pid,
                start_time=start_time(child.pid) or "",
                labels=dict(spec.labels),
            )
            undo.callback(path.unlink, missing_ok=True)
            temporary = path.with_name(f".{spec.name}.tmp")
            temporary.write_text(record.model_dump_json())
            temporary.replace(path)
            gate.write(b"go\n")
            undo.pop_all()
        return record, pidfd

    async def _find(self, name: str) -> Program | None:
        while name in self._starting:
            await asyncio.wait([self._starting[name]])
        return self._lookup(name)

    def _lookup(self, name: str) -> Program | None:
        """The living program of this name, adopted if need be."""
        if name not in self._programs and name not in self._starting and _NAME.fullmatch(name):
            try:
                self._adopt(name)
            except OSError as exc:
                raise _failure(f"{name} cannot be looked up", exc) from exc
        program = self._programs.get(name)
        if program is not None and program.has_ended():
            self._finish(program)
            return None
        return program

    def _adopt(self, name: str) -> None:
        path = self._path(name)
        try:
            record = Record.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return
        except ValueError:
            _log.warning("removed a record that cannot be read: %s", path)
            path.unlink()
            return
        pidfd = open_pidfd(record) if record.name == name else None
        if pidfd is None:
            _log.info("%s ended while nobody watched", name)
            path.unlink()
        else:
            self._watch(record, pidfd)

    def _watch(self, record: Record, pidfd: int) -> None:
        program = self._programs[record.name] = Program(record, pidfd)
        asyncio.get_running_loop().add_reader(pidfd, self._finish, program)

    def _finish(self, program: Program) -> None:
        name = program.record.name
        asyncio.get_running_loop().remove_reader(program.pidfd)
        del self._programs[name]
        # Before it is reaped: until then nobody else can get its pid, and with it the group's number.
        program.signal_group(signal.SIGKILL)
        exit_ = self._ended[name] = reap(program.pidfd)
        if len(self._ended) > MAX_REMEMBERED:
            del self._ended[next(iter(self._ended))]
        program.settle(exit_)
        _log.info("%s ended with code %s", name, exit_.code)
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _check(spec: Spec, env: dict[str, str]) -> None:
    if not spec.command:
        raise BackendError(f"{spec.name} has no command")
    # The shell at the gate would drop such a variable silently.
    if wrong := [name for name in env if not _VARIABLE.fullmatch(name)]:
        raise BackendError(f"{wrong[0]!r} cannot be the name of a variable")
    program = spec.command[0]
    if shutil.which(str(spec.workdir / program) if "/" in program else program, path=env["PATH"]) is None:
        raise BackendError(f"{spec.name} cannot be started: there is no program {program}")


def _spawn(spec: Spec, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """The program behind its gate: a line on stdin lets it go, the end of stdin ends it."""
    with suppress(FileNotFoundError):
        if spec.log.lstat().st_size > MAX_LOG_BYTES:
            spec.log.replace(spec.log.with_name(spec.log.name + ".1"))
    log = os.open(spec.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _GATE, *spec.command],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=spec.workdir,
            env=env,
            umask=0o077,
            start_new_session=True,
        )
    finally:
        os.close(log)
    # Its record keeps track of it from here on; Popen would call a program that outlives us a leak.
    child.returncode = 0
    return child


def _limit(pid: int, limits: Limits) -> None:
    wanted = limits.file_mb * 1024 * 1024
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
    resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _failure(what: str, exc: OSError | ValueError) -> BackendError:
    if isinstance(exc, OSError) and exc.errno in _TRY_LATER:
        return BackendUnavailable(f"{what} right now: {exc}")
    return BackendError(f"{what}: {exc}")
