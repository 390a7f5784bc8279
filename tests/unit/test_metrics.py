from __future__ import annotations

import asyncio
import urllib.request

import pytest

from bot.errors import UnusablePort
from bot.metrics import Metrics


def test_snapshot_has_every_figure_by_name() -> None:
    metrics = Metrics()
    metrics.events.labels(channel="terminal", kind="message", state="accepted").inc()
    metrics.replies.labels(channel="terminal", state="sent").inc(2)
    metrics.turns.labels(state="completed").inc()
    metrics.violations.labels(kind="schema").inc()
    metrics.wakes.labels(how="start").inc()
    metrics.awake_sessions.set(3)
    metrics.turn_seconds.observe(0.3)
    metrics.accept_seconds.observe(0.002)

    figures = metrics.snapshot()
    assert figures['roost_events_total{channel="terminal",kind="message",state="accepted"}'] == 1
    assert figures['roost_replies_total{channel="terminal",state="sent"}'] == 2
    assert figures['roost_turns_total{state="completed"}'] == 1
    assert figures['roost_violations_total{kind="schema"}'] == 1
    assert figures['roost_wakes_total{how="start"}'] == 1
    assert figures["roost_awake_sessions"] == 3
    assert figures["roost_turn_seconds_sum"] == 0.3
    assert figures['roost_accept_seconds_bucket{le="0.0025"}'] == 1
    assert not any(name.split("{")[0].endswith("_created") for name in figures)


def test_two_services_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.awake_sessions.inc()
    assert second.snapshot()["roost_awake_sessions"] == 0


async def test_served_on_loopback_for_the_block_only() -> None:
    metrics = Metrics()
    with metrics.serve(0) as port:
        metrics.awake_sessions.set(7)

        def get() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text: bytes = answer.read()
            return text.decode()

        assert "roost_awake_sessions 7.0" in await asyncio.to_thread(get)
        with (
            pytest.raises(UnusablePort, match=f"Port {port} on 127.0.0.1 cannot be used .*in use"),
            metrics.serve(port),
        ):
            pass
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(get)
