"""The README's way to a bot on Discord, walked by the real command: token, start, claim, first question."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.discord_server import DiscordServer

ROOT = Path(__file__).parents[2]
ROOST = str(Path(sys.executable).with_name("roost"))
SECONDS = 60.0


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`roost run` in a folder, with somebody at its terminal who says nothing."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "PYTHON", "DISCORD"))}
    child = await asyncio.create_subprocess_exec(
        ROOST,
        "run",
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "ROOST_BACKEND__KIND": "process", "ROOST_POOL__SIZE": "0"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        async with asyncio.timeout(SECONDS):
            await child.communicate()


async def said(child: asyncio.subprocess.Process, pattern: str) -> str:
    """The first group of the first line on standard error in which the pattern is found. Raises TimeoutError."""
    assert child.stderr is not None
    async with asyncio.timeout(SECONDS):
        async for line in child.stderr:
            if found := re.search(pattern, line.decode()):
                return found[1]
    raise AssertionError(f"it has ended and not said {pattern}")


async def test_whoever_reads_the_start_owns_the_bot_and_is_answered(tmp_path: Path) -> None:
    async with DiscordServer() as discord:
        lab = discord.guild("Lab")
        general = lab.channel("general")
        ada = discord.person("Ada")
        lab.join(ada)
        token = tmp_path / "discord.token"
        token.write_text(f"{discord.token}\n")
        token.chmod(0o600)
        (tmp_path / "config.toml").write_text(
            '[discord]\nenabled = true\ntoken_file = "discord.token"\n'
            f'rest_url = "{discord.rest_url}"\ngateway_url = "{discord.gateway_url}"\n'
        )
        async with running(tmp_path) as service:
            code = await said(service, r"Nobody owns the bot on discord yet: .* /roost claim (\S+) ")
            await discord.until(discord.commands.listed, SECONDS)
            await discord.until(lambda: discord.hub.live, SECONDS)
            await ada.command("roost claim", general, code=code).answer(SECONDS)
            asked = ada.say(general, "hello", mention=[discord.bot])
            await discord.until(lambda: asked.thread is not None, SECONDS)
            assert asked.thread is not None
            thread = asked.thread
            await discord.until(lambda: thread.texts == ["You said: hello"], SECONDS)
    written = (tmp_path / "data" / "logs" / "roost.log").read_text()
    assert "static token" in written and "voice" not in written, (
        "the library warns of what no bot of ours has"
    )
