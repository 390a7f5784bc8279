"""Folders of this machine in the containers of an agent: only what a list outside the project allows.

Two sides have to agree. The configuration asks (`[[agents.<name>.mounts]]`, and `directories` for reading), the list
allows (mount_list.py), and what is denied stays denied (mount_denials.py). A folder is judged by where it really lies,
and it is that path that gets mounted: a link that is changed later leads nowhere else. Whoever may rename folders
above it can still put another one into its place between the check and the mount, which is as much as being allowed
to write there; so do not allow a folder inside one that an agent may write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot import log
from bot.config import Config
from bot.config_mounts import MOUNT_FOLDER, TARGET_NAME
from bot.config_tables import AgentConfig
from bot.mount_denials import NAMES, TREES, denied_by, found, overlapping
from bot.mount_list import AllowList, MountRefused, default_list, read_list
from container.base import Mount

_log = log.get("roost.mounts")


@dataclass(frozen=True)
class Wish:
    """A folder that the configuration asks for. `place` is where it does."""

    place: str
    source: Path
    target: str | None
    writable: bool = False


class Mounts:
    """What every agent may be given, decided anew at every start of a container."""

    def __init__(
        self, config: Config, environ: Mapping[str, str], agents: Mapping[str, AgentConfig] | None = None
    ) -> None:
        """`environ` is the service's own environment; `agents` are those of now, else of the configuration."""
        self._config = config
        self._agents = config.agents if agents is None else agents
        self._environ = environ
        self._seldom = log.Seldom()

    def of(self, agent: str) -> list[Mount]:
        """The extra mounts of an agent, in the order of its configuration: its directories, then its mounts. Reads the
        list and looks through the folders, up to some hundred milliseconds: a loop calls it in a thread. Raises
        MountRefused."""
        return self.granted(agent, self._agents[agent])

    def granted(self, name: str, agent: AgentConfig) -> list[Mount]:
        """The same for an agent that is not so yet. Raises MountRefused."""
        wishes = list(_wishes(name, agent))
        if not wishes:
            return []
        allowed = self._list()
        mounts: dict[str, Mount] = {}
        for wish in wishes:
            mount = self._granted(wish, allowed)
            if str(mount.target) in mounts:
                raise MountRefused(
                    f"{wish.place}: another folder is at {mount.target}; give it another target"
                )
            if any(mount.source == each.source for each in mounts.values()):
                raise MountRefused(f"{wish.place}: {wish.source} is asked for twice; leave one of the two")
            mounts[str(mount.target)] = mount
        return list(mounts.values())

    def mistakes(self) -> list[str]:
        """A line for each agent that would not be given what it asks for."""
        lines = []
        for agent in self._agents:
            try:
                self.of(agent)
            except MountRefused as exc:
                lines.append(str(exc))
        return lines

    def _list(self) -> AllowList:
        config = self._config
        file = config.mounts.allow_list or default_list(self._environ)
        return read_list(file, apart_from=[*_own_trees(config), *_project(config)])

    def _granted(self, wish: Wish, allowed: AllowList) -> Mount:
        source = _really(wish)
        self._deny(wish, source, allowed)
        rule = allowed.rule_for(source)
        if rule is None:
            raise MountRefused(
                f"{wish.place}: {source} lies in no folder of {allowed.file}; "
                f'write there: [[allow]] and path = "{source}"'
            )
        if wish.writable and not allowed.may_write(source) and self._seldom(wish.place):
            _log.warning(
                "%s: %s is mounted for reading only, for %s says no more", wish.place, source, allowed.file
            )
        names = _found(wish, source, (*NAMES, *allowed.deny), rule.accept)
        if names:
            raise MountRefused(
                f"{wish.place}: {source} holds {_some(names)}, which may be secret; take that out, "
                f"or, if it is none, write its name into accept of that folder in {allowed.file}"
            )
        return Mount(source, Path(_target(wish)), writable=wish.writable and allowed.may_write(source))

    def _deny(self, wish: Wish, source: Path, allowed: AllowList) -> None:
        """Raises MountRefused for a path that is never mounted: as it was asked for, or as it really is."""
        for path in (wish.source, source):
            pattern = denied_by(path, (*NAMES, *allowed.deny))
            if pattern is not None:
                raise MountRefused(
                    f'{wish.place}: {path} may be secret and is never mounted ("{pattern}" is denied); '
                    "ask for another folder"
                )
            tree = overlapping(path, [*map(Path, TREES), *allowed.trees])
            if tree is not None:
                raise MountRefused(
                    f"{wish.place}: {path} is never mounted, because of {tree}; ask for another folder"
                )
        own = overlapping(source, [each.resolve() for each in _own_trees(self._config)])
        kept = (each.resolve() for each in (*_project(self._config), *_own_files(self._config), allowed.file))
        own = own or next((each for each in kept if each.is_relative_to(source)), None)
        if own is not None:
            raise MountRefused(
                f"{wish.place}: {source} is never mounted, because {own} is Roost's own; ask for another folder"
            )


def _wishes(name: str, agent: AgentConfig) -> Iterator[Wish]:
    for number, folder in enumerate(agent.directories):
        yield Wish(f"[agents.{name}] directories[{number}]", folder, None)
    for number, mount in enumerate(agent.mounts):
        yield Wish(f"[agents.{name}] mounts[{number}]", mount.source, mount.target, mount.writable)


def _really(wish: Wish) -> Path:
    """Where the folder lies when every link is followed. Raises MountRefused."""
    try:
        source = wish.source.resolve(strict=True)
    except (OSError, RuntimeError) as exc:
        raise MountRefused(
            f"{wish.place}: {wish.source} cannot be found; make it, or ask for another"
        ) from exc
    if not source.is_dir():
        raise MountRefused(f"{wish.place}: {wish.source} is no folder; ask for the one that it lies in")
    if ":" in str(source) or not str(source).isprintable():
        raise MountRefused(
            f"{wish.place}: a path with a colon or a control character cannot be mounted; rename it"
        )
    return source


def _target(wish: Wish) -> str:
    if wish.target is not None:
        return wish.target
    if not TARGET_NAME.fullmatch(wish.source.name):
        raise MountRefused(
            f'{wish.place}: "{wish.source.name}" is no name for a place in {MOUNT_FOLDER}; '
            "ask for it in [[mounts]], with a target"
        )
    return f"{MOUNT_FOLDER}/{wish.source.name}"


def _found(wish: Wish, source: Path, patterns: tuple[str, ...], accepted: frozenset[str]) -> list[Path]:
    try:
        return [each.relative_to(source) for each in found(source, patterns, accepted)]
    except OSError as exc:
        raise MountRefused(
            f"{wish.place}: {source} cannot be looked through: {exc.strerror}; let the service's user read it"
        ) from exc


def _some(names: list[Path]) -> str:
    shown = ", ".join(repr(str(each)) for each in sorted(names)[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _own_trees(config: Config) -> list[Path]:
    """Folders in which nothing is an agent's: the data, the code that runs here, the folders of the agents."""
    data = config.service.data_dir
    return [
        data,
        config.backup.folder_in(data),
        Path(__file__).resolve().parents[1],
        Path(sys.prefix),
        *(agent.folder_in(data, name) for name, agent in config.agents.items()),
    ]


def _project(config: Config) -> list[Path]:
    """The folder of config.toml. That of a service without one may be the root, where everything lies."""
    return [] if config.folder is None or config.folder == config.folder.parent else [config.folder]


def _own_files(config: Config) -> list[Path]:
    """Files of the service that may lie anywhere."""
    keys = [
        each for agent in config.agents.values() for each in (agent.model_key_file, agent.model_token_file)
    ]
    return [each for each in (config.service.log_file, config.vault.key_file, *keys) if each is not None]
