"""The Docker backend against the contract, and what only it promises; with a real engine."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import ClassVar, Final

import pytest
from docker.errors import APIError, NotFound

from container.base import Backend, BackendError, Exit, Spec
from container.docker import NAMESPACE_LABEL, OUT_OF_MEMORY, DockerBackend
from tests.contracts import backend_contract as contract
from tests.contracts.backend_contract import BackendContract, Opened, eventually, soon
from tests.fakes import engine
from tests.fakes.engine import Namespace

pytestmark = pytest.mark.docker

GREEDY: Final = ("python3", "-c", "x = [bytearray(1 << 20) for _ in range(512)]")


class TestDockerBackend(BackendContract):
    killed: ClassVar = Exit(137)
    may_add: ClassVar = frozenset(
        {"PATH", "HOSTNAME", "HOME", "LANG", "PWD", "SHLVL", "_", "OLDPWD"}
        | {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    )

    @pytest.fixture
    def opened(self, containers: Namespace) -> Opened:
        return lambda: aclosing(DockerBackend(containers.name, os.environ))

    @pytest.fixture
    def make(self, docker_spec: Callable[..., Spec]) -> Callable[..., Spec]:
        return docker_spec

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "work"

    async def output(self, spec: Spec) -> str:
        def logged() -> str:
            return spec.log.read_text() if spec.log.exists() else ""

        def printed() -> str:
            with engine.client() as client:
                while True:
                    before = logged()
                    try:
                        lives = client.inspect_container(spec.name)["State"]["Running"]
                        text = str(client.logs(spec.name), "utf-8")
                    except (NotFound, APIError):
                        return logged()
                    if lives:
                        return before + text
                    # Between its end and its removal nobody can tell whether the log has it already.
                    time.sleep(0.01)

        return await asyncio.to_thread(printed)

    async def test_a_missing_program_is_told_at_the_start(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        """The init process of a container is there, so it is the exit that tells."""
        await soon(backend.start(make(contract.MISSING)))
        assert await soon(backend.wait("one")) == Exit(127)

    async def test_what_it_prints_is_in_the_log(self, backend: Backend, make: Callable[..., Spec]) -> None:
        """By two pipes, between which the engine keeps no order."""
        spec = make(contract.HELLO)
        await soon(backend.start(spec))
        await soon(backend.wait("one"))
        assert sorted((await self.output(spec)).splitlines()) == ["to stderr", "to stdout"]

    # ---------------------------------------------------------------- what only Docker does

    async def test_what_it_prints_gives_a_terminal_no_orders(
        self, opened: Opened, make: Callable[..., Spec]
    ) -> None:
        """Whoever looks into the log is a person, and at a terminal."""
        spec = make(("printf", r"a\tb\033]0;title\007\033[2J\r\302\233A \303\244\n"))
        async with opened() as backend:
            await soon(backend.start(spec))
            await soon(backend.wait("one"))
        assert spec.log.read_text() == "a\tb\\x1b]0;title\\x07\\x1b[2J\\x0d\\x9bA ä\n"

    async def test_who_needs_too_much_memory_is_told(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        await soon(backend.start(make(GREEDY)))
        ended = await soon(backend.wait("one"))
        assert (ended, ended.why) == (Exit(137), OUT_OF_MEMORY)

    async def test_who_is_killed_has_not_needed_too_much(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        await soon(backend.start(make(contract.CRASH)))
        assert (await soon(backend.wait("one"))).why is None

    async def test_what_it_has_printed_is_kept_when_it_is_removed(
        self, backend: Backend, make: Callable[..., Spec], containers: Namespace
    ) -> None:
        spec = make(contract.HELLO)
        await soon(backend.start(spec))
        await soon(backend.wait("one"))
        await eventually(lambda: gone(containers), containers.told)
        assert sorted(spec.log.read_text().splitlines()) == ["to stderr", "to stdout"]
        assert spec.log.stat().st_mode & 0o777 == 0o600

    async def test_what_is_left_over_is_removed(
        self, backend: Backend, make: Callable[..., Spec], containers: Namespace
    ) -> None:
        """One that was made and never begun, and one that ended while nobody was there."""
        with engine.client() as client:
            for name in ("never", "ended"):
                client.create_container(
                    str(make(contract.EXIT_0).image),
                    list(contract.EXIT_0),
                    name=f"{containers.name}-{name}",
                    labels={NAMESPACE_LABEL: containers.name},
                )
            client.start(f"{containers.name}-ended")
            client.wait(f"{containers.name}-ended", timeout=contract.SECONDS)
        assert len(containers.all()) == 2
        assert await backend.running() == []
        await eventually(lambda: gone(containers), containers.told)

    async def test_what_is_another_services_is_left_alone(
        self, backend: Backend, make: Callable[..., Spec], containers: Namespace
    ) -> None:
        async with aclosing(DockerBackend(f"{containers.name}-other", os.environ)) as other:
            try:
                await soon(other.start(make(contract.SLEEP)))
                assert await backend.running() == []
                await soon(backend.stop("one", grace_seconds=0))
                with pytest.raises(BackendError, match="not this service's has the name one: remove it"):
                    await soon(backend.start(make(contract.EXIT_0)))
                with pytest.raises(BackendError):
                    await soon(backend.wait("one"))
                assert [program.name for program in await other.running()] == ["one"]
            finally:
                await soon(other.stop("one", grace_seconds=0))

    async def test_a_missing_image_is_told_with_what_to_do(
        self, backend: Backend, make: Callable[..., Spec], containers: Namespace
    ) -> None:
        with pytest.raises(BackendError, match=r"no image roost-none:1: make it with `roost image build`$"):
            await soon(backend.start(make(contract.EXIT_0, image="roost-none:1")))
        assert containers.all() == []

    async def test_a_runtime_that_the_engine_has_not_is_told(
        self, make: Callable[..., Spec], containers: Namespace
    ) -> None:
        async with aclosing(DockerBackend(containers.name, os.environ, runtime="nothing")) as backend:
            with pytest.raises(BackendError, match="nothing"):
                await soon(backend.start(make(contract.EXIT_0)))
            assert await backend.running() == []
        await eventually(lambda: gone(containers), containers.told)

    async def test_the_runtime_is_passed_on(self, make: Callable[..., Spec], containers: Namespace) -> None:
        async with aclosing(DockerBackend(containers.name, os.environ, runtime="runc")) as backend:
            await soon(backend.start(make(contract.SLEEP)))
            assert containers.inspect("one")["HostConfig"]["Runtime"] == "runc"
            await soon(backend.stop("one", grace_seconds=0))


async def gone(containers: Namespace) -> bool:
    return not await asyncio.to_thread(containers.all)
