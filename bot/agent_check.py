"""Whether the configured agents can be run at all: what the settings alone do not tell.

A provider is made in a process of its own, with the environment that a runner gets: this package imports none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from adapters.terminal import TerminalAdapter
from agent.protocol.settings import CHECK_FLAG, EXIT_UNUSABLE
from agent.protocol.workspace import Workspace
from bot.backends import may_be_there
from bot.config import Config
from bot.config_tables import AgentConfig
from bot.config_wiring import unserved
from bot.destinations import AGENT_CHANNEL
from bot.errors import ConfigError
from bot.mounts import Mounts
from bot.platforms import DISCORD, SLACK
from bot.specs import Outside, environment
from container.process import DEFAULT_ENV

CHECK_SECONDS: Final = 60.0


def channels_of(config: Config) -> tuple[str, ...]:
    """The channel adapters that `roost run` serves with this configuration, by their names. A platform stands here
    where its table has what it needs."""
    platforms = {DISCORD: config.discord.enabled, SLACK: config.slack.enabled}
    return (TerminalAdapter.name, *(name for name, enabled in platforms.items() if enabled))


def check_agents(config: Config) -> None:
    """Raises ConfigError with a line for each agent that could not answer, and each place that nobody serves."""
    channels = channels_of(config)
    agents = config.agents
    wrong = [line for name, agent in agents.items() for line in _mistakes(name, agent, channels, agents)]
    wrong += unserved(config.wirings, channels, known=_quoted(channels))
    wrong += _mount_mistakes(config)
    if wrong:
        raise ConfigError("\n".join(wrong))


def _mount_mistakes(config: Config) -> list[str]:
    kind = config.backend.kind
    if kind == "docker" or (kind == "auto" and may_be_there(os.environ)):
        return Mounts(config, os.environ).mistakes()
    return [
        f"[agents.{name}] mounts: without Docker there are no containers to mount folders in; "
        "name them in directories"
        for name, agent in config.agents.items()
        if agent.mounts
    ]


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{each}"' for each in names)


def _mistakes(name: str, agent: AgentConfig, channels: Sequence[str], agents: Collection[str]) -> list[str]:
    known = _quoted(channels)
    wrong = [
        f"[agents.{name}] destinations[{number}].channel: nothing serves this channel; known is {known}"
        for number, place in enumerate(agent.destinations)
        if place.channel not in (*channels, AGENT_CHANNEL)
    ]
    wrong += [
        f"[agents.{name}] destinations[{number}].platform_id: there is no other agent of this name"
        for number, place in enumerate(agent.destinations)
        if place.channel == AGENT_CHANNEL and place.platform_id not in set(agents) - {name}
    ]
    fault = provider_fault(agent)
    return wrong if fault is None else [*wrong, f"[agents.{name}] provider_options: {fault}"]


def provider_fault(agent: AgentConfig) -> str | None:
    """Why the provider cannot be made. The mock without options always can, and nobody waits for that. Blocks, for a
    second most often and for CHECK_SECONDS at most."""
    if agent.provider == "mock" and not agent.provider_options:
        return None
    with tempfile.TemporaryDirectory(prefix="roost-check-") as folder:
        seen = Workspace.on_host(Path(folder))
        # Whether there is a key is the vault's business, and the provider shows only a token that stands for it.
        outside = Outside("check")
        env = environment(
            "check", agent, seen, folder=Path(folder), directories=agent.directories, outside=outside
        )
        try:
            done = subprocess.run(
                [sys.executable, "-m", "agent", CHECK_FLAG],
                cwd=folder,
                env={**DEFAULT_ENV, **env},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=CHECK_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"the provider could not be made within {CHECK_SECONDS:.0f} s"
        except (OSError, ValueError) as exc:
            return f"the provider could not be tried: {exc}"
    if done.returncode == 0:
        return None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode == EXIT_UNUSABLE and said:
        return said[-1]
    return f"the provider ended with code {done.returncode} while it was made"
