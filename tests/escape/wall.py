"""A session's container, made as the service makes it, and the same container with a wall taken away.

`Cell.inside` runs a probe, one of the scripts in tests/escape/probes, behind every wall that there is. `Cell.bare` runs
the same probe where the caller has taken a wall away, and so shows that the probe can do what it tries: the positive
control without which a test of an attack says nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from bot.config_backend import BackendConfig
from bot.config_tables import AgentConfig
from bot.launching import Launcher, WayOut
from bot.removal import remove
from bot.session import Session
from container.base import Exit, Mount, Spec
from container.docker import NAMESPACE_LABEL, DockerBackend
from container.hardening import creation
from tests.fakes import engine
from tests.fakes.engine import Namespace
from tests.fakes.rooms import room

PROBES: Final = Path(__file__).parent / "probes"
SECONDS: Final = 60.0
"""How long a probe may take on a busy machine."""
LOOK_SECONDS: Final = 0.02
TOKEN: Final = "made-up-token-of-a-session"  # noqa: S105
AGENT: Final = "assistant"
NO_FILTER: Final = {
    "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
}
"""Without the filter of system calls, and everything else as it is."""
POWERS: Final = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL LEASE LINUX_IMMUTABLE MKNOD NET_ADMIN NET_RAW SETFCAP SETGID
    SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_TIME
    SYS_TTY_CONFIG SYSLOG
"""
"""Capabilities; an engine that runs in a container itself has not all that there are, which `Privileged` asks for."""
NO_WALLS: Final = {
    "CapDrop": [],
    "CapAdd": POWERS.split(),
    "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
    "MaskedPaths": [],
    "ReadonlyPaths": [],
    "ReadonlyRootfs": False,
    "Tmpfs": {},
    "IpcMode": "private",
    "DeviceCgroupRules": ["a *:* rwm"],
}
"""An administrator's container, as somebody makes it who has no time; with `user="0:0"`."""
NO_BOUNDS: Final = {"Memory": 0, "MemorySwap": 0, "NanoCpus": 0, "PidsLimit": 0, "Ulimits": []}
"""As much of the machine as there is."""

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """What a probe has printed, and how it ended."""

    exit: Exit
    text: str

    @property
    def told(self) -> Any:
        """What it says in its last line."""
        lines = self.text.strip().splitlines()
        try:
            return json.loads(lines[-1])
        except (IndexError, json.JSONDecodeError):
            pytest.fail(f"the probe ended with {self.exit} and said:\n{self.text[-4000:]}")


class Door:
    """In the place of the gateway: opens nothing, and knows a token for everybody."""

    async def open(self, session: str, agent: str, folder: Path) -> None:
        """There is nothing to open."""

    async def close(self, session: str) -> None:
        """There is nothing to shut."""

    def token(self, session: str) -> str:
        """The same for all."""
        return TOKEN


@dataclass
class Cell:
    """One session, and the containers that it has one after the other."""

    session: Session
    spec: Spec
    namespace: str
    extra: list[Mount] = field(default_factory=list)

    @property
    def out(self) -> Path:
        """out/ on the host."""
        return self.session.workspace.outbox

    @property
    def work(self) -> Path:
        """work/ on the host."""
        return self.session.workspace.work

    def asked(self, probe: str, *arguments: object) -> Spec:
        """The session's container, with a probe in the place of the runner."""
        return replace(self.spec, command=_command(probe, arguments))

    async def inside(self, probe: str, *arguments: object, **changes: Any) -> Seen:
        """Runs a probe to its end behind every wall; `changes` are fields of the Spec."""
        spec = replace(self.asked(probe, *arguments), **changes)
        before = _size(spec.log)
        async with aclosing(DockerBackend(self.namespace, os.environ)) as backend:
            await backend.start(spec)
            try:
                ended = await asyncio.wait_for(backend.wait(spec.name), SECONDS)
            finally:
                await backend.stop(spec.name, grace_seconds=0)
        # Closed, it has put away what the container has printed.
        return Seen(ended, spec.log.read_bytes()[before:].decode(errors="replace"))

    async def bare(
        self, probe: str, *arguments: object, changes: Changes = NO_WALLS, **creation: Any
    ) -> Seen:
        """Runs a probe to its end in the same container, with `changes` to the engine's HostConfig and to the other
        arguments of its `creation`."""
        spec = replace(self.asked(probe, *arguments), name=f"{self.spec.name}-bare")
        return await asyncio.to_thread(_run_bare, spec, self.namespace, changes, creation)

    @asynccontextmanager
    async def living(self, probe: str, *arguments: object, **changes: Any) -> AsyncIterator[DockerBackend]:
        """A probe that goes on behind every wall for the length of the block."""
        spec = replace(self.asked(probe, *arguments), **changes)
        async with aclosing(DockerBackend(self.namespace, os.environ)) as backend:
            await backend.start(spec)
            try:
                yield backend
            finally:
                await backend.stop(spec.name, grace_seconds=0)

    @asynccontextmanager
    async def living_bare(self, probe: str, *arguments: object, changes: Changes) -> AsyncIterator[None]:
        """The same with `changes` to the engine's HostConfig."""
        spec = replace(self.asked(probe, *arguments), name=f"{self.spec.name}-bare")
        with engine.client() as client:
            made = await asyncio.to_thread(_make_bare, client, spec, self.namespace, changes, {})
            try:
                await asyncio.to_thread(client.start, made)
                yield
            finally:
                await asyncio.to_thread(client.remove_container, made, force=True, v=True)

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Looks again and again: for what nobody rings for. Fails with `what`."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail(f"never came true: {what}")
            await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def cell(
    root: Path, image: str, namespace: str, *, gateway: WayOut | None = None, **agent: Any
) -> AsyncIterator[Cell]:
    """A session on a real folder below `root`, and what the service would start for it."""
    config = AgentConfig.model_validate(agent)
    (root / "agents" / AGENT).mkdir(parents=True)
    (root / "logs").mkdir()
    launcher = Launcher(
        {AGENT: config},
        BackendConfig(),
        mounts=True,
        images={AGENT: image},
        gateway=gateway or Door(),
        vault=None,
        extra=lambda agent: (),
        warm="runner",
        data_dir=root,
    )
    async with room(root) as session:
        await session.rebuild([], [])
        shutil.copytree(
            PROBES, session.workspace.work / "probes", ignore=shutil.ignore_patterns("__pycache__")
        )
        try:
            yield Cell(session, await launcher.prepare(session), namespace)
        finally:
            # What a probe leaves is more than the clean-up of the tests' own folders can deal with.
            for folder in (session.workspace.outbox, session.workspace.home, session.workspace.work):
                remove(folder)


def sweep(namespace: str) -> None:
    """Removes every container of the namespace, whatever has become of it."""
    with closing(Namespace(namespace)) as containers:
        containers.remove_all()


def _command(probe: str, arguments: Sequence[object]) -> list[str]:
    return ["python3", "-B", "-m", f"probes.{probe}", *map(str, arguments)]


def _run_bare(spec: Spec, namespace: str, changes: Changes, more: Changes) -> Seen:
    with engine.client() as client:
        made = _make_bare(client, spec, namespace, changes, more)
        try:
            client.start(made)
            code = int(client.wait(made)["StatusCode"])
            text = client.logs(made).decode(errors="replace")
        finally:
            client.remove_container(made, force=True, v=True)
    return Seen(Exit(code), text)


def _make_bare(client: Any, spec: Spec, namespace: str, changes: Changes, more: Changes) -> str:
    asked = creation(client, spec, {NAMESPACE_LABEL: namespace}, None)
    asked["host_config"] = {**asked["host_config"], **changes}
    return str(client.create_container(**{**asked, **more})["Id"])


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0
