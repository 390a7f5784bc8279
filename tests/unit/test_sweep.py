"""What is thought of a living runner."""

from __future__ import annotations

import pytest

from bot.sweep import Facts, Limits, Verdict, verdict

LIMITS = Limits(stale_ms=120, turn_ms=1_000, idle_ms=600)


@pytest.mark.parametrize(
    ("facts", "now", "found"),
    [
        (Facts(None, 0, 0, None), 599, "fine"),
        (Facts(None, 0, 0, None), 600, "idle"),
        (Facts(None, None, 0, None), 10_000, "fine"),
        (Facts(None, 0, 0, None, replaceable=True), 1, "idle"),
        (Facts(0, None, 0, None, replaceable=True), 119, "fine"),
        (Facts(0, None, 0, None), 119, "fine"),
        (Facts(0, None, 0, None), 120, "stuck"),
        (Facts(0, None, 500, None), 619, "fine"),
        (Facts(500, None, 0, None), 619, "fine"),
        (Facts(0, None, 0, 800), 919, "fine"),
        (Facts(0, None, 0, 800), 920, "stuck"),
        (Facts(0, None, 999, 2**53), 1_000, "overdue"),
    ],
)
def test_verdict(facts: Facts, now: int, found: Verdict) -> None:
    assert verdict(facts, now, LIMITS) == found
