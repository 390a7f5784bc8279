"""The Docker backend against the contract, and what only it promises; with a real engine."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, ClassVar

import docker
import pytest
from docker.errors import APIError, NotFound

from container.base import Backend, Exit, Mount, Spec
from container.docker import NAMESPACE_LABEL, DockerBackend
from tests.contracts import backend_contract as contract
from tests.contracts.backend_contract import BackendContract, Opened, soon

pytestmark = pytest.mark.docker


@pytest.fixture
def engine() -> Iterator[docker.APIClient]:
    with aclosing_client(docker.APIClient()) as client:
        yield client


class aclosing_client:  # noqa: N801
    def __init__(self, client: Any) -> None:
        self.client = client

    def __enter__(self) -> Any:
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()


class TestDockerBackend(BackendContract):
    killed: ClassVar = Exit(137)
    may_add: ClassVar = frozenset({"PATH", "HOSTNAME", "HOME", "PWD", "SHLVL", "_", "OLDPWD"})

    @pytest.fixture
    def namespace(self, tmp_path: Path, engine: Any) -> Iterator[str]:
        name = f"test-{os.getpid()}-{abs(hash(tmp_path)) % 10**8}"
        yield name
        for left in engine.containers(all=True, filters={"label": f"{NAMESPACE_LABEL}={name}"}):
            with suppress(NotFound, APIError):
                engine.remove_container(left["Id"], force=True)

    @pytest.fixture
    def opened(self, namespace: str) -> Opened:
        return lambda: aclosing(DockerBackend(namespace, os.environ))

    @pytest.fixture
    def make(self, folder: Path, namespace: str) -> Callable[..., Spec]:
        folder.chmod(0o777)

        def spec(
            command: tuple[str, ...],
            name: str = "one",
            env: Mapping[str, str] | None = None,
            labels: Mapping[str, str] | None = None,
        ) -> Spec:
            return Spec(
                name,
                command,
                env or {},
                workdir=Path("/workspace"),
                log=folder.parent / f"{name}.log",
                labels=labels or {},
                image="roost-try",
                mounts=[Mount(folder, Path("/workspace"), writable=True)],
            )

        return spec

    async def output(self, spec: Spec) -> str:
        def logged() -> str:
            return spec.log.read_text() if spec.log.exists() else ""

        def printed() -> str:
            with aclosing_client(docker.APIClient()) as client:
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

    async def test_what_it_prints_gives_a_terminal_no_orders(
        self, opened: Opened, make: Callable[..., Spec]
    ) -> None:
        """Whoever looks into the log is a person, and at a terminal."""
        spec = make(("printf", r"a\tb\033]0;title\007\033[2J\r\302\233A \303\244\n"))
        async with opened() as backend:
            await soon(backend.start(spec))
            await soon(backend.wait("one"))
        assert spec.log.read_text() == "a\tb\\x1b]0;title\\x07\\x1b[2J\\x0d\\x9bA ä\n"
