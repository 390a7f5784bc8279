"""A demo: the service with one adapter, a platform of this machine, and a person as ada and bob.

What is piped in is read line by line: the next one when the bot has nothing left to do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout

from adapters.base import Adapter
from adapters.terminal.pipe import stdin_lines
from agent.protocol.clock import now_ms
from bot import log
from bot.app import App, running_app
from bot.config import Config, load
from bot.db import people, questions
from bot.db.accounts import accounts
from bot.errors import RoostError
from tests.fakes.playground import Playground

NO_ADAPTER: Final = (
    "This Roost has no {platform} adapter ({missing} is not there), so there is nothing to try."
)
BANNER: Final = (
    "A {platform} on this machine: {url}.\n"
    "You are ada and bob, in #general, #random and dm; /help says how.\n"
    "Everything lies in {folder} and is gone when you leave; the log is roost.log in it."
)
NOT_CONNECTED: Final = "The bot did not connect to the {platform} of this demo."
EXIT_INTERRUPTED: Final = 130
CONNECT_SECONDS: Final = 60.0
QUIET_MS: Final = 1000
"""For so long nothing has happened, and nothing is under way: a message that was just said may not have arrived."""
LOOK_SECONDS: Final = 0.1

Say = Callable[[str], None]
Running = AbstractAsyncContextManager[tuple[Playground, App]]


@dataclass(frozen=True)
class Demo:
    """One platform's. `running` is everything for the length of a block, with the bot online, and raises RoostError and
    TimeoutError; the variables in `own` are the fake's, and no settings of the service."""

    platform: str
    command: str
    running: Callable[[Config, Say], Running]
    own: Collection[str] = ()


def settings(file: Path | None, data: Path, own: Collection[str] = ()) -> Config:
    """The agents of a configuration, or the mock alone, on a data folder of their own. Raises ConfigError."""
    env = {name: value for name, value in os.environ.items() if name not in own}
    config = load(file, env) if file is not None else Config()
    service = config.service.model_copy(update={"data_dir": data, "metrics_port": None})
    values: dict[str, Any] = {
        "service": service,
        "terminal": config.terminal.model_copy(update={"enabled": False}),
        "backup": config.backup.model_copy(update={"enabled": False}),
    }
    if file is None:
        # Nobody should need an engine to try it; the mock can do no harm.
        values["backend"] = config.backend.model_copy(update={"kind": "process"})
    return config.model_copy(update=values)


@asynccontextmanager
async def served(
    config: Config, playground: Playground, adapter: Adapter, known: Collection[str]
) -> AsyncIterator[App]:
    """The service with this adapter for the length of a block; the first of the people owns the bot. Raises
    RoostError."""
    async with running_app(config, adapters=[adapter]) as app:
        await app.db.write(lambda db: _grant(db, adapter.name, known))
        watching = asyncio.create_task(playground.watch(), name="watch")
        try:
            yield app
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            # No other service takes over what runs on a folder that goes away.
            await app.pool.close()
            for session_id in [runner.session.id for runner in app.containers]:
                await app.containers.stop(session_id)


async def quiet(playground: Playground, app: App) -> None:
    """Returns when nothing has happened for a while, and the bot has nothing to do or has asked something."""
    began = now_ms()
    while True:
        if now_ms() - max(began, playground.changed_at) >= QUIET_MS:
            open_turns = (await app.db.read(accounts)).open
            asks = bool(await app.db.read(lambda db: questions.waiting(db, now_ms())))
            if asks or not (open_turns or playground.waits):
                return
        await asyncio.sleep(LOOK_SECONDS)


async def typed(playground: Playground) -> None:
    """Lines of somebody at a terminal, until they leave."""
    session: PromptSession[str] = PromptSession()
    with patch_stdout(raw=True):
        while True:
            try:
                line = await session.prompt_async(lambda: playground.prompt)
            except (EOFError, KeyboardInterrupt):
                return
            if not playground.act(line):
                return


async def piped(playground: Playground, app: App, say: Say) -> None:
    """Lines of a pipe or a file, each shown as it is done, until its end or /quit."""
    async for line in stdin_lines():
        say(f"> {line}")
        if not playground.act(line):
            break
        await quiet(playground, app)


async def run(demo: Demo, file: Path | None, say: Say) -> int:
    """The demo in a data folder that is gone afterwards. A signal cancels it. Raises RoostError, TimeoutError."""
    task = asyncio.current_task()
    assert task is not None
    for signum in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signum, task.cancel)
    with TemporaryDirectory(prefix=f"roost-{demo.platform.lower()}-") as folder:
        config = settings(file, Path(folder) / "data", demo.own)
        log.setup(config.service.log_level, "json", file=Path(folder) / "roost.log")
        try:
            async with demo.running(config, say) as (playground, app):
                if not sys.stdin.isatty():
                    await piped(playground, app, say)
                    return 0
                say(BANNER.format(platform=demo.platform, url=playground.url, folder=folder))
                await typed(playground)
                return 0
        finally:
            log.close()


def _grant(db: Any, channel: str, known: Collection[str]) -> None:
    """The first of the people owns the bot, the others are members."""
    for number, person in enumerate(known):
        people.grant(db, channel, person, "member" if number else "owner", now=now_ms())


def main(demo: Demo) -> None:
    """What was foreseen is one sentence and no traceback."""
    parser = argparse.ArgumentParser(prog=demo.command)
    parser.add_argument("--config", type=Path)
    try:
        sys.exit(asyncio.run(run(demo, parser.parse_args().config, lambda line: print(line, flush=True))))
    except (RoostError, TimeoutError) as exc:
        sys.exit(f"roost: {exc or NOT_CONNECTED.format(platform=demo.platform)}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(EXIT_INTERRUPTED)
