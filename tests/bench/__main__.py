"""`python -m tests.bench`: measures Roost, prints a table and writes bench/results.json.

Exit status: 0, also when something took longer than it should; 1 a message costs more syncs than it may, or
the measuring failed; 3 the syncs could not be counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.bench import (
    child,
    claude,
    crowd,
    discord,
    docker,
    gateway,
    memory,
    restart,
    service,
    slack,
    stalls,
    syncs,
    throughput,
)
from tests.bench.figures import ROOT, Figures, Spread, Target, environment, targets
from tests.bench.service import Plan

OUTPUT: Final = ROOT / "bench"
"""On the disk of the repository; what TMPDIR names is often no disk at all."""
EXIT_GATE: Final = 1
EXIT_NOT_COUNTED: Final = 3
FULL: Final = Plan(
    warm=400,
    each_session=15,
    phase_seconds=12,
    accepts=4000,
    ingests=1500,
    flood=2000,
    claude_sessions=8,
    claude_warm=60,
    gateway_rounds=6,
    docker_sessions=20,
)
QUICK: Final = Plan(
    warm=50,
    each_session=3,
    phase_seconds=6,
    accepts=1000,
    ingests=400,
    flood=500,
    claude_sessions=3,
    claude_warm=15,
    gateway_rounds=2,
    docker_sessions=5,
)
HOST_MESSAGES: Final = 20
HOST_SESSIONS: Final = 100
TALK_AT_ONCE: Final = 4
TRACE_SECONDS: Final = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures how fast Roost is.")
    parser.add_argument("--quick", action="store_true", help="measure less: a look, and not a result")
    quick = parser.parse_args().quick
    began = time.monotonic()
    OUTPUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUTPUT, prefix="data-") as folder:
        where = environment(Path(folder))
        figures = measure(Path(folder), QUICK if quick else FULL, messages=50 if quick else 200)
    wanted = targets(figures)
    results = {
        "quick": quick,
        "seconds": round(time.monotonic() - began, 1),
        "environment": where,
        **asdict(figures),
        "targets": [target.as_json() for target in wanted],
    }
    (OUTPUT / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    show(figures, wanted, where)
    return verdict(figures, wanted)


def measure(data: Path, plan: Plan, *, messages: int) -> Figures:
    """Everything, one after the other, each in a folder of its own below `data`."""
    timed = asyncio.run(service.measure(_folder(data, "service"), plan))
    host_mb = asyncio.run(memory.host_rss_mb(_folder(data, "host"), ["bench"] * HOST_MESSAGES))
    places = [f"place-{number}" for number in range(HOST_SESSIONS)]
    crowded_mb = asyncio.run(memory.host_rss_mb(_folder(data, "crowded"), places, at_once=TALK_AT_ONCE))
    accepted = asyncio.run(throughput.accept_per_second(_folder(data, "accept"), plan.accepts))
    ingested = asyncio.run(throughput.ingest_per_second(_folder(data, "ingest"), plan.ingests))
    swept = asyncio.run(crowd.sweep(_folder(data, "crowd")))
    flooded = asyncio.run(stalls.flood(_folder(data, "flood"), plan.flood))
    claude_found = asyncio.run(
        claude.measure(
            _folder(data, "claude"),
            sessions=plan.claude_sessions,
            warm=plan.claude_warm,
            seconds=plan.phase_seconds,
        )
    )
    passed = asyncio.run(gateway.measure(_folder(data, "gateway"), rounds=plan.gateway_rounds, each=5))
    discord_found = asyncio.run(
        discord.measure(_folder(data, "discord"), warm=plan.warm, seconds=2 * plan.phase_seconds)
    )
    slack_found = asyncio.run(
        slack.measure(_folder(data, "slack"), warm=plan.warm, seconds=2 * plan.phase_seconds)
    )
    restarted = asyncio.run(restart.restart_adopt_ms(_folder(data, "restart")))
    boxed, no_engine = docker.Found(), asyncio.run(docker.fault(data / "engine"))
    if no_engine is None:
        boxed = asyncio.run(
            docker.measure(
                _folder(data, "docker"),
                sessions=plan.docker_sessions,
                warm=plan.warm,
                seconds=plan.phase_seconds,
            )
        )
    each, by_file, reason = None, None, None
    try:
        counted = syncs.count(_folder(data, "traced"), messages, timeout_seconds=TRACE_SECONDS)
        each = counted.per_message
        by_file = {name: calls / messages for name, calls in sorted(counted.by_file.items())}
    except syncs.NotTraced as exc:
        reason = str(exc)
    return Figures(
        warm_round_trip_ms=Spread.of(timed.warm),
        warm_round_trip_20_sessions_ms=Spread.of(timed.together),
        acknowledged_ms=Spread.of(timed.acknowledged),
        cold_start_ms=Spread.of(timed.cold),
        fsync_ms=Spread.of(timed.fsync),
        ingest_per_second=round(ingested, 1),
        accept_per_second=round(accepted, 1),
        sweep_ms_5000_sessions=Spread.of(swept.rounds),
        loop_stall_ms_max=swept.stall_max,
        flood_stall_ms_max=flooded.stall_max,
        flood_elsewhere_ms=Spread.of(flooded.elsewhere),
        restart_adopt_ms=Spread.of(restarted),
        discord_round_trip_ms=Spread.of(discord_found.warm),
        discord_overhead_ms=discord_found.overhead,
        discord_new_thread_ms=Spread.of(discord_found.new_thread),
        discord_stall_ms_max=discord_found.stall_max,
        discord_import_ms=Spread.of(child.import_ms("adapters.discord")),
        slack_round_trip_ms=Spread.of(slack_found.warm),
        slack_overhead_ms=slack_found.overhead,
        slack_new_thread_ms=Spread.of(slack_found.new_thread),
        slack_import_ms=Spread.of(child.import_ms("adapters.slack")),
        syncs_per_message=each,
        syncs_by_file=by_file,
        syncs_not_counted=reason,
        host_rss_mb=host_mb,
        host_rss_mb_100_sessions=crowded_mb,
        runner_rss_mb=timed.runner_rss_mb,
        runner_pss_mb=timed.runner_pss_mb,
        claude_warm_first_delta_ms=Spread.of(claude_found.warm),
        claude_new_session_first_delta_ms=Spread.of(claude_found.new_session),
        gateway_first_byte_ms=Spread.of(passed.through),
        gateway_overhead_ms=passed.overhead,
        docker_cold_start_ms=_spread(boxed.cold),
        docker_warm_round_trip_ms=_spread(boxed.warm),
        docker_paused_wake_ms=_spread(boxed.paused),
        docker_new_session_from_pool_ms=_spread(boxed.pooled),
        docker_new_session_from_pool_first_delta_ms=_spread(boxed.pooled_client),
        container_anon_mb=boxed.idle_mb,
        container_anon_mb_paused_client=boxed.paused_client_mb,
        docker_not_measured=no_engine,
        claude_runner_rss_mb=claude_found.runner_rss_mb,
        claude_cli_rss_mb=claude_found.cli_rss_mb,
    )


def _spread(values: Sequence[float]) -> Spread | None:
    return Spread.of(values) if values else None


def _folder(data: Path, name: str) -> Path:
    folder = data / name
    folder.mkdir(mode=0o700)
    return folder


def verdict(figures: Figures, wanted: Sequence[Target]) -> int:
    """The exit status."""
    if figures.syncs_not_counted is not None:
        sys.stderr.write(f"The syncs could not be counted: {figures.syncs_not_counted}\n")
        return EXIT_NOT_COUNTED
    missed = [target.name for target in wanted if target.gate and not target.met]
    for name in missed:
        sys.stderr.write(f"{name} is more than it may be.\n")
    return EXIT_GATE if missed else 0


def show(figures: Figures, wanted: Sequence[Target], where: dict[str, Any]) -> None:
    """Prints the figures, and how they compare with what they should be."""
    console = Console()
    table = Table("", "p50", "p95", "p99", "n", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name, value in asdict(figures).items():
        if isinstance(value, dict) and "p50" in value:
            table.add_row(name, *(f"{value[key]:.2f}" for key in ("p50", "p95", "p99")), str(value["n"]))
        elif isinstance(value, float):
            table.add_row(name, f"{value:.2f}")
    console.print(table, "", sep="\n")
    for target in wanted:
        mark = {True: "[green]pass[/]", False: "[red]FAIL[/]", None: "[yellow]not counted[/]"}[target.met]
        console.print(
            f"{mark}  {target.name} {target.found} {'>=' if target.at_least else '<='} {target.limit} {target.unit}",
            highlight=False,
        )
    console.print(", ".join(f"{name} {value}" for name, value in where.items()), style="dim", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
