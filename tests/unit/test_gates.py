"""When a place that has said "not before" may be written to again."""

from __future__ import annotations

import pytest

from agent.protocol.messages import Route
from bot.gates import Gates

HERE = Route(channel="slack", platform_id="C1")
THREAD = Route(channel="slack", platform_id="C1", thread_id="1.5")
THERE = Route(channel="slack", platform_id="C2")
ELSEWHERE = Route(channel="discord", platform_id="C1")


class Watch:
    """A clock that a test sets."""

    now = 1_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def gates(watch: Watch) -> Gates:
    return Gates(watch)


def test_a_place_is_shut_with_its_threads_and_no_other(gates: Gates, watch: Watch) -> None:
    assert gates.left(HERE) == 0
    gates.shut(THREAD, 60, everywhere=False)
    watch.now += 59
    assert gates.left(HERE) == gates.left(THREAD) == 1
    assert gates.left(THERE) == gates.left(ELSEWHERE) == 0
    watch.now += 1
    assert gates.left(HERE) == 0


def test_a_platform_is_shut_as_a_whole_and_no_other(gates: Gates) -> None:
    gates.shut(HERE, 60, everywhere=True)
    assert gates.left(THERE) == gates.left(THREAD) == 60
    assert gates.left(ELSEWHERE) == 0
    gates.shut(THERE, 80, everywhere=False)
    assert (gates.left(HERE), gates.left(THERE)) == (60, 80)


def test_a_gate_is_never_opened_earlier(gates: Gates, watch: Watch) -> None:
    gates.shut(HERE, 60, everywhere=False)
    watch.now += 10
    gates.shut(HERE, 20, everywhere=False)
    assert gates.left(HERE) == 50


def test_gates_that_are_open_are_forgotten(gates: Gates, watch: Watch) -> None:
    for number in range(1000):
        watch.now += 1
        gates.shut(Route(channel="slack", platform_id=f"C{number}"), 10, everywhere=False)
    assert len(gates._shut) == 10
