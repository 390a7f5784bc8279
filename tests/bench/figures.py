"""What is measured, what it should be, and where it was measured."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
MAX_SYNCS: Final = 6.0
MAX_WARM_MS: Final = 5.0
SYNCS_IN_A_ROW: Final = 5
"""Of the syncs of one message, those for which its reply has to wait; the last one comes after it."""
MAX_WARM_P99_MS: Final = 35.0
MAX_RUNNER_MB: Final = 40.0
MIN_INGEST: Final = 1_000.0
MIN_ACCEPT: Final = 4_000.0
MAX_SWEEP_MS: Final = 10.0
MAX_SWEEP_STALL_MS: Final = 5.0
MAX_FLOOD_STALL_MS: Final = 20.0
MAX_RESTART_MS: Final = 1_000.0
MAX_DISCORD_MS: Final = 25.0
MAX_SLACK_MS: Final = 25.0
MAX_HOST_MB: Final = 110.0
MAX_CLAUDE_WARM_MS: Final = 120.0
MAX_CLAUDE_NEW_MS: Final = 2_500.0
MAX_DOCKER_COLD_MS: Final = 400.0
MAX_DOCKER_PAUSED_MS: Final = 50.0
MAX_DOCKER_POOL_MS: Final = 30.0
MAX_DOCKER_POOL_CLIENT_MS: Final = 250.0
DOCKER_WARM: Final = 1.2
"""A warm answer takes so many times what it takes without a container."""
MAX_CONTAINER_MB: Final = 25.0
MAX_GATEWAY_MS: Final = 3.0


@dataclass(frozen=True)
class Spread:
    """How `n` measurements of one thing are spread."""

    p50: float
    p95: float
    p99: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least two values, which keep their unit."""
        cuts = quantiles(values, n=100, method="inclusive")
        return cls(round(cuts[49], 2), round(cuts[94], 2), round(cuts[98], 2), len(values))


@dataclass(frozen=True)
class Figures:
    """Everything that one run measures. Memory in MiB."""

    warm_round_trip_ms: Spread
    warm_round_trip_20_sessions_ms: Spread
    acknowledged_ms: Spread
    cold_start_ms: Spread
    fsync_ms: Spread
    ingest_per_second: float
    accept_per_second: float
    sweep_ms_5000_sessions: Spread
    loop_stall_ms_max: float
    flood_stall_ms_max: float
    flood_elsewhere_ms: Spread
    restart_adopt_ms: Spread
    discord_round_trip_ms: Spread
    discord_overhead_ms: Spread
    """How much of it is the adapter's."""
    discord_new_thread_ms: Spread
    discord_stall_ms_max: float
    discord_import_ms: Spread
    slack_round_trip_ms: Spread
    slack_overhead_ms: Spread
    """How much of it is the adapter's."""
    slack_new_thread_ms: Spread
    slack_import_ms: Spread
    syncs_per_message: float | None
    syncs_by_file: dict[str, float] | None
    syncs_not_counted: str | None
    """Why the two above are None."""
    host_rss_mb: float
    host_rss_mb_100_sessions: float
    runner_rss_mb: float
    runner_pss_mb: float
    claude_warm_first_delta_ms: Spread
    claude_new_session_first_delta_ms: Spread
    gateway_first_byte_ms: Spread
    gateway_overhead_ms: Spread
    docker_cold_start_ms: Spread | None
    docker_warm_round_trip_ms: Spread | None
    docker_paused_wake_ms: Spread | None
    docker_new_session_from_pool_ms: Spread | None
    docker_new_session_from_pool_first_delta_ms: Spread | None
    """With Claude's client connected."""
    container_anon_mb: float | None
    """Of a runner with the mock that has nothing to do."""
    container_anon_mb_paused_client: float | None
    docker_not_measured: str | None
    """Why these are None."""
    claude_runner_rss_mb: float
    claude_cli_rss_mb: float


@dataclass(frozen=True)
class Target:
    """What a figure should be at most, or `at_least`. Only a `gate` decides about the exit status: it counts,
    and does not depend on how fast or how busy the machine is."""

    name: str
    found: float | None
    limit: float
    unit: str
    gate: bool = False
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        if self.found is None:
            return None
        return self.found >= self.limit if self.at_least else self.found <= self.limit

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def targets(figures: Figures) -> list[Target]:
    """Every figure that has a limit, beside it."""
    warm, fsync = figures.warm_round_trip_ms, figures.fsync_ms
    allowed = round(MAX_WARM_MS + SYNCS_IN_A_ROW * fsync.p50, 2)
    return [
        Target("syncs_per_message", figures.syncs_per_message, MAX_SYNCS, "", gate=True),
        Target("warm_round_trip_ms.p50", warm.p50, allowed, "ms"),
        Target("warm_round_trip_ms.p99", warm.p99, MAX_WARM_P99_MS, "ms"),
        Target("ingest_per_second", figures.ingest_per_second, MIN_INGEST, "/s", at_least=True),
        Target("accept_per_second", figures.accept_per_second, MIN_ACCEPT, "/s", at_least=True),
        Target("sweep_ms_5000_sessions.p50", figures.sweep_ms_5000_sessions.p50, MAX_SWEEP_MS, "ms"),
        Target("loop_stall_ms_max", figures.loop_stall_ms_max, MAX_SWEEP_STALL_MS, "ms"),
        Target("flood_stall_ms_max", figures.flood_stall_ms_max, MAX_FLOOD_STALL_MS, "ms"),
        Target("restart_adopt_ms.p50", figures.restart_adopt_ms.p50, MAX_RESTART_MS, "ms"),
        Target("discord_round_trip_ms.p50", figures.discord_round_trip_ms.p50, MAX_DISCORD_MS, "ms"),
        Target("slack_round_trip_ms.p50", figures.slack_round_trip_ms.p50, MAX_SLACK_MS, "ms"),
        Target("host_rss_mb_100_sessions", figures.host_rss_mb_100_sessions, MAX_HOST_MB, "MiB"),
        Target("runner_rss_mb", figures.runner_rss_mb, MAX_RUNNER_MB, "MiB"),
        Target(
            "claude_warm_first_delta_ms.p50", figures.claude_warm_first_delta_ms.p50, MAX_CLAUDE_WARM_MS, "ms"
        ),
        Target(
            "claude_new_session_first_delta_ms.p50",
            figures.claude_new_session_first_delta_ms.p50,
            MAX_CLAUDE_NEW_MS,
            "ms",
        ),
        *_of_docker(figures),
        Target("gateway_overhead_ms.p50", figures.gateway_overhead_ms.p50, MAX_GATEWAY_MS, "ms"),
    ]


def _of_docker(figures: Figures) -> list[Target]:
    warm, alone = figures.docker_warm_round_trip_ms, figures.warm_round_trip_ms
    cold, paused = figures.docker_cold_start_ms, figures.docker_paused_wake_ms
    pooled = figures.docker_new_session_from_pool_ms
    client = figures.docker_new_session_from_pool_first_delta_ms
    return [
        Target("docker_cold_start_ms.p50", cold.p50 if cold else None, MAX_DOCKER_COLD_MS, "ms"),
        Target(
            "docker_warm_round_trip_ms.p50",
            warm.p50 if warm else None,
            round(alone.p50 * DOCKER_WARM, 2),
            "ms",
        ),
        Target("docker_paused_wake_ms.p50", paused.p50 if paused else None, MAX_DOCKER_PAUSED_MS, "ms"),
        Target(
            "docker_new_session_from_pool_ms.p50", pooled.p50 if pooled else None, MAX_DOCKER_POOL_MS, "ms"
        ),
        Target(
            "docker_new_session_from_pool_first_delta_ms.p50",
            client.p50 if client else None,
            MAX_DOCKER_POOL_CLIENT_MS,
            "ms",
        ),
        Target("container_anon_mb", figures.container_anon_mb, MAX_CONTAINER_MB, "MiB"),
    ]


def environment(folder: Path) -> dict[str, Any]:
    """What the figures depend on besides the code. `folder` is where the data lay."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "filesystem": filesystem(folder),
        "load_1_minute": round(os.getloadavg()[0], 2),
    }


def filesystem(folder: Path) -> str:
    """The type of the filesystem that holds `folder`, by proc(5)'s mountinfo."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if left.split()[2] == wanted:
            return right.split()[0]
    return "unknown"


def rounds(count: int, seconds: float) -> Iterator[int]:
    """Counts to `count`, but at least to 2 and for no longer than `seconds`: a slow machine measures less."""
    end = time.monotonic() + seconds
    for number in range(count):
        if number >= 2 and time.monotonic() > end:
            return
        yield number
