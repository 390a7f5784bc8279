"""The service as the crash suite runs it: the real one, with the wire as its platform and its runners armed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from agent.protocol import failpoint
from bot import log
from bot.app import running_app
from bot.config import Config
from bot.db import people
from container.base import Spec
from container.process import ProcessBackend
from tests.fakes.wire import NAME, PERSON, WirePlatform

SETTINGS: Final = "settings.json"


class ArmedBackend(ProcessBackend):
    """Gives each new runner the next of these failpoints, as long as there are any; None is none."""

    def __init__(self, folder: Path, points: Sequence[str | None]) -> None:
        super().__init__(folder, "roost")
        self._points = list(points)

    async def start(self, spec: Spec) -> None:
        point = self._points.pop(0) if self._points else None
        if point is not None:
            spec = replace(spec, env={**spec.env, failpoint.VARIABLE: point})
        await super().start(spec)


def main(root: Path, runner_points: Sequence[str | None]) -> None:
    """Runs until SIGTERM with what SETTINGS in `root` says."""
    settings = json.loads((root / SETTINGS).read_text())
    log.setup("INFO", "json", file=root / "service.log")
    asyncio.run(_serve(root, Config.model_validate(settings), runner_points))


async def _serve(root: Path, config: Config, runner_points: Sequence[str | None]) -> None:
    data = config.service.data_dir
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    platform = WirePlatform(root / "socket", data / "incoming" / NAME)
    backend = ArmedBackend(data / "run", runner_points)
    async with running_app(config, adapters=[platform], backend=backend) as app:
        if await app.db.read(partial(people.role_of, channel=NAME, user_id=PERSON.id)) is None:
            await app.db.write(partial(people.grant, channel=NAME, user_id=PERSON.id, role="owner", now=0))
        platform.ready.set()
        await stopped.wait()
    await backend.aclose()
