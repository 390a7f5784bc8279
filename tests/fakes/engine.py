"""The real Docker engine as tests use it: the images, and what lives in a namespace."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import APIError, NotFound
from docker.utils import kwargs_from_env

from bot import images
from bot.config import Config
from container.docker import NAMESPACE_LABEL
from container.image.client import find_client, run
from container.image.engine import Engine, client_environment

TESTS: Final = Path(__file__).resolve().parents[1]
SITE: Final = "/opt/roost/lib/python3.11/site-packages"
LOG_LINES: Final = 40
FAKES_DOCKERFILE: Final = "ARG COMMON_IMAGE\nFROM ${COMMON_IMAGE}\nCOPY tests " + SITE + "/tests\n"


@contextmanager
def client() -> Iterator[Any]:
    """A client of the engine's, of no use to anybody else."""
    made = docker.APIClient(**kwargs_from_env())
    try:
        yield made
    finally:
        made.close()


@contextmanager
def _alone() -> Iterator[None]:
    """One process of this user's at a time: tests that run side by side build an image once."""
    path = Path(tempfile.gettempdir()) / f"roost-tests-{os.getuid()}.lock"
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def common_image() -> str:
    """The tag of the image that fits the code beside this file, built first if need be."""
    with _alone():
        return images.ensure_image(Config(), ["assistant"], print)["assistant"]


def image_with_tests(common: str) -> str:
    """The name ([image] name) of an image that has the providers of tests/fakes besides. Its tag and its labels are
    those of the common one, so the service takes it for what it would have built under that name."""
    fakes = sorted((TESTS / "fakes").rglob("*.py"))
    content = hashlib.sha256(b"\0".join(each.read_bytes() for each in fakes)).hexdigest()[:12]
    name = f"roost-test-{content}"
    tag = f"{name}:{common.partition(':')[2]}"
    with _alone(), Engine(os.environ) as engine, tempfile.TemporaryDirectory() as place:
        if engine.labels(tag) is not None:
            return name
        for each in [TESTS / "__init__.py", *fakes]:
            copy = Path(place) / "tests" / each.relative_to(TESTS)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(each.read_bytes())
        (Path(place) / "Dockerfile").write_text(FAKES_DOCKERFILE)
        for each in Path(place).rglob("*"):
            each.chmod(0o755 if each.is_dir() else 0o644)
        command = [find_client(os.environ.get("PATH", "")), "build", "--build-arg", f"COMMON_IMAGE={common}"]
        command += ["--tag", tag, place]
        run(
            command,
            print,
            what="the image with the tests",
            env=client_environment(os.environ, engine.host),
        )
    return name


class Namespace:
    """The containers of one service or of one test, seen past whatever is being tested."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._label = f"{NAMESPACE_LABEL}={name}"
        self._client = docker.APIClient(**kwargs_from_env())

    def close(self) -> None:
        self._client.close()

    def living(self) -> list[dict[str, Any]]:
        """Those that run or are paused, as GET /containers/json has them."""
        return list(self._client.containers(filters={"label": self._label}))

    def all(self) -> list[dict[str, Any]]:
        """Those that have ended, or never begun, as well."""
        return list(self._client.containers(all=True, filters={"label": self._label}))

    def inspect(self, container: str) -> dict[str, Any]:
        """As GET /containers/ID/json has it."""
        return dict(self._client.inspect_container(container))

    def pid(self, container: str) -> int:
        """Of its init process, which can be signalled from here; 0: it has none."""
        return int(self.inspect(container)["State"]["Pid"])

    def kill(self, container: str) -> None:
        self._client.kill(container)

    def pause(self, container: str) -> None:
        self._client.pause(container)

    def run(self, container: str, command: list[str]) -> None:
        """Starts something in it besides, as its user, and does not wait."""
        made = self._client.exec_create(container, command)
        self._client.exec_start(made["Id"], detach=True)

    def remove_all(self) -> None:
        """Absent is success."""
        for each in self.all():
            with suppress(NotFound, APIError):
                self._client.remove_container(each["Id"], force=True, v=True)

    def told(self) -> str:
        """What `docker ps -a` would say, and the last words of each."""
        lines = []
        for each in self.all():
            lines.append(f"--- {each['Names'][0]} {each['Image']} {each['State']}: {each['Status']}")
            with suppress(NotFound, APIError):
                lines.append(self._client.logs(each["Id"], tail=LOG_LINES).decode("utf-8", "replace"))
        return "\n".join(lines)
