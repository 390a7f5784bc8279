"""What a backend is asked to run for a session: the runner's command, environment, folders and labels."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.protocol.schema import VERSION
from agent.protocol.settings import AgentSettings
from agent.protocol.workspace import Workspace
from bot.config import AgentConfig
from bot.session import Session
from container.base import Limits, Mount, Spec

SESSION_LABEL: Final = "roost.session"
PROTOCOL_LABEL: Final = "roost.protocol"


def spec(
    session: Session, agent: AgentConfig, *, name: str, mounts: bool, limits: Limits, logs: Path
) -> Spec:
    """The runner of `session`. `mounts`: whether it sees its folders at their mount points."""
    there = Workspace.in_container()
    seen = there if mounts else session.workspace
    return Spec(
        name=name,
        command=["python" if mounts else sys.executable, "-m", "agent"],
        env=environment(session.id, agent, seen, mounts=mounts),
        workdir=seen.work,
        log=logs / f"{session.id}.log",
        mounts=_mounts(session.workspace, there),
        limits=limits,
        labels={SESSION_LABEL: session.id, PROTOCOL_LABEL: str(VERSION)},
    )


def environment(
    session_id: str, agent: AgentConfig, seen: Workspace, *, mounts: bool = False
) -> dict[str, str]:
    """The variables of a runner that sees its folders as `seen`."""
    env = {**_settings(session_id, agent, seen).to_env(), "HOME": str(seen.home), "PYTHONUNBUFFERED": "1"}
    if not mounts:
        # A child process finds our code where we found it.
        env["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    return env


def is_outdated(labels: Mapping[str, str]) -> bool:
    """Whether a runner speaks another version of the protocol than this service."""
    return labels.get(PROTOCOL_LABEL) != str(VERSION)


def _settings(session_id: str, agent: AgentConfig, seen: Workspace) -> AgentSettings:
    return AgentSettings(
        session=session_id,
        assistant_name=agent.assistant_name,
        provider=agent.provider,
        provider_options=agent.provider_options,
        model=agent.model,
        effort=agent.effort,
        instructions=agent.instructions,
        inbox=seen.inbox,
        bell_dir=seen.bell_dir,
        outbox=seen.outbox,
        home=seen.home,
        work=seen.work,
        idle_ms=int(agent.idle_seconds * 1000),
    )


def _mounts(here: Workspace, there: Workspace) -> list[Mount]:
    return [
        Mount(here.inbox, there.inbox),
        Mount(here.bell_dir, there.bell_dir),
        Mount(here.outbox, there.outbox, writable=True),
        Mount(here.home, there.home, writable=True),
        Mount(here.work, there.work, writable=True),
    ]
