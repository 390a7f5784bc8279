"""What a backend is asked to run for a session: the runner's command, environment, folders and labels."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.protocol.schema import VERSION
from agent.protocol.settings import SANDBOX_FREE_PROVIDERS, AgentSettings
from agent.protocol.workspace import AGENT_FOLDER, Workspace
from bot.config_tables import AgentConfig
from bot.session import Session
from container.base import Limits, Mount, Spec

SESSION_LABEL: Final = "roost.session"
PROTOCOL_LABEL: Final = "roost.protocol"
MODEL_KEY: Final = "ANTHROPIC_API_KEY"
"""The variable in which a runner finds the key for its model; never one of the settings, which get logged."""


def spec(
    session: Session,
    agent: AgentConfig,
    *,
    name: str,
    mounts: bool,
    limits: Limits,
    logs: Path,
    folder: Path,
    environ: Mapping[str, str],
) -> Spec:
    """The runner of `session`. `mounts`: whether it sees its folders at their mount points. `folder`
    is the agent's. `environ` is the service's own environment, of which the runner gets the key for its model and
    nothing else."""
    there = Workspace.in_container()
    seen = there if mounts else session.workspace
    seen_folder = AGENT_FOLDER if mounts else folder
    return Spec(
        name=name,
        command=["python" if mounts else sys.executable, "-m", "agent"],
        env=environment(session.id, agent, seen, folder=seen_folder, environ=environ, mounts=mounts),
        workdir=seen.work,
        log=logs / f"{session.id}.log",
        mounts=[*_mounts(session.workspace, there), *_mount_of(folder)],
        limits=limits,
        labels={SESSION_LABEL: session.id, PROTOCOL_LABEL: str(VERSION)},
    )


def environment(
    session_id: str,
    agent: AgentConfig,
    seen: Workspace,
    *,
    folder: Path,
    environ: Mapping[str, str],
    mounts: bool = False,
) -> dict[str, str]:
    """The variables of a runner that sees its folders as `seen` and the agent's as `folder`. Of `environ` it gets
    the key for its model and nothing else."""
    env = {
        **_settings(session_id, agent, seen, folder).to_env(),
        **_key(agent, environ),
        "HOME": str(seen.home),
        "PYTHONUNBUFFERED": "1",
    }
    if not mounts:
        # A child process finds our code where we found it.
        env["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    return env


def is_outdated(labels: Mapping[str, str]) -> bool:
    """Whether a runner speaks another version of the protocol than this service."""
    return labels.get(PROTOCOL_LABEL) != str(VERSION)


def _settings(session_id: str, agent: AgentConfig, seen: Workspace, folder: Path) -> AgentSettings:
    return AgentSettings(
        session=session_id,
        assistant_name=agent.assistant_name,
        provider=agent.provider,
        provider_options=agent.provider_options,
        model=agent.model,
        fallback_model=agent.fallback_model,
        effort=agent.effort,
        model_url=agent.model_url,
        instructions=agent.instructions,
        max_turns=agent.max_turns,
        max_budget_usd=agent.max_budget_usd,
        auto_compact_window=agent.auto_compact_window,
        allowed_tools=agent.allowed_tools,
        disallowed_tools=agent.disallowed_tools,
        mcp_servers=agent.mcp_servers,
        directories=agent.directories,
        workspace_settings=agent.workspace_settings,
        inbox=seen.inbox,
        bell_dir=seen.bell_dir,
        outbox=seen.outbox,
        home=seen.home,
        work=seen.work,
        folder=folder,
        idle_ms=int(agent.idle_seconds * 1000),
    )


def _key(agent: AgentConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """The key for the model. A provider that is free of a sandbox has no use for one, and so gets none."""
    key = environ.get(agent.model_key_env)
    return {MODEL_KEY: key} if key and agent.provider not in SANDBOX_FREE_PROVIDERS else {}


def _mount_of(folder: Path) -> list[Mount]:
    """Whoever runs containers refuses to mount what is not there; an agent can do without."""
    return [Mount(folder, AGENT_FOLDER)] if folder.is_dir() else []


def _mounts(here: Workspace, there: Workspace) -> list[Mount]:
    return [
        Mount(here.inbox, there.inbox),
        Mount(here.bell_dir, there.bell_dir),
        Mount(here.outbox, there.outbox, writable=True),
        Mount(here.home, there.home, writable=True),
        Mount(here.work, there.work, writable=True),
    ]
