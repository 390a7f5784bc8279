"""Every backend against the contract, and what only the process backend promises."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from container.base import Backend, BackendError, BackendUnavailable, Exit, Limits, Spec
from container.process import DEFAULT_ENV, MAX_LOG_BYTES, ProcessBackend
from tests.contracts import backend_contract as contract
from tests.contracts.backend_contract import SECONDS, BackendContract, Opened, end_all, eventually, soon
from tests.fakes.backend import Died, FakeBackend, FakeEngine, Process, Program

REPOSITORY = Path(__file__).parents[2]


class TestFakeBackend(BackendContract):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        engine = FakeEngine()
        return lambda: aclosing(FakeBackend(default=None, programs=FAKE_PROGRAMS, engine=engine))

    async def test_a_start_fails_as_scripted(self, make: Callable[..., Spec]) -> None:
        backend = FakeBackend()
        backend.failures.append(BackendUnavailable("busy"))
        with pytest.raises(BackendUnavailable):
            await backend.start(make(("anything",)))
        await backend.start(make(("anything",)))
        await backend.kill("one")
        assert await backend.wait("one") == Exit(-9)
        assert [spec.name for spec in backend.started] == ["one"]


class TestProcessBackend(BackendContract):
    may_add: ClassVar = frozenset(DEFAULT_ENV)

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        return lambda: aclosing(ProcessBackend(tmp_path / "records", "test"))

    @pytest.fixture
    def records(self, tmp_path: Path) -> Path:
        return tmp_path / "records" / "test"

    async def test_what_a_killed_program_started_is_killed_too(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        spec = make(("/bin/sh", "-c", "trap '' TERM; sleep 1000 & echo $!; echo ready; wait; wait"))
        await soon(backend.start(spec))
        await self.ready(spec)
        with held(int(spec.log.read_text().split()[0])) as grandchild:
            await soon(backend.stop("one", grace_seconds=0.05))
            await ended(grandchild)

    async def test_what_a_program_leaves_behind_is_killed(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        spec = make(
            ("/bin/sh", "-c", "sleep 1000 & echo $!; echo ready; while [ ! -e told ]; do sleep 0.01; done")
        )
        await soon(backend.start(spec))
        await self.ready(spec)
        with held(int(spec.log.read_text().split()[0])) as grandchild:
            (spec.workdir / "told").touch()
            assert await soon(backend.wait("one")) == Exit(0)
            await ended(grandchild)

    async def test_freezing_freezes_the_whole_group(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        spec = make(("/bin/sh", "-c", "sleep 1000 & echo $!; echo ready; wait"))
        await soon(backend.start(spec))
        await self.ready(spec)
        pids = [(await backend.running())[0].pid or 0, int(spec.log.read_text().split()[0])]
        await backend.freeze("one", frozen=True)
        await until(lambda: [state(pid) for pid in pids] == ["T", "T"], lambda: f"{pids} are stopped")
        await backend.freeze("one", frozen=False)
        await until(lambda: [state(pid) for pid in pids] == ["S", "S"], lambda: f"{pids} go on")

    async def test_nothing_stays_of_a_program_that_has_ended(
        self, backend: Backend, make: Callable[..., Spec], records: Path
    ) -> None:
        await soon(backend.start(make(contract.SLEEP)))
        (program,) = await backend.running()
        assert [path.name for path in records.iterdir()] == ["one.json"]
        await soon(backend.stop("one", grace_seconds=0))
        assert not Path(f"/proc/{program.pid}").exists()
        assert list(records.iterdir()) == []

    async def test_no_descriptor_is_left_open(self, opened: Opened, make: Callable[..., Spec]) -> None:
        async def life() -> None:
            async with opened() as first:
                await first.start(make(contract.SLEEP))
                await first.start(make(contract.EXIT_0, "two"))
                await first.wait("two")
                for wrong in (make(contract.MISSING, "three"), replace(make(contract.EXIT_0), name="/")):
                    with pytest.raises(BackendError):
                        await first.start(wrong)
            async with opened() as second:
                await second.running()
                await second.stop("one", grace_seconds=0)

        await soon(life())
        before = len(os.listdir("/proc/self/fd"))
        await soon(life())
        assert len(os.listdir("/proc/self/fd")) == before

    async def test_a_program_that_is_being_started_is_not_adopted(
        self, opened: Opened, make: Callable[..., Spec]
    ) -> None:
        async def start_some(backend: Backend, prefix: str) -> None:
            for number in range(10):
                await backend.start(make(contract.SLEEP, f"{prefix}{number}"))

        async def life() -> None:
            async with opened() as backend:
                starts = asyncio.gather(*(start_some(backend, prefix) for prefix in "abcd"))
                while not starts.done():
                    await backend.running()
                    await asyncio.sleep(0)
                await end_all(backend)

        await soon(life())
        before = len(os.listdir("/proc/self/fd"))
        await soon(life())
        assert len(os.listdir("/proc/self/fd")) == before

    async def test_a_program_holds_no_descriptor_of_the_service(
        self, backend: Backend, make: Callable[..., Spec], tmp_path: Path
    ) -> None:
        with (tmp_path / "open").open("w") as file:
            os.set_inheritable(file.fileno(), True)
            await soon(backend.start(make(contract.SLEEP)))
            pid = (await backend.running())[0].pid
            await until(lambda: comm(pid or 0) == "sleep", lambda: "the gate is open")
            # While it starts, the program opens the libraries that it is linked to.
            await until(
                lambda: sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"],
                lambda: f"its descriptors are {sorted(os.listdir(f'/proc/{pid}/fd'))}",
            )
            assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"

    async def test_the_limits_and_the_umask_are_set(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        spec = replace(make(("/bin/sh", "-c", "umask; cat /proc/self/limits")), limits=Limits(file_mb=3))
        await soon(backend.start(spec))
        await soon(backend.wait("one"))
        lines = (await self.output(spec)).splitlines()
        assert lines[0].strip("0") == "77"
        limits = {line[:26].strip(): line[26:].split()[:2] for line in lines[1:]}
        assert limits["Max file size"] == [str(3 * 2**20)] * 2
        assert limits["Max core file size"] == ["0", "0"]
        assert stat.S_IMODE(spec.log.stat().st_mode) == 0o600

    async def test_a_long_log_is_moved_aside_and_a_short_one_goes_on(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        spec = make(contract.HELLO)
        old = b"x" * (MAX_LOG_BYTES + 1)
        spec.log.write_bytes(old)
        for _ in range(2):
            await soon(backend.start(spec))
            await soon(backend.wait("one"))
        assert spec.log.with_name("one.log.1").read_bytes() == old
        assert spec.log.read_text() == "to stdout\nto stderr\n" * 2

    async def test_a_log_is_never_written_through_a_link(
        self, backend: Backend, make: Callable[..., Spec], tmp_path: Path
    ) -> None:
        spec = make(contract.HELLO)
        spec.log.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(BackendError):
            await soon(backend.start(spec))
        assert not (tmp_path / "elsewhere").exists()

    async def test_what_cannot_be_started_is_told_and_leaves_nothing(
        self, backend: Backend, make: Callable[..., Spec], tmp_path: Path, records: Path
    ) -> None:
        spec = make(contract.EXIT_0)
        for wrong in (
            replace(spec, name="../one"),
            replace(spec, name=""),
            replace(spec, command=()),
            replace(spec, command=("/bin",)),
            replace(spec, command=("sh", "nul\0")),
            replace(spec, workdir=tmp_path / "missing"),
            replace(spec, log=tmp_path / "missing" / "log"),
            replace(spec, env={"not-a-name": "x"}),
            replace(spec, env={"PATH": "/nowhere"}, command=("sh",)),
        ):
            with pytest.raises(BackendError):
                await soon(backend.start(wrong))
        assert await backend.running() == []
        assert list(records.glob("*")) == []

    async def test_a_full_host_is_told_from_a_wrong_program(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        await soon(backend.running())
        await soon(asyncio.to_thread(int))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), limits[1]))
        try:
            with pytest.raises(BackendUnavailable):
                await soon(backend.start(make(contract.EXIT_0)))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await soon(backend.start(make(contract.EXIT_0)))
        assert await soon(backend.wait("one")) == Exit(0)

    async def test_a_record_that_cannot_be_written_ends_the_program(
        self, backend: Backend, make: Callable[..., Spec], records: Path
    ) -> None:
        records.mkdir(parents=True)
        (records / ".one.tmp").mkdir()
        before = children(os.getpid())
        with pytest.raises(BackendError):
            await soon(backend.start(make(contract.TOUCH)))
        assert children(os.getpid()) == before
        assert not (make(contract.TOUCH).workdir / "made").exists()

    async def test_a_cancelled_start_loses_nothing(self, backend: Backend, make: Callable[..., Spec]) -> None:
        start = asyncio.create_task(backend.start(make(contract.SLEEP)))
        await asyncio.sleep(0)
        start.cancel()
        await asyncio.wait([start])
        assert [program.name for program in await soon(backend.running())] == ["one"]

    async def test_a_start_that_was_cancelled_can_be_stopped_at_once(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        start = asyncio.create_task(backend.start(make(contract.SLEEP)))
        await asyncio.sleep(0)
        start.cancel()
        await soon(backend.stop("one", grace_seconds=0))
        assert await soon(backend.running()) == []

    async def test_who_waits_when_the_backend_closes_is_told(
        self, opened: Opened, make: Callable[..., Spec]
    ) -> None:
        async with opened() as first:
            await soon(first.start(make(contract.SLEEP)))
            waiter = asyncio.create_task(first.wait("one"))
            await asyncio.sleep(0)
        with pytest.raises(BackendError):
            await soon(waiter)
        async with opened() as second:
            await end_all(second)

    async def test_a_program_that_died_unwatched_is_reaped_by_the_next(
        self, opened: Opened, make: Callable[..., Spec], records: Path
    ) -> None:
        async with opened() as first:
            await soon(first.start(make(contract.SLEEP)))
            pid = (await first.running())[0].pid or 0
        with held(pid) as program:
            os.kill(pid, signal.SIGKILL)
            await ended(program)
        async with opened() as second:
            assert await second.running() == []
            assert await soon(second.wait("one")) == Exit(-signal.SIGKILL)
        assert list(records.iterdir()) == []
        assert not Path(f"/proc/{pid}").exists()

    async def test_a_stranger_with_the_same_pid_is_left_alone(
        self, backend: Backend, make: Callable[..., Spec], records: Path
    ) -> None:
        await soon(backend.start(make(contract.SLEEP, "real")))
        record = json.loads((records / "real.json").read_text())
        with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
            stale = {"name": "one", "pid": stranger.pid, "start_time": record["start_time"] + "0"}
            (records / "one.json").write_text(json.dumps(record | stale))
            await soon(backend.stop("one", grace_seconds=0))
            assert not (records / "one.json").exists()
            (records / "one.json").write_text(json.dumps(record | stale))
            assert [program.name for program in await backend.running()] == ["real"]
            assert not (records / "one.json").exists()
            assert stranger.poll() is None
            stranger.kill()

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", '{"name": "one"}', "\udcff", '{"name":"one","pid":-1,"start_time":"x","labels":{}}'],
    )
    async def test_a_record_that_makes_no_sense_is_removed(
        self, backend: Backend, records: Path, text: str
    ) -> None:
        records.mkdir(parents=True)
        (records / "one.json").write_text(text, errors="surrogateescape")
        assert await backend.running() == []
        assert list(records.iterdir()) == []

    async def test_namespaces_do_not_meet(
        self, backend: Backend, make: Callable[..., Spec], tmp_path: Path
    ) -> None:
        await soon(backend.start(make(contract.SLEEP)))
        async with aclosing(ProcessBackend(tmp_path / "records", "other")) as other:
            assert await other.running() == []
            await soon(other.stop("one", grace_seconds=0))
        assert [program.name for program in await backend.running()] == ["one"]

    async def test_a_service_in_another_process_stops_what_this_one_started(
        self, opened: Opened, make: Callable[..., Spec], tmp_path: Path
    ) -> None:
        async with opened() as first:
            await soon(first.start(make(contract.SLEEP)))
            waiter = asyncio.create_task(first.wait("one"))
            with service(tmp_path / "records") as other:
                assert await line(other) == "one"
            assert await soon(waiter) == Exit(-signal.SIGTERM)

    async def test_what_a_killed_service_started_is_adopted(self, backend: Backend, tmp_path: Path) -> None:
        with service(tmp_path / "records", tmp_path / "log", count=2) as other:
            assert [await line(other), await line(other)] == ["p0", "p1"]
            other.kill()
        found = {program.name: program for program in await backend.running()}
        assert {name: program.labels for name, program in found.items()} == {
            "p0": {"number": "0"},
            "p1": {"number": "1"},
        }
        waiter = asyncio.create_task(backend.wait("p0"))
        await asyncio.sleep(0)
        os.kill(found["p0"].pid or 0, signal.SIGKILL)
        assert await soon(waiter) == Exit(None)
        await soon(backend.stop("p1", grace_seconds=SECONDS))
        assert await soon(backend.wait("p1")) == Exit(None)
        assert await backend.running() == []

    async def test_a_service_killed_before_the_record_leaves_no_orphan(
        self, backend: Backend, tmp_path: Path, records: Path
    ) -> None:
        records.mkdir(parents=True)
        os.mkfifo(records / ".p0.tmp")  # writing the record blocks here, for want of a reader
        with service(tmp_path / "records", tmp_path / "log", count=1) as other:
            await until(
                lambda: any(comm(pid) == "sh" for pid in children(other.pid)), lambda: "it has spawned"
            )
            with held(children(other.pid)[0]) as program:
                other.kill()
                await ended(program)
        assert not (tmp_path / "records" / "marker").exists()
        assert await backend.running() == []

    @pytest.mark.parametrize("moment", [1, 5, 9])
    async def test_a_service_killed_while_it_starts_programs_loses_none(
        self, backend: Backend, tmp_path: Path, moment: int
    ) -> None:
        marker = tmp_path / "records" / "marker"
        with service(tmp_path / "records", tmp_path / "log", count=100) as other:
            for _ in range(moment):
                await line(other)
            other.kill()
        known = {program.pid for program in await backend.running()}
        assert len(known) >= moment
        await until(lambda: marked(marker) == known, lambda: f"{marked(marker)} are {known}")


async def _exit_0(process: Process) -> int:
    return 0


async def _exit_7(process: Process) -> int:
    return 7


async def _crash(process: Process) -> int:
    raise Died(signal.SIGKILL)


async def _hello(process: Process) -> int:
    process.print("to stdout\nto stderr")
    return 0


async def _environment(process: Process) -> int:
    for name, value in process.spec.env.items():
        process.print(f"{name}={value}")
    return 0


async def _read_stdin(process: Process) -> int:
    process.print("the end")
    return 0


async def _touch(process: Process) -> int:
    (process.spec.workdir / "made").touch()
    return 0


async def _sleep(process: Process) -> int:
    await asyncio.Event().wait()
    return 0


async def _polite(process: Process) -> int:
    process.print("ready")
    await process.asked.wait()
    return 3


async def _stubborn(process: Process) -> int:
    process.print("ready")
    return await _sleep(process)


async def _until_told(process: Process) -> int:
    process.print("ready")
    while not (process.spec.workdir / "told").exists():
        await process.pause()
    return 5


FAKE_PROGRAMS: dict[Sequence[str], Program] = {
    contract.EXIT_0: _exit_0,
    contract.EXIT_7: _exit_7,
    contract.CRASH: _crash,
    contract.SLEEP: _sleep,
    contract.HELLO: _hello,
    contract.ENVIRONMENT: _environment,
    contract.READ_STDIN: _read_stdin,
    contract.TOUCH: _touch,
    contract.POLITE: _polite,
    contract.STUBBORN: _stubborn,
    contract.UNTIL_TOLD: _until_told,
}


async def until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    async def holds() -> bool:
        return condition()

    await eventually(holds, what)


@contextmanager
def service(folder: Path, log: Path | None = None, *, count: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A service in a process of its own: with a log it starts `count` programs, without it stops them all."""
    folder.mkdir(exist_ok=True)
    arguments = [str(folder)] if log is None else [str(folder), str(log), str(count)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.programs.process_service", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "MARKER": str(folder / "marker")},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await soon(asyncio.to_thread(process.stdout.readline))).strip()


@contextmanager
def held(pid: int) -> Iterator[int]:
    """A pidfd of the process, alive or not yet reaped."""
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)


async def ended(pidfd: int) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pidfd, over.set)
    try:
        await soon(over.wait())
    finally:
        loop.remove_reader(pidfd)


def _stat(pid: int | str) -> list[str]:
    """pid, comm, state, parent of a process; empty when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    name, _, rest = text.partition("(")[2].rpartition(")")
    return [str(pid), name, *rest.split()[:2]]


def comm(pid: int) -> str:
    return _stat(pid)[1] if _stat(pid) else ""


def state(pid: int) -> str:
    return _stat(pid)[2] if _stat(pid) else ""


def children(parent: int) -> list[int]:
    found = (_stat(name) for name in os.listdir("/proc") if name.isdigit())
    return sorted(int(fields[0]) for fields in found if fields and fields[3] == str(parent))


def marked(marker: Path) -> set[int]:
    """The living processes that have this marker in their environment and are no service."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if f"MARKER={marker}".encode() in environment and not comm(int(name)).startswith("python"):
            found.add(int(name))
    return found
