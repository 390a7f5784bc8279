"""The double of a Backend: its programs are coroutines in the test's own event loop.

A program is asked to leave by `Process.asked`; one that does not heed it is cancelled after the grace.
While a program is frozen its `Process.pause` does not return. Programs belong to the `FakeEngine`, as
containers belong to Docker: a second FakeBackend on the same engine finds them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from container.base import Backend, BackendError, Exit, Running, Spec


class Died(Exception):
    """Raised by a program that a signal ends."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"signal {signum}")
        self.signum = signum


class Process:
    """What a program is given."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.asked = asyncio.Event()
        self.thawed = asyncio.Event()
        self.thawed.set()

    def print(self, text: str) -> None:
        """Adds a line to the program's log."""
        with self.spec.log.open("a") as log:
            log.write(f"{text}\n")

    async def pause(self) -> None:
        """Gives way to others; returns only while the program is not frozen."""
        await asyncio.sleep(0)
        await self.thawed.wait()


Program = Callable[[Process], Awaitable[int]]


async def until_asked(process: Process) -> int:
    """The program of who does not care: stays until it is asked to leave."""
    await process.asked.wait()
    return 0


class FakeEngine:
    """Where the programs live."""

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self.tasks: dict[str, asyncio.Task[Exit]] = {}

    def alive(self) -> list[str]:
        return sorted(name for name, task in self.tasks.items() if not task.done())


class FakeBackend(Backend):
    """Runs `programs[command]`, or else `default`; without either the program is missing.

    `started` has every Spec so far, `failures` are raised by the next starts, first come first served.
    """

    mounts = False

    def __init__(
        self,
        *,
        default: Program | None = until_asked,
        programs: Mapping[Sequence[str], Program] | None = None,
        engine: FakeEngine | None = None,
    ) -> None:
        self.engine = FakeEngine() if engine is None else engine
        self.started: list[Spec] = []
        self.failures: list[Exception] = []
        self._default = default
        self._programs = {} if programs is None else programs

    async def start(self, spec: Spec) -> None:
        if self.failures:
            raise self.failures.pop(0)
        program = self._programs.get(tuple(spec.command), self._default)
        if program is None:
            raise BackendError(f"there is no program {spec.command[0]}")
        if spec.name in self.engine.alive():
            raise BackendError(f"{spec.name} is running already")
        self.started.append(spec)
        process = self.engine.processes[spec.name] = Process(spec)
        self.engine.tasks[spec.name] = asyncio.create_task(_run(program, process), name=spec.name)
        await asyncio.sleep(0)

    async def stop(self, name: str, *, grace_seconds: float) -> None:
        if name not in self.engine.alive():
            return
        self.engine.processes[name].thawed.set()
        self.engine.processes[name].asked.set()
        task = self.engine.tasks[name]
        await asyncio.wait([task], timeout=grace_seconds)
        task.cancel()
        await asyncio.wait([task])

    async def wait(self, name: str) -> Exit:
        if name not in self.engine.tasks:
            raise BackendError(f"no program is known as {name}")
        return await asyncio.shield(self.engine.tasks[name])

    async def running(self) -> list[Running]:
        return [Running(name, self.engine.processes[name].spec.labels) for name in self.engine.alive()]

    async def freeze(self, name: str, *, frozen: bool) -> None:
        if name not in self.engine.alive():
            raise BackendError(f"no program runs as {name}")
        thawed = self.engine.processes[name].thawed
        if frozen:
            thawed.clear()
        else:
            thawed.set()

    async def aclose(self) -> None:
        """Does nothing: the programs are the engine's."""

    async def kill(self, name: str) -> None:
        """Ends a program from outside, as the kernel would when memory runs out: Exit(-9)."""
        self.engine.tasks[name].cancel()
        await asyncio.wait([self.engine.tasks[name]])


async def _run(program: Program, process: Process) -> Exit:
    try:
        return Exit(await program(process))
    except Died as exc:
        return Exit(-exc.signum)
    except asyncio.CancelledError:
        return Exit(-9)
