"""The data folder as a service finds it or makes it: one service's at a time, with a place for everything.

UnusableDataFolder          it cannot be made, or something else has its place
DataFolderBusy              another service works in it
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bot import log
from bot.config import Config
from bot.config_tables import AgentConfig
from bot.data_lock import taken
from bot.errors import UnusableDataFolder

FOLDERS: Final = ("sessions", "incoming", "deadletters", "run", "logs")
BUSY: Final = (
    "Another Roost is running in {data}: talk to it with `roost chat`,"
    " or give this one a data folder of its own ([service] data_dir)."
)

_log = log.get("roost.data_folder")


@contextmanager
def sole_user_of(data: Path) -> Iterator[None]:
    """The data folder, made if need be and locked. Raises DataFolderBusy, UnusableDataFolder."""
    for folder in (data, *(data / name for name in FOLDERS)):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as exc:
            raise UnusableDataFolder(f"{folder} is no folder: move it away.") from exc
        except OSError as exc:
            raise UnusableDataFolder(f"The data folder {data} cannot be used: {exc.strerror}.") from exc
    for file in (data / "bot.db", data / "control.sock"):
        if file.is_dir():
            raise UnusableDataFolder(f"{file} is a folder: move it away.")
    with taken(data, busy=BUSY):
        yield


def make_agent_folders(config: Config) -> None:
    """Where instructions go, for whoever looks. Raises UnusableDataFolder."""
    for name, agent in config.agents.items():
        make_agent_folder(config.service.data_dir, name, agent)


def make_agent_folder(data: Path, name: str, agent: AgentConfig) -> None:
    """That of one agent. The container's user, who is another one, may read it. Raises UnusableDataFolder."""
    folder = agent.folder_in(data, name)
    if agent.folder is not None:
        if not folder.is_dir():
            _log.warning("the folder of agent %s is not there: %s", name, folder)
        return
    try:
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o755)
    except OSError as exc:
        raise UnusableDataFolder(f"The agent folder {folder} cannot be made: {exc.strerror}.") from exc
