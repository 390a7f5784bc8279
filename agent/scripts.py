"""The script of a task: it runs before the model is asked, and may find that there is nothing to ask.

The last line of its output that is JSON of the form `{"wake": bool, "data": ...}` decides. Whatever else becomes of it
wakes the model, which is told: a check that broke must not look like one that found nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from shutil import which
from typing import IO, Any, Final, cast

from agent.protocol.messages import MessageIn, TaskIn

SHELL: Final = "/bin/sh"
PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "USER", "LOGNAME")
"""The variables that a script gets: named one by one, so that no key is ever among them."""
TAIL_BYTES: Final = 2_000
"""How much of what it said at last the model is shown."""
MAX_CANDIDATES: Final = 1_000
"""How many lines that could be the verdict are looked at, from the end."""
ORPHAN_SECONDS: Final = 5
"""A script whose runner was killed is ended so long after its time by timeout(1), where there is one."""
REAP_SECONDS: Final = 2.0
READ_BYTES: Final = 65_536


@dataclass(frozen=True)
class Limits:
    """What a script may use up; its output is both of its streams together."""

    seconds: float = 30.0
    output_bytes: int = 1_000_000


LIMITS: Final = Limits()


@dataclass(frozen=True)
class Outcome:
    """How a script ended. `code` is its exit status, -N for a signal; `failure` says why it had none of its own."""

    code: int | None = None
    output: str = ""
    complaints: str = ""
    failure: str | None = None


@dataclass(frozen=True)
class Rest:
    """There is nothing to do: the task is done without the model."""


@dataclass(frozen=True)
class Wake:
    """The model is asked, with the `data` that was found, as JSON, or told of the `problem`."""

    data: str | None = None
    problem: str | None = None


def script_of(messages: Sequence[MessageIn]) -> tuple[str, str] | None:
    """The message that brings a script, and the script; at most one of a turn does."""
    for message in messages:
        if isinstance(message.content, TaskIn) and message.content.script:
            return message.id, message.content.script
    return None


def verdict(outcome: Outcome) -> Rest | Wake:
    """What a script has found. Pure."""
    if outcome.failure is not None:
        return Wake(problem=_told(f"The script {outcome.failure}.", "stderr", outcome.complaints))
    code = outcome.code or 0
    if code:
        how = f"exited with status {code}" if code > 0 else f"was ended by signal {-code}"
        return Wake(problem=_told(f"The script {how}.", "stderr", outcome.complaints))
    found = _last_line(outcome.output)
    if found is None:
        said = "The script said neither that there is something to do nor that there is not."
        return Wake(problem=_told(said, "output", outcome.output))
    if not found["wake"]:
        return Rest()
    return Wake(data=None if found.get("data") is None else json.dumps(found["data"], ensure_ascii=False))


async def run(script: str, work: Path, *, env: Mapping[str, str], limits: Limits = LIMITS) -> Outcome:
    """Runs the script in `work`, in a process group of its own that does not outlive it, nor this call. Of `env`
    it gets what is harmless."""
    with ExitStack() as stack:
        try:
            child = _start(script, work, env, limits)
        except (OSError, ValueError) as exc:
            return Outcome(failure=f"could not be started: {exc}")
        stack.callback(_close, child)
        failure = None
        try:
            output = _Output(child, limits)
            stack.callback(output.stop)
            async with asyncio.timeout(limits.seconds):
                await output.over
        except TimeoutError:
            failure = f"was still running after {limits.seconds:g} s, and was killed"
        finally:
            await _end(child)
        output.drain()
        if output.is_too_much:
            failure = f"printed more than {limits.output_bytes} bytes, and was killed"
        return Outcome(child.returncode, _text(output.printed), _text(output.complained), failure)


class _Output:
    """What a script writes, as it comes. `over` is done when the script has ended, or has written too much."""

    def __init__(self, child: subprocess.Popen[bytes], limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = limits.output_bytes
        self._stdout, self._stderr = (cast(IO[bytes], each).fileno() for each in (child.stdout, child.stderr))
        self._pidfd = os.pidfd_open(child.pid)
        self.over: asyncio.Future[None] = self._loop.create_future()
        self.printed = bytearray()
        self.complained = bytearray()
        for fd in (self._stdout, self._stderr):
            os.set_blocking(fd, False)
            self._loop.add_reader(fd, self._read, fd)
        self._loop.add_reader(self._pidfd, self._end)

    @property
    def is_too_much(self) -> bool:
        return self._left < 0

    def drain(self) -> None:
        """Reads what still lies in the pipes; whoever holds one of them open is not waited for."""
        for fd in (self._stdout, self._stderr):
            while not self.is_too_much and self._read(fd):
                pass

    def stop(self) -> None:
        """Looks no more."""
        for fd in (self._stdout, self._stderr, self._pidfd):
            self._loop.remove_reader(fd)
        os.close(self._pidfd)

    def _read(self, fd: int) -> bool:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(fd)
            return False
        self._left -= len(data)
        if fd == self._stdout:
            self.printed += data
        else:
            self.complained = (self.complained + data)[-TAIL_BYTES:]
        if self.is_too_much:
            self._end()
        return True

    def _end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        if not self.over.done():
            self.over.set_result(None)


def _start(script: str, work: Path, env: Mapping[str, str], limits: Limits) -> subprocess.Popen[bytes]:
    """Raises OSError, ValueError."""
    # In memory, so that nothing is left of it, and by its interpreter, because nothing in /tmp can be executed.
    file = os.memfd_create("task-script")
    try:
        with open(file, "wb", closefd=False) as written:
            written.write(script.encode("utf-8", "replace"))
        # A runner that is killed kills nobody; and a new group is not the one that its backend ends.
        guard = which("timeout")
        patience = f"{limits.seconds + ORPHAN_SECONDS:g}"
        return subprocess.Popen(
            [
                *([guard, "-s", "KILL", patience] if guard else []),
                *_interpreter(script),
                f"/proc/self/fd/{file}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=work,
            env={name: env[name] for name in PASSED_ON if name in env},
            pass_fds=(file,),
            start_new_session=True,
            bufsize=0,
        )
    finally:
        os.close(file)


async def _end(child: subprocess.Popen[bytes]) -> None:
    # Before it is reaped: until then nobody else can have its number, which is the group's.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(child.wait), REAP_SECONDS)


def _close(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdout, child.stderr):
        cast(IO[bytes], pipe).close()


def _interpreter(script: str) -> list[str]:
    """What the first line asks for, the way the kernel reads it: a program, and the rest as one argument."""
    line = script.partition("\n")[0]
    words = line.removeprefix("#!").strip().split(maxsplit=1) if line.startswith("#!") else []
    return words or [SHELL]


def _last_line(output: str) -> dict[str, Any] | None:
    lines = (line.strip() for line in reversed(output.splitlines()))
    candidates = (line for line in lines if line.startswith("{") and line.endswith("}") and '"wake"' in line)
    for line in islice(candidates, MAX_CANDIDATES):
        with suppress(ValueError, RecursionError):
            found = json.loads(line)
            if isinstance(found.get("wake"), bool):
                return cast(dict[str, Any], found)
    return None


def _told(what: str, stream: str, said: str) -> str:
    tail = said[-TAIL_BYTES:].strip()
    return f"{what} The end of its {stream}:\n{tail}" if tail else f"{what} Its {stream} is empty."


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "replace")
