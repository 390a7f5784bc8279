"""Which backend runs the agents, and why: as configured, or Docker where its engine answers.

NoBackend                   none can be had that fits the configuration
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from agent.protocol.settings import SANDBOX_FREE_PROVIDERS
from bot import log
from bot.config import Config
from bot.errors import NoBackend
from bot.launching import instance_of
from bot.rebuilding import Builds
from container.base import Backend, BackendUnavailable
from container.process import ProcessBackend

PARTS: Final = {
    "docker": "container.docker:DockerBackend",
    "engine fault": "container.engine:fault",
    "ensure image": "bot.images:ensure_image",
    "image fault": "bot.images:fault",
    "builder": "bot.images:Builder",
}
"""Opened by name: whoever does not use Docker need not wait for its client to load."""
PROCESSES: Final = "roost"
"""The namespace of plain processes, in a folder of their own."""
AS_CONFIGURED: Final = "as configured"
ANSWERS: Final = "its engine answers"


_log = log.get("roost.backends")


class OwnBackend(Backend, Protocol):
    """One that was opened here, and is to be closed."""

    async def aclose(self) -> None:
        """Lets go of the programs without ending them."""


@dataclass(frozen=True)
class Chosen:
    """A backend, and the reason for it. `images` are those of the agents, by their names."""

    backend: OwnBackend
    kind: Literal["docker", "process"]
    why: str
    images: Mapping[str, str] = field(default_factory=dict)
    builder: Builds | None = None


def may_be_there(environ: Mapping[str, str]) -> bool:
    """Whether there is anything of Docker on this machine, as far as can be told without asking it."""
    rootless = f"/run/user/{os.getuid()}/docker.sock"
    sockets = ("/var/run/docker.sock", rootless)
    return bool(environ.get("DOCKER_HOST")) or any(Path(socket).exists() for socket in sockets)


async def choose(config: Config, environ: Mapping[str, str], say: Callable[[str], None]) -> Chosen:
    """Opens the backend that is to be used, its images being built first where they are needed and missing; what
    still runs on another one is ended. `say` is told how that goes. Raises NoBackend, UnusableImage, BackendError."""
    chosen = await _choose(config, environ, say)
    data = config.service.data_dir
    await end_runners(config, data, environ, but=chosen.kind)
    if chosen.kind == "docker":
        _mark(data).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _mark(data).touch()
    return chosen


async def _choose(config: Config, environ: Mapping[str, str], say: Callable[[str], None]) -> Chosen:
    kind = config.backend.kind
    if kind == "process":
        return _process(config, AS_CONFIGURED)
    why_not = await asyncio.to_thread(_fault, config, environ)
    if why_not is None:
        images = await asyncio.to_thread(_opened("ensure image"), config, config.agents, say)
        backend = _opened("docker")(
            instance_of(config.service.data_dir), environ, runtime=config.backend.runtime
        )
        builder = await asyncio.to_thread(_opened("builder"), config)
        return Chosen(backend, "docker", ANSWERS if kind == "auto" else AS_CONFIGURED, images, builder)
    if kind == "docker":
        raise NoBackend(f"Agents are to run in containers, but {why_not}.")
    if refusal := config.unsandboxed():
        raise NoBackend(f"Agents cannot run in containers: {why_not}. And {refusal}.")
    return _process(config, why_not)


async def end_runners(
    config: Config, data: Path, environ: Mapping[str, str], *, but: str | None = None
) -> None:
    """Ends what still runs for the data folder `data`, on any backend, or on any `but` one: whoever changes the
    backend, or the data, must not find an old runner in the place of a new one. Where it is to be all of them, and
    nobody can be asked for the containers, it cannot be told. Raises BackendError."""
    backends: list[OwnBackend] = []
    if but != "process":
        backends.append(ProcessBackend(data / "run", PROCESSES))
    if but != "docker" and _mark(data).exists():
        why_not = await asyncio.to_thread(_opened("engine fault"), environ)
        if why_not is None:
            backends.append(_opened("docker")(instance_of(data), environ))
        elif but is None:
            raise BackendUnavailable(f"containers cannot be looked for: {why_not}")
    for backend in backends:
        try:
            for program in await backend.running():
                _log.warning("a runner of another backend is stopped: %s", program.name)
                await backend.stop(program.name, grace_seconds=config.backend.stop_grace_seconds)
        finally:
            await backend.aclose()
    if but != "docker":
        _mark(data).unlink(missing_ok=True)


def _mark(data: Path) -> Path:
    """Says that containers have worked in the data folder: nobody else needs Docker's client loaded."""
    return data / "run" / "containers"


def _process(config: Config, why: str) -> Chosen:
    return Chosen(ProcessBackend(config.service.data_dir / "run", PROCESSES), "process", why)


def _fault(config: Config, environ: Mapping[str, str]) -> str | None:
    """Why there can be no containers. Blocks."""
    if not may_be_there(environ):
        return "there is no Docker on this machine"
    if fault := _opened("engine fault")(environ, config.backend.runtime):
        return str(fault)
    trial = all(agent.provider in SANDBOX_FREE_PROVIDERS for agent in config.agents.values())
    if config.backend.kind == "auto" and trial:
        # Nobody who tries Roost out waits minutes for an image that the mock has no use for.
        fault = _opened("image fault")(config)
        return None if fault is None else _clause(str(fault))
    return None


def _clause(sentence: str) -> str:
    """A sentence as it stands within another one."""
    return sentence[:1].lower() + sentence[1:].removesuffix(".")


def _opened(part: str) -> Any:
    module, _, name = PARTS[part].partition(":")
    return getattr(importlib.import_module(module), name)
