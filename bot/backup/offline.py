"""What `roost backup` does: through the running service where there is one, else by itself."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.protocol.clock import now_ms
from bot import control_client
from bot.backends import end_runners
from bot.backup import names, telling
from bot.backup import restore as restoring
from bot.backup.create import make
from bot.backup.errors import ArchiveRefused, BackupFailed, RestoreRefused
from bot.config import Config
from bot.data_lock import taken
from bot.errors import NotRunning
from container.base import BackendError

LATEST: Final = "latest"


def create(config: Config, to: Path | None) -> telling.Told:
    """Makes a backup. Raises BackupFailed, CommandFailed, DataFolderBusy, NewerDatabase."""
    data = config.service.data_dir
    words = ["backup", "create", *([to.absolute().as_uri()] if to else [])]
    try:
        answer = asyncio.run(control_client.ask(data / "control.sock", words))
    except NotRunning:
        if not (data / "bot.db").exists():
            raise BackupFailed(f"There is nothing in {data} to make a backup of.") from None
        with taken(data):
            folder = to or config.backup.folder_in(data)
            done = make(data, folder, config.backup.bounds, now=now_ms(), stop=threading.Event())
        return telling.made(done)
    return telling.Told(answer.text, answer.data)


def listed(config: Config) -> telling.Told:
    """The backups in the configured folder, newest first."""
    folder = config.backup.folder_in(config.service.data_dir)
    return telling.listed(names.found(folder), folder)


def verify(config: Config, file: str) -> telling.Told:
    """Whether a backup is whole. Raises ArchiveRefused, RestoreRefused."""
    archive = _archive(config, file)
    return telling.verified(archive, restoring.verify(archive, config.backup.bounds))


def restore(config: Config, file: str, into: Path | None, *, replace: bool) -> telling.Told:
    """Puts a backup in place of the data folder, or into another one. Raises ArchiveRefused, RestoreRefused,
    DataFolderBusy, UnusableDataFolder, NoBackend."""
    data = (into or config.service.data_dir).absolute()
    done = restoring.restore(
        _archive(config, file),
        data,
        config.backup.bounds,
        replace=replace,
        keep=config.backup.folder_in(data),
        stop_runners=_stopping(config, data),
        now=now_ms(),
    )
    return telling.restored(done)


def _archive(config: Config, file: str) -> Path:
    if file != LATEST:
        return Path(file).absolute()
    folder = config.backup.folder_in(config.service.data_dir)
    backups = names.found(folder)
    if not backups:
        raise ArchiveRefused(
            f"There are no backups in {folder} yet: make one with `roost backup create`, or name a file."
        )
    return backups[0].path


def _stopping(config: Config, data: Path) -> Callable[[], None]:
    """Runners outlive their service, and what comes in their place would be another session's to them."""

    async def stop() -> None:
        try:
            await end_runners(config, data, os.environ)
        except BackendError as exc:
            raise RestoreRefused(f"What still runs in {data} cannot be stopped: {exc}.") from exc

    return lambda: asyncio.run(stop())
