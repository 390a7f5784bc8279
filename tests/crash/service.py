"""The service as the crash suite runs it: the real one, its runners armed, with the wire as its platform, or with the
real adapter for Discord where the round's folder says where a Discord is."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from adapters.base import Adapter
from adapters.discord import DiscordAdapter, Settings, Timing
from agent.protocol import failpoint
from bot import log
from bot.app import running_app
from bot.config import Config
from bot.db import people
from container.base import Spec
from container.process import ProcessBackend
from tests.fakes.wire import NAME, PERSON, WirePlatform

SETTINGS: Final = "settings.json"
DISCORD: Final = "discord.json"
"""The addresses and the token, for a service that is to be before Discord."""
QUICK: Final = Timing(
    identify_pause=0.05,
    guilds=0.05,
    first_text=0.05,
    edit=0.1,
    typing_begins=0.05,
    typing_again=0.5,
    defer=0.5,
    online=5.0,
)
"""So that an answer which is written within a second is shown and changed several times."""


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
    backend = ArmedBackend(data / "run", runner_points)
    wire = WirePlatform(root / "socket", data / "incoming" / NAME)
    adapter: Adapter = _discord(root / DISCORD) if (root / DISCORD).exists() else wire
    async with running_app(config, adapters=[adapter], backend=backend) as app:
        if await app.db.read(partial(people.role_of, channel=NAME, user_id=PERSON.id)) is None:
            await app.db.write(partial(people.grant, channel=NAME, user_id=PERSON.id, role="owner", now=0))
        wire.ready.set()
        await stopped.wait()
    await backend.aclose()


def _discord(where: Path) -> DiscordAdapter:
    said = json.loads(where.read_text())
    return DiscordAdapter(
        Settings(
            lambda: str(said["token"]),
            rest_url=said["rest_url"],
            gateway_url=said["gateway_url"],
            timing=QUICK,
        )
    )
