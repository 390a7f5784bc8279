"""How much a session may say."""

from __future__ import annotations

from bot.allowance import Allowance, Rate


def test_so_many_replies_and_then_one_at_a_time() -> None:
    now = [0.0]
    allowance = Allowance(Rate(replies=60, bytes=10**6), clock=lambda: now[0])
    said = 0
    while not allowance.wait_ms():
        allowance.said(1)
        said += 1
    assert said == 60 and 990 <= allowance.wait_ms() <= 1_001
    now[0] = 1.001
    assert allowance.wait_ms() == 0


def test_a_large_reply_is_sent_and_waited_for_afterwards() -> None:
    now = [0.0]
    allowance = Allowance(Rate(replies=60, bytes=6_000), clock=lambda: now[0])
    allowance.said(12_000)
    assert 60_000 <= allowance.wait_ms() <= 60_100
    now[0] = 61.0
    assert allowance.wait_ms() == 0
