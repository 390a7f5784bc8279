"""The tables of config.toml about what runs the agents."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bot.config_fields import MAX_MEBIBYTES, Count, Mebibytes, Seconds
from bot.config_model import ConfigModel
from container.base import Limits


class BackendConfig(ConfigModel):
    """[backend]"""

    kind: Literal["auto", "docker", "process"] = Field(
        "auto",
        description="What runs the agents: docker, a container for each conversation; process, plain child processes,"
        " which isolates nothing; auto, docker where its engine answers and process elsewhere.",
    )
    runtime: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = Field(
        None,
        description="The engine's name for a container runtime, such as runsc; without it the engine's own.",
    )
    allow_unsandboxed: bool = Field(
        False, description="Whether a provider with access to this machine may run without isolation."
    )
    file_mb: Mebibytes = Field(
        Limits.file_mb, description="The largest file that a runner may write, in MiB."
    )
    min_free_mb: Annotated[int, Field(ge=0, le=MAX_MEBIBYTES)] = Field(
        256,
        description="With less room than this left on the disk of data_dir no container is started, in MiB.",
    )
    stop_grace_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = Field(
        10.0, description="How long a runner that is asked to leave may take before it is killed."
    )
    runner_pause_seconds: Seconds = Field(
        30.0,
        description="A container with nothing to do for this long is paused; a message wakes it in 20 ms.",
    )
    runner_idle_seconds: Seconds = Field(
        600.0, description="A runner with nothing to do for this long is stopped."
    )
    idle_memory_mb: Mebibytes = Field(
        4096,
        description="What runners with nothing to do may take up together, in MiB; beyond it the one that has"
        " rested longest is stopped.",
    )
    max_awake: Annotated[int, Field(ge=1, le=10_000)] = Field(
        50, description="How many runners live at once; other sessions wait for a place."
    )
    turn_share_seconds: Seconds = Field(
        60.0,
        description="A runner that has had its place for this long gives way after a turn, if others wait.",
    )


class PoolConfig(ConfigModel):
    """[pool]"""

    size: Annotated[int, Field(ge=0, le=100)] = Field(
        1,
        description="How many containers of each agent wait for a new conversation; with none it starts cold.",
    )
    warm: Literal["runner", "client"] = Field(
        "client",
        description="How far one that waits has got: runner has loaded what it needs, client has its provider"
        " connected as well, which takes more memory and saves a second.",
    )


class AgentLimits(ConfigModel):
    """[agents.<name>.limits]"""

    memory_mb: Annotated[int, Field(ge=64, le=1_048_576)] = Field(
        Limits.memory_mb, description="Memory, in MiB, /tmp among it; there is no swap beyond it."
    )
    cpus: Annotated[float, Field(ge=0.01, le=1024, allow_inf_nan=False)] = Field(
        Limits.cpus, description="Processors; it may be a fraction."
    )
    pids: Annotated[int, Field(ge=16, le=100_000)] = Field(Limits.pids, description="Processes and threads.")
    disk_mb: Count = Field(
        2048, description="All files of a conversation together, in MiB; beyond it its container is killed."
    )

    files: Count = Field(
        200_000, description="Files and folders of a conversation; beyond it its container is killed."
    )

    def of_runner(self, file_mb: int) -> Limits:
        """The same as a backend takes it."""
        return Limits(self.memory_mb, self.cpus, self.pids, file_mb)
