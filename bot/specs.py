"""What a backend is asked to run for a session: the runner's command, environment, folders and labels."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

from agent.protocol.schema import VERSION
from agent.protocol.settings import SANDBOX_FREE_PROVIDERS, AgentSettings
from agent.protocol.workspace import AGENT_FOLDER, Workspace
from bot.config_tables import AgentConfig
from bot.session import Session
from container.base import Limits, Mount, Spec

SESSION_LABEL: Final = "roost.session"
PROTOCOL_LABEL: Final = "roost.protocol"
IMAGE_LABEL: Final = "roost.image"
SETTINGS_LABEL: Final = "roost.settings"
"""A digest of what the agent's settings come to: who runs with another one was started before they were changed."""
TOKEN: Final = "ANTHROPIC_API_KEY"  # noqa: S105
"""The variable in which a runner finds what it shows at the gateway, in place of a key that it never sees."""
DIGEST_CHARS: Final = 16
FORWARDER_PORT: Final = 8080
"""Of 127.0.0.1 in a container, where nobody else is; elsewhere any port that is free."""


@dataclass(frozen=True)
class Outside:
    """A runner's way out: the token by which the gateway knows it."""

    token: str = field(repr=False)


def spec(
    session: Session,
    agent: AgentConfig,
    *,
    name: str,
    mounts: bool,
    limits: Limits,
    logs: Path,
    folder: Path,
    image: str | None = None,
    outside: Outside | None = None,
    extra: Sequence[Mount] = (),
    warm: Literal["runner", "client"] = "runner",
) -> Spec:
    """The runner of `session`. `mounts`: whether it sees its folders at their mount points. `folder` is the agent's,
    `extra` is what else of the host's it may see. Nothing of the service's own environment reaches it."""
    there = Workspace.in_container()
    seen = there if mounts else session.workspace
    labels = {
        SESSION_LABEL: session.id,
        PROTOCOL_LABEL: str(VERSION),
        SETTINGS_LABEL: digest(agent, limits=limits, folder=folder),
    }
    return Spec(
        name=name,
        command=["agent"] if mounts else [sys.executable, "-m", "agent"],
        env=environment(
            session.id,
            agent,
            seen,
            folder=AGENT_FOLDER if mounts else folder,
            directories=[mount.target for mount in extra] if mounts else agent.directories,
            mounts=mounts,
            outside=outside,
            warm=warm,
        ),
        workdir=seen.work,
        log=logs / f"{session.id}.log",
        mounts=[*_mounts(session.workspace, there), *_mount_of(folder), *extra],
        limits=limits,
        labels=labels if image is None else {**labels, IMAGE_LABEL: image},
        image=image,
    )


def environment(
    session_id: str,
    agent: AgentConfig,
    seen: Workspace,
    *,
    folder: Path,
    directories: Sequence[Path],
    mounts: bool = False,
    outside: Outside | None = None,
    warm: Literal["runner", "client"] = "runner",
) -> dict[str, str]:
    """The variables of a runner that sees its folders as `seen`, the agent's as `folder`, and `directories`
    besides."""
    port = None if outside is None else FORWARDER_PORT if mounts else 0
    settings = _settings(session_id, agent, seen, folder).model_copy(
        update={
            "directories": list(directories),
            "gateway_port": port,
            "warm": warm,
            # What goes out by the gateway is metered there, and nobody need be believed.
            "report_usage": outside is None and agent.provider in SANDBOX_FREE_PROVIDERS,
        }
    )
    env = {
        **settings.to_env(),
        "HOME": str(seen.home),
        "PYTHONUNBUFFERED": "1",
        # Looking for plugins in everything that is installed takes a tenth of a start.
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
    }
    if outside is not None:
        env[TOKEN] = outside.token
    if not mounts:
        # A child process finds our code where we found it.
        env["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    return env


def digest(agent: AgentConfig, *, limits: Limits, folder: Path) -> str:
    """Of everything that a runner is told, given and held to at its start because its agent is set so. What the host
    looks at while it lives, such as how long a turn may take, is not in it."""
    nowhere = Workspace.in_container()
    told = _settings("", agent, nowhere, folder).model_dump(mode="json")
    given = [each.model_dump(mode="json") for each in agent.mounts]
    whole = [told, given, [str(each) for each in agent.directories], asdict(limits), agent.model_url]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:DIGEST_CHARS]


def is_outdated(labels: Mapping[str, str], image: str | None) -> bool:
    """Whether a runner speaks another version of the protocol than this service, or comes from another image."""
    return labels.get(PROTOCOL_LABEL) != str(VERSION) or labels.get(IMAGE_LABEL) != image


def _settings(session_id: str, agent: AgentConfig, seen: Workspace, folder: Path) -> AgentSettings:
    return AgentSettings(
        session=session_id,
        assistant_name=agent.assistant_name,
        provider=agent.provider,
        provider_options=agent.provider_options,
        model=agent.model,
        fallback_model=agent.fallback_model,
        effort=agent.effort,
        instructions=agent.instructions,
        max_turns=agent.max_turns,
        max_budget_usd=agent.max_budget_usd,
        auto_compact_window=agent.auto_compact_window,
        allowed_tools=agent.allowed_tools,
        disallowed_tools=agent.disallowed_tools,
        mcp_servers=agent.mcp_servers,
        workspace_settings=agent.workspace_settings,
        inbox=seen.inbox,
        bell_dir=seen.bell_dir,
        outbox=seen.outbox,
        home=seen.home,
        work=seen.work,
        folder=folder,
        idle_ms=int(agent.idle_seconds * 1000),
    )


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
