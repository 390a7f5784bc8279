"""How fast somebody may do something who can do it as often as he likes."""

from __future__ import annotations

from agent.protocol.pace import Bucket


def test_a_bucket_gives_some_at_once_and_then_one_at_a_time() -> None:
    now = [0.0]
    bucket = Bucket(a_second=2, at_once=3, clock=lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]
    now[0] = 0.25
    assert bucket.take() == 0.25
    now[0] = 0.5
    assert bucket.take() == 0
    now[0] = 1_000
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_bucket_lets_through_what_is_larger_than_it_and_waits_for_all_of_it() -> None:
    now = [0.0]
    bucket = Bucket(a_second=10, at_once=100, clock=lambda: now[0])
    assert bucket.take(1_100) == 0
    assert bucket.take(1) == 100.1
    now[0] = 100.2
    assert bucket.take(1) == 0
