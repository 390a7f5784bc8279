"""The Docker backend against the contract, and what only it promises; with a real engine."""

from __future__ import annotations

import asyncio
import os
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
        def printed() -> str:
            before = spec.log.read_text() if spec.log.exists() else ""
            with aclosing_client(docker.APIClient()) as client, suppress(NotFound, APIError):
                return before + str(client.logs(spec.name), "utf-8")
            return spec.log.read_text() if spec.log.exists() else ""

        return await asyncio.to_thread(printed)

    async def test_a_missing_program_is_told_at_the_start(
        self, backend: Backend, make: Callable[..., Spec]
    ) -> None:
        """The init process of a container is there, so it is the exit that tells."""
        await soon(backend.start(make(contract.MISSING)))
        assert await soon(backend.wait("one")) == Exit(127)
