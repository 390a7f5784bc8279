"""What every Backend keeps to. A backend's tests subclass BackendContract and supply the fixture `opened`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest

from container.base import Backend, BackendError, Exit, Running, Spec

SECONDS = 10.0
"""How long anything may take before a test calls it stuck."""

Opened = Callable[[], AbstractAsyncContextManager[Backend]]
T = TypeVar("T")

EXIT_0 = ("/bin/sh", "-c", "exit 0")
EXIT_7 = ("/bin/sh", "-c", "exit 7")
CRASH = ("/bin/sh", "-c", "kill -KILL $$")
SLEEP = ("/bin/sh", "-c", "exec sleep 1000")
HELLO = ("/bin/sh", "-c", "echo to stdout; echo to stderr >&2")
ENVIRONMENT = ("env",)
READ_STDIN = ("/bin/sh", "-c", "cat; echo the end")
TOUCH = ("/bin/sh", "-c", "touch made")
POLITE = ("/bin/sh", "-c", "trap 'exit 3' TERM; echo ready; sleep 1000 & wait")
STUBBORN = ("/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done")
UNTIL_TOLD = ("/bin/sh", "-c", "echo ready; while [ ! -e told ]; do sleep 0.01; done; exit 5")
MISSING = ("no-such-program-anywhere",)


async def soon(awaitable: Awaitable[T]) -> T:
    return await asyncio.wait_for(awaitable, SECONDS)


async def eventually(condition: Callable[[], Awaitable[bool]], what: Callable[[], str]) -> None:
    """Returns when the condition holds; fails with `what` when it never does."""
    deadline = time.monotonic() + SECONDS
    while not await condition():
        if time.monotonic() > deadline:
            pytest.fail(f"never came true: {what()}")
        await asyncio.sleep(0.005)


async def end_all(backend: Backend) -> None:
    for program in await backend.running():
        await soon(backend.stop(program.name, grace_seconds=0))


class BackendContract:
    """A subclass for a backend that runs elsewhere overrides `spec` and `output` too."""

    killed: ClassVar = Exit(-9)
    """How a program that SIGKILL ended is reported."""
    may_add: ClassVar[frozenset[str]] = frozenset()
    """The variables that the backend may add to those of the Spec."""

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        """Opens a backend; closed and opened again, it is a later service on the same programs."""
        raise NotImplementedError

    @pytest.fixture
    async def backend(self, opened: Opened) -> AsyncIterator[Backend]:
        async with opened() as backend:
            yield backend
            await end_all(backend)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "work").mkdir()
        return tmp_path / "work"

    @pytest.fixture
    def make(self, folder: Path) -> Callable[..., Spec]:
        def spec(
            command: tuple[str, ...],
            name: str = "one",
            env: Mapping[str, str] | None = None,
            labels: Mapping[str, str] | None = None,
        ) -> Spec:
            log = folder.parent / f"{name}.log"
            return Spec(name, command, env or {}, workdir=folder, log=log, labels=labels or {})

        return spec

    async def output(self, spec: Spec) -> str:
        return spec.log.read_text() if spec.log.exists() else ""

    async def ready(self, spec: Spec) -> None:
        async def told() -> bool:
            return "ready\n" in await self.output(spec)

        await eventually(told, lambda: f"{spec.name} is ready")

    @pytest.mark.parametrize(("command", "code"), [(EXIT_0, 0), (EXIT_7, 7)])
    async def test_the_exit_code_is_told(
        self, backend: Backend, make: Callable[..., Spec], command: tuple[str, ...], code: int
    ) -> None:
        await soon(backend.start(make(command)))
        assert await soon(backend.wait("one")) == Exit(code)

    async def test_a_crash_is_told_from_an_exit(self, backend: Backend, make: Callable[..., Spec]) -> None:
        await soon(backend.start(make(CRASH)))
        assert await soon(backend.wait("one")) == self.killed

    async def test_an_exit_is_remembered_until_the_next_start(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        await soon(backend.start(make(EXIT_7)))
        first = await soon(backend.wait("one"))
        assert await soon(backend.wait("one")) == first
        await soon(backend.start(make(EXIT_0)))
        assert await soon(backend.wait("one")) == Exit(0)

    async def test_everybody_who_waits_is_told(self, backend: Backend, make: Callable[..., Spec]) -> None:
        spec = make(STUBBORN)
        await soon(backend.start(spec))
        await self.ready(spec)
        waiters = [asyncio.create_task(backend.wait("one")) for _ in range(5)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        await asyncio.wait(waiters[:1])
        await soon(backend.stop("one", grace_seconds=0))
        assert await soon(asyncio.gather(*waiters[1:])) == [self.killed] * 4

    async def test_a_program_may_leave_when_asked(self, backend: Backend, make: Callable[..., Spec]) -> None:
        spec = make(POLITE)
        await soon(backend.start(spec))
        await self.ready(spec)
        await soon(backend.stop("one", grace_seconds=1000))
        assert await soon(backend.wait("one")) == Exit(3)

    async def test_a_frozen_program_may_leave_when_asked(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        spec = make(POLITE)
        await soon(backend.start(spec))
        await self.ready(spec)
        await backend.freeze("one", frozen=True)
        await soon(backend.stop("one", grace_seconds=1000))
        assert await soon(backend.wait("one")) == Exit(3)

    async def test_who_does_not_leave_is_killed(self, backend: Backend, make: Callable[..., Spec]) -> None:
        spec = make(STUBBORN)
        await soon(backend.start(spec))
        await self.ready(spec)
        await soon(backend.stop("one", grace_seconds=0.05))
        assert await backend.running() == []
        assert await soon(backend.wait("one")) == self.killed

    async def test_stopping_what_is_not_there_succeeds(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        await soon(backend.stop("nobody", grace_seconds=0))
        await soon(backend.start(make(EXIT_0)))
        await soon(backend.wait("one"))
        await soon(backend.stop("one", grace_seconds=0))

    async def test_a_name_is_taken_while_its_program_lives(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        await soon(backend.start(make(SLEEP)))
        with pytest.raises(BackendError):
            await soon(backend.start(make(EXIT_0)))
        await soon(backend.stop("one", grace_seconds=0))
        await soon(backend.start(make(EXIT_7)))
        assert await soon(backend.wait("one")) == Exit(7)

    async def test_of_two_starts_at_once_one_wins(self, backend: Backend, make: Callable[..., Spec]) -> None:
        starts = [backend.start(make(SLEEP)) for _ in range(2)]
        results = await soon(asyncio.gather(*starts, return_exceptions=True))
        assert sorted(type(result).__name__ for result in results) == ["BackendError", "NoneType"]
        assert [program.name for program in await backend.running()] == ["one"]

    async def test_the_living_are_listed_with_their_labels(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        assert await backend.running() == []
        await soon(backend.start(make(SLEEP, "aa", labels={"session": "s-1"})))
        await soon(backend.start(make(SLEEP, "bb")))
        await soon(backend.start(make(EXIT_0, "cc")))
        await soon(backend.wait("cc"))
        assert _labels(await backend.running()) == {"aa": {"session": "s-1"}, "bb": {}}

    async def test_ten_start_at_once(self, backend: Backend, make: Callable[..., Spec]) -> None:
        names = [f"p{number}" for number in range(10)]
        await soon(asyncio.gather(*(backend.start(make(SLEEP, name)) for name in names)))
        assert [program.name for program in await backend.running()] == names
        await soon(asyncio.gather(*(backend.stop(name, grace_seconds=0) for name in names)))
        assert await backend.running() == []

    async def test_the_environment_is_what_is_given(
        self, backend: Backend, make: Callable[..., Spec], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("A_SECRET_OF_THE_SERVICE", "hush")
        given = {"PLAIN": "a b", "__QUOTED": "'\"$PATH`", "go": "x"}
        spec = make(ENVIRONMENT, env=given)
        await soon(backend.start(spec))
        await soon(backend.wait("one"))
        seen = dict(line.split("=", 1) for line in (await self.output(spec)).splitlines())
        assert {name: value for name, value in seen.items() if name not in self.may_add} == given

    async def test_what_it_prints_is_in_the_log(self, backend: Backend, make: Callable[..., Spec]) -> None:
        spec = make(HELLO)
        await soon(backend.start(spec))
        await soon(backend.wait("one"))
        assert await self.output(spec) == "to stdout\nto stderr\n"

    async def test_nothing_is_on_stdin(self, backend: Backend, make: Callable[..., Spec]) -> None:
        spec = make(READ_STDIN)
        await soon(backend.start(spec))
        assert await soon(backend.wait("one")) == Exit(0)
        assert await self.output(spec) == "the end\n"

    async def test_it_runs_in_its_folder(
        self, backend: Backend, make: Callable[..., Spec], folder: Path
    ) -> None:
        await soon(backend.start(make(TOUCH)))
        assert await soon(backend.wait("one")) == Exit(0)
        assert (folder / "made").exists()

    async def test_a_frozen_program_does_nothing_until_it_may(
        self, backend: Backend, make: Callable[..., Spec], folder: Path
    ) -> None:
        spec = make(UNTIL_TOLD)
        await soon(backend.start(spec))
        await self.ready(spec)
        await backend.freeze("one", frozen=True)
        (folder / "told").touch()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(backend.wait("one"), 0.15)
        assert [program.name for program in await backend.running()] == ["one"]
        await backend.freeze("one", frozen=False)
        assert await soon(backend.wait("one")) == Exit(5)

    async def test_an_unknown_name_cannot_be_waited_for_or_frozen(self, backend: Backend) -> None:
        with pytest.raises(BackendError):
            await soon(backend.wait("nobody"))
        with pytest.raises(BackendError):
            await backend.freeze("nobody", frozen=True)

    async def test_a_missing_program_is_told_at_the_start(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        with pytest.raises(BackendError):
            await soon(backend.start(make(MISSING)))
        assert await backend.running() == []
        await soon(backend.start(make(EXIT_0)))
        assert await soon(backend.wait("one")) == Exit(0)

    async def test_programs_outlive_the_service(self, opened: Opened, make: Callable[..., Spec]) -> None:
        async with opened() as first:
            await soon(first.start(make(SLEEP, labels={"session": "s-1"})))
            before = await first.running()
        async with opened() as second:
            assert await second.running() == before
            waiter = asyncio.create_task(second.wait("one"))
            with pytest.raises(BackendError):
                await soon(second.start(make(EXIT_0)))
            await soon(second.stop("one", grace_seconds=0))
            assert not (await soon(waiter)).clean
            assert await second.running() == []

    async def test_a_later_service_stops_what_it_has_not_listed(
        self, opened: Opened, make: Callable[..., Spec]
    ) -> None:
        spec = make(POLITE)
        async with opened() as first:
            await soon(first.start(spec))
            await self.ready(spec)
        async with opened() as second:
            await soon(second.stop("one", grace_seconds=1000))
            assert await soon(second.wait("one")) in (Exit(3), Exit(None))


def _labels(programs: list[Running]) -> dict[str, Mapping[str, str]]:
    return {program.name: program.labels for program in programs}
