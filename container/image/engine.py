"""The engine as far as images go. What docker-py raises is caught here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import docker
from docker.errors import ContainerError, DockerException, ImageNotFound

from container.image.recipe import ImageError

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
OLDEST_ENGINE: Final = (20, 10)
"""Its own frontend is the first that knows `RUN --mount`."""
RUN_MEMORY: Final = "1g"
ARCHITECTURES: Final = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
"""What an engine calls its architecture, and what wheels call it."""


@dataclass(frozen=True)
class Ended:
    """How a run of an image ended."""

    code: int
    text: str


class Engine:
    """A connection to the engine that DOCKER_HOST names, or to the one of this machine. Close it, or use `with`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Raises ImageError where no engine answers, or one that is too old."""
        self.host = environ.get("DOCKER_HOST") or DEFAULT_HOST
        with _told(
            f"No Docker engine answers at {self.host}; is it installed and running, and may this user use it"
        ):
            self._client = docker.from_env(environment={**environ, "DOCKER_HOST": self.host})
            version = str(self._client.version()["Version"])
        numbers = version.split(".")[:2]
        if all(part.isdecimal() for part in numbers) and tuple(map(int, numbers)) < OLDEST_ENGINE:
            raise ImageError(f"The Docker engine is {version}; building the image takes 20.10 or newer.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def architecture(self) -> str:
        """That of its machine, as the names of wheels have it. Raises ImageError for one that none are made for."""
        with _told("The Docker engine cannot be asked for its architecture"):
            found = str(self._client.info()["Architecture"])
        if found not in ARCHITECTURES:
            raise ImageError(f"There is no Claude for the architecture of this Docker engine, {found}.")
        return ARCHITECTURES[found]

    def labels(self, image: str) -> Mapping[str, str] | None:
        """The labels of an image, or None when it is not there. Raises ImageError."""
        with _told(f"The image {image} cannot be looked at"):
            try:
                return dict(self._client.images.get(image).labels)
            except ImageNotFound:
                return None

    def load_base(self, tree: Path, image: str) -> None:
        """Makes an image of a file system in a tar file. Raises ImageError."""
        repository, _, tag = image.partition(":")
        with _told(f"The base image {image} cannot be imported"):
            self._client.api.import_image_from_file(str(tree), repository=repository, tag=tag)
        if self.labels(image) is None:
            raise ImageError(f"The Docker engine did not take the base image {image}.")

    def try_run(self, image: str, command: Sequence[str], env: Mapping[str, str]) -> Ended:
        """Runs a command in the image as a runner is run: without network, rights or a place to write.
        Raises ImageError when the engine cannot."""
        with _told(f"The image {image} cannot be run"):
            try:
                self._client.containers.run(
                    image,
                    list(command),
                    environment=dict(env),
                    network_mode="none",
                    read_only=True,
                    cap_drop=["ALL"],
                    security_opt=["no-new-privileges"],
                    mem_limit=RUN_MEMORY,
                    tmpfs={"/tmp": "noexec,size=64m"},  # noqa: S108 the container's own
                    stderr=True,
                    remove=True,
                )
            except ContainerError as exc:
                return Ended(exc.exit_status, _text(exc.stderr).strip())
        return Ended(0, "")


def _text(said: str | bytes | None) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said or ""


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (DockerException, OSError) as exc:
        # An address that cannot be one raises what urllib3 likes; what was lost on the way is an OSError.
        raise ImageError(f"{what}: {' '.join(str(exc).split())}") from exc


def client_environment(environ: Mapping[str, str], host: str) -> dict[str, str]:
    """For the client, so that it builds where we look: by BuildKit, at this engine, by no builder of its own."""
    chosen = {
        name: value for name, value in environ.items() if name not in ("BUILDX_BUILDER", "DOCKER_CONTEXT")
    }
    return {**chosen, "DOCKER_BUILDKIT": "1", "DOCKER_HOST": host}
