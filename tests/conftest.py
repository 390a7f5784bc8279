"""For every test: the settings of whoever runs them stay outside."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from docker import DockerClient

# A busy machine is no failure, and a failure in CI must be the same one at a desk.
settings.register_profile("roost", deadline=None, derandomize=bool(os.environ.get("CI")), database=None)
settings.load_profile("roost")

MOST_WORKERS = 8
"""Each has containers and processes of its own; what they do to a machine grows faster than what they save."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many `make test` has: one more than there are processors, for many a test waits."""
    return min(1 + (os.cpu_count() or 1), MOST_WORKERS)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith(("ROOST_", "AGENT_")):
            monkeypatch.delenv(variable)


@pytest.fixture(scope="session")
def image(docker_client: DockerClient) -> str:
    """The common image of this code, built if need be. Its tests are marked `docker`."""
    from bot.errors import RoostError
    from tests.fakes.engine import common_image  # Half a second to load, for a few tests.

    try:
        return common_image()
    except RoostError as exc:
        _do_without(f"the image cannot be built: {exc}")


@pytest.fixture(scope="session")
def docker_client() -> Iterator[DockerClient]:
    """The Docker engine of this machine."""
    import docker

    why = ""
    # docker-py leaves the socket of a failed connection open.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env()
        except docker.errors.DockerException as exc:
            why = str(exc)
        gc.collect()
    if why:
        _do_without(f"no Docker engine answers: {why}")
    yield client
    client.close()


def _do_without(why: str) -> NoReturn:
    """Skips what somebody at a desk cannot run; CI runs everything."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
