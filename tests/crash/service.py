"""The service as the crash suite runs it: the real one, its runners armed, with the wire as its platform, or with the
real adapter for Discord or Slack where the round's folder says where one is."""

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
from adapters.discord import DiscordAdapter
from adapters.discord import Settings as DiscordSettings
from adapters.discord import Timing as DiscordTiming
from adapters.slack import Settings as SlackSettings
from adapters.slack import SlackAdapter
from adapters.slack import Timing as SlackTiming
from agent.protocol import failpoint
from bot import log
from bot.app import running_app
from bot.config import Config
from bot.db import people
from bot.db.approvals import ApprovalRecord
from container.base import Spec
from container.process import ProcessBackend
from tests.fakes.wire import NAME, PERSON, WirePlatform

KIND: Final = "crash"
"""Of the approvals of a round."""
SETTINGS: Final = "settings.json"
ADDRESS: Final = "address.json"
"""The platform, its addresses and the tokens, for a service that is to be before people."""
DISCORD_QUICK: Final = DiscordTiming(
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
SLACK_QUICK: Final = SlackTiming(
    first_text=0.05,
    append=0.1,
    edit=0.1,
    status_begins=0.05,
    status_again=1.0,
    defer=0.5,
    acknowledge=0.3,
    online=5.0,
    ping=2.0,
    stagger=0.05,
    again=0.05,
    longest=0.4,
    noted=0.2,
    closing=0.2,
)
"""Likewise; what an earlier life has left is taken back within a second."""


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
    adapter: Adapter = _before_people(root / ADDRESS) if (root / ADDRESS).exists() else wire
    effects = {KIND: _effect}
    async with running_app(config, adapters=[adapter], backend=backend, effects=effects) as app:
        if await app.db.read(partial(people.role_of, channel=NAME, user_id=PERSON.id)) is None:
            await app.db.write(partial(people.grant, channel=NAME, user_id=PERSON.id, role="owner", now=0))
        wire.ready.set()
        await stopped.wait()
    await backend.aclose()


async def _effect(_: ApprovalRecord) -> str:
    """What was approved; it bears to be done again."""
    return "Done."


def _before_people(where: Path) -> Adapter:
    said = json.loads(where.read_text())
    if said["platform"] == SlackAdapter.name:
        return SlackAdapter(
            SlackSettings(
                lambda: str(said["bot_token"]),
                lambda: str(said["app_token"]),
                api_url=said["api_url"],
                timing=SLACK_QUICK,
            )
        )
    return DiscordAdapter(
        DiscordSettings(
            lambda: str(said["token"]),
            rest_url=said["rest_url"],
            gateway_url=said["gateway_url"],
            timing=DISCORD_QUICK,
        )
    )
