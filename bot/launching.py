"""What has to be there before a session's container can be started, and what it is started with.

UnknownAgent                the session's agent is not configured any more
NotNow                      something that it needs is away; the same may work later
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol

from agent.protocol.settings import PROVIDERS, SANDBOX_FREE_PROVIDERS
from bot import log
from bot.config_backend import BackendConfig
from bot.config_tables import AgentConfig
from bot.handover import hand_over
from bot.mount_list import MountRefused
from bot.session import Session
from bot.specs import IMAGE_LABEL, SETTINGS_LABEL, Outside, digest, is_outdated, spec
from bot.vault.base import Vault, VaultError, VaultUnavailable
from container.base import Mount, Spec

NO_ROOM: Final = "the disk of this service has less than {mb} MiB left; an admin has to make room"
NO_FILES: Final = "the disk of this service can hold hardly any more files; an admin has to remove some"
MIN_FREE_FILES: Final = 10_000
MIB: Final = 1024 * 1024

_log = log.get("roost.launching")


class UnknownAgent(Exception):
    """Raised when a session cannot be woken because nothing says how to run its agent."""


class NotNow(Exception):
    """Raised when a container cannot be started for the time being; the text says why, for a person."""


class Misconfigured(Exception):
    """Raised when no container can be started before an admin has changed something; the text says what, for them."""


def instance_of(data_dir: Path) -> str:
    """Which of the services on this machine it is: each has a data folder of its own."""
    return hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:6]


class WayOut(Protocol):
    """The gateway, as far as a container's start has to do with it."""

    async def open(self, session: str, agent: str, folder: Path) -> None:
        """Binds the session's socket in `folder`. Twice is fine. Raises GatewayError, DatabaseError."""

    async def close(self, session: str) -> None:
        """Removes it. Absent is success."""

    def token(self, session: str) -> str:
        """What the session shows there, the same for ever."""


class Launcher:
    """Makes ready, and lets go of, what each container needs outside of itself."""

    def __init__(
        self,
        agents: Mapping[str, AgentConfig],
        config: BackendConfig,
        *,
        mounts: bool,
        images: Mapping[str, str],
        gateway: WayOut | None,
        vault: Vault | None,
        extra: Callable[[str], Sequence[Mount]],
        warm: Literal["runner", "client"],
        data_dir: Path,
    ) -> None:
        """`mounts`: whether a container sees its folders at their mount points. `images`: those of the agents.
        Without `gateway` nobody goes outside, and without `vault` nobody is asked for a key. `extra` says what else
        of the host's an agent may see, and raises MountRefused. `warm` is how far one in the pool gets."""
        self._agents = agents
        self._config = config
        self._mounts = mounts
        self._images = images
        self._gateway = gateway
        self._vault = vault
        self._extra = extra
        self._warm = warm
        self._data = data_dir
        self._instance = instance_of(data_dir)
        self._digests: dict[str, tuple[AgentConfig, str]] = {}
        """Of the settings of each agent, and of which ones."""

    def agent(self, name: str) -> AgentConfig:
        """Raises UnknownAgent."""
        agent = self._agents.get(name)
        if agent is None:
            raise UnknownAgent(f"there is no agent {name}")
        return agent

    def knows(self, name: str) -> bool:
        """Whether the agent is configured."""
        return name in self._agents

    def name_of(self, session_id: str) -> str:
        """The name of the session's container, by which it is found again."""
        return f"roost-{self._instance}-{session_id}"

    def is_outdated(self, session: Session, labels: Mapping[str, str]) -> bool:
        """Whether a container is only there to finish its turn: it would be started otherwise now."""
        return not self.knows(session.agent) or is_outdated(labels, self._images.get(session.agent))

    def is_superseded(self, agent: str, labels: Mapping[str, str]) -> bool:
        """Whether the agent's settings or its image have changed since a container of its was started, or it is
        gone."""
        found = self._agents.get(agent)
        if found is None:
            return True
        kept = self._digests.get(agent)
        if kept is None or kept[0] is not found:
            limits, folder = found.limits.of_runner(self._config.file_mb), found.folder_in(self._data, agent)
            kept = self._digests[agent] = (found, digest(found, limits=limits, folder=folder))
        return labels.get(SETTINGS_LABEL) != kept[1] or labels.get(IMAGE_LABEL) != self._images.get(agent)

    async def prepare(self, session: Session) -> Spec:
        """What the session's container is started with, its way out being open. Raises UnknownAgent, NotNow,
        Misconfigured, GatewayError, DatabaseError, OSError."""
        agent, image = self.agent(session.agent), self._images.get(session.agent)
        await asyncio.to_thread(self._look_for_room)
        await self._identify(session.agent, agent)
        outside = await self.open(session)
        if self._mounts:
            await asyncio.to_thread(hand_over, session.workspace)
        return spec(
            session,
            agent,
            name=self.name_of(session.id),
            mounts=self._mounts,
            limits=agent.limits.of_runner(self._config.file_mb),
            logs=self._data / "logs",
            folder=agent.folder_in(self._data, session.agent),
            image=image,
            outside=outside,
            warm=self._warm if session.pooled else "runner",
            extra=await self._granted(session.agent),
        )

    async def open(self, session: Session) -> Outside | None:
        """Opens the way out for a container that has one. Raises GatewayError, DatabaseError."""
        agent = self._agents.get(session.agent)
        if agent is None or self._gateway is None or not self._goes_outside(agent):
            return None
        await self._gateway.open(session.id, session.agent, session.workspace.bell_dir)
        return Outside(self._gateway.token(session.id))

    async def close(self, session: Session) -> None:
        """Shuts it. Absent is success."""
        if self._gateway is not None:
            await self._gateway.close(session.id)

    def _goes_outside(self, agent: AgentConfig) -> bool:
        """On the process backend nothing is shut in, and what asks no model needs no way to it."""
        return self._mounts or agent.provider not in SANDBOX_FREE_PROVIDERS

    async def _identify(self, name: str, agent: AgentConfig) -> None:
        if self._vault is None or agent.provider in SANDBOX_FREE_PROVIDERS:
            return
        try:
            await self._vault.ensure_identity(name)
        except VaultUnavailable as exc:
            raise NotNow(str(exc)) from exc
        except VaultError as exc:
            if agent.provider in PROVIDERS:
                raise Misconfigured(str(exc)) from exc
            # A provider of somebody's own may ask no model; where it does, the gateway says that there is no key.
            _log.info("an agent starts without a key: %s", exc)

    async def _granted(self, agent: str) -> Sequence[Mount]:
        if not self._mounts:
            return ()
        try:
            return await asyncio.to_thread(self._extra, agent)
        except MountRefused as exc:
            raise Misconfigured(str(exc)) from exc

    def _look_for_room(self) -> None:
        found = os.statvfs(self._data)
        if found.f_bavail * found.f_frsize < self._config.min_free_mb * MIB:
            raise NotNow(NO_ROOM.format(mb=self._config.min_free_mb))
        # A filesystem that makes inodes as it needs them says that there are none at all.
        if found.f_files and found.f_favail < MIN_FREE_FILES:
            raise NotNow(NO_FILES)
