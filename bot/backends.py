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
from bot.config import Config
from bot.errors import NoBackend
from container.base import Backend
from container.process import ProcessBackend

PARTS: Final = {
    "docker": "container.docker:DockerBackend",
    "engine fault": "container.engine:fault",
    "ensure image": "bot.images:ensure_image",
    "image fault": "bot.images:fault",
}
"""Opened by name: whoever does not use Docker need not wait for its client to load."""
AS_CONFIGURED: Final = "as configured"
ANSWERS: Final = "its engine answers"


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


def may_be_there(environ: Mapping[str, str]) -> bool:
    """Whether there is anything of Docker on this machine, as far as can be told without asking it."""
    rootless = f"/run/user/{os.getuid()}/docker.sock"
    sockets = ("/var/run/docker.sock", rootless)
    return bool(environ.get("DOCKER_HOST")) or any(Path(socket).exists() for socket in sockets)


async def choose(
    config: Config, instance: str, environ: Mapping[str, str], say: Callable[[str], None]
) -> Chosen:
    """Opens the backend that is to be used, its images being built first where they are needed and missing. `say`
    is told how that goes. Raises NoBackend, UnusableImage."""
    kind = config.backend.kind
    if kind == "process":
        return _process(config, AS_CONFIGURED)
    why_not = await asyncio.to_thread(_fault, config, environ)
    if why_not is None:
        images = await asyncio.to_thread(_opened("ensure image"), config, config.agents, say)
        backend = _opened("docker")(instance, environ, runtime=config.backend.runtime)
        return Chosen(backend, "docker", ANSWERS if kind == "auto" else AS_CONFIGURED, images)
    if kind == "docker":
        raise NoBackend(f"Agents are to run in containers, but {why_not}.")
    if refusal := config.unsandboxed():
        raise NoBackend(f"Agents cannot run in containers: {why_not}. And {refusal}.")
    return _process(config, why_not)


def _process(config: Config, why: str) -> Chosen:
    return Chosen(ProcessBackend(config.service.data_dir / "run", "roost"), "process", why)


def _fault(config: Config, environ: Mapping[str, str]) -> str | None:
    """Why there can be no containers. Blocks."""
    if not may_be_there(environ):
        return "there is no Docker on this machine"
    if fault := _opened("engine fault")(environ):
        return str(fault)
    trial = all(agent.provider in SANDBOX_FREE_PROVIDERS for agent in config.agents.values())
    if config.backend.kind == "auto" and trial:
        # Nobody who tries Roost out waits minutes for an image that the mock has no use for.
        fault = _opened("image fault")(config)
        return None if fault is None else str(fault)
    return None


def _opened(part: str) -> Any:
    module, _, name = PARTS[part].partition(":")
    return getattr(importlib.import_module(module), name)
