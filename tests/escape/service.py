"""The whole service on real containers, one of which is not what it should be."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from container.base import Spec
from container.docker import DockerBackend
from tests.escape.wall import PROBES, sweep
from tests.fakes.platform import FakePlatform
from tests.service.conftest import House

HOSTILE = "hostile"
VICTIM = "victim"


class Swapping(DockerBackend):
    """Starts a probe for the session of the place HOSTILE, and the image's own runner for all others."""

    def __init__(self, namespace: str, image: str, house: House, probe: Callable[[], Sequence[str]]) -> None:
        super().__init__(namespace, os.environ)
        self._image = image
        self._house = house
        self._probe = probe
        self.honest = False
        """Whether from now on it starts what it is asked for."""
        self.started: list[str] = []

    async def start(self, spec: Spec) -> None:
        self.started.append(spec.name)
        spec = replace(spec, image=self._image)
        if not self.honest and self._is_hostile(spec):
            work = next(mount.source for mount in spec.mounts if mount.target == Path("/workspace"))
            shutil.copytree(PROBES, work / "probes", dirs_exist_ok=True)
            spec = replace(spec, command=["python3", "-B", "-m", *self._probe()])
        await super().start(spec)

    def _is_hostile(self, spec: Spec) -> bool:
        found = self._house.query("SELECT id FROM sessions WHERE platform_id = ?", HOSTILE)
        return any(spec.name.endswith(row["id"]) for row in found)


@asynccontextmanager
async def serving(
    house: House, namespace: str, image: str, probe: Callable[[], Sequence[str]], *more: FakePlatform
) -> AsyncIterator[tuple[FakePlatform, Swapping]]:
    """The service with a probe for HOSTILE; its containers end with the block."""
    try:
        async with (
            aclosing(Swapping(namespace, image, house, probe)) as backend,
            house.open(*more, backend=backend) as platform,
        ):
            yield platform, backend
    finally:
        sweep(namespace)
