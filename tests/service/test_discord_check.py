"""`roost discord check` as somebody types it, before a Discord on loopback: everything that can be wrong, once."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.discord_server import DiscordServer

ROOT = Path(__file__).parents[2]
ROOST = str(Path(sys.executable).with_name("roost"))


@dataclass
class Setup:
    """A Discord, and a folder with a configuration for it."""

    discord: DiscordServer
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    more: str = ""

    async def check(self, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Exit status, output and standard error."""
        told = {
            "enabled": True,
            "rest_url": self.discord.rest_url,
            "gateway_url": self.discord.gateway_url,
            **self.settings,
        }
        table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in told.items())
        (self.folder / "config.toml").write_text(f"[discord]\n{table}\n{self.more}")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "PYTHON", "DISCORD"))}
        child = await asyncio.create_subprocess_exec(
            ROOST,
            "discord",
            "check",
            *arguments,
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(ROOT), "DISCORD_TOKEN": self.discord.token, **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            said, complained = await child.communicate()
        assert child.returncode is not None
        return child.returncode, said.decode(), complained.decode()
