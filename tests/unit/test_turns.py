"""How often a turn is tried."""

from __future__ import annotations

import pytest

from agent.protocol.messages import ChatIn, MessageIn, Route
from bot.turns import Again, GiveUp, Policy, verdict

POLICY = Policy(max_tries=5, base_ms=5_000)


def message(tries: int) -> MessageIn:
    return MessageIn(
        id="m",
        seq=2,
        event_id="e",
        kind="chat",
        created_at=0,
        tries=tries,
        route=Route(channel="fake", platform_id="p1"),
        content=ChatIn(sender="Ada", text="hello"),
    )


@pytest.mark.parametrize(("tries", "wait"), [(0, 5_000), (1, 10_000), (2, 20_000), (3, 40_000)])
def test_the_wait_doubles(tries: int, wait: int) -> None:
    assert verdict(message(tries), clean=False, now=1_000, policy=POLICY) == Again(tries + 1, 1_000 + wait)


def test_the_fifth_try_is_the_last() -> None:
    assert verdict(message(4), clean=False, now=0, policy=POLICY) == GiveUp(5)


def test_who_left_of_its_own_accord_is_followed_at_once_but_only_once() -> None:
    assert verdict(message(0), clean=True, now=7, policy=POLICY) == Again(1, 7)
    assert verdict(message(1), clean=True, now=7, policy=POLICY) == Again(2, 10_007)
    assert verdict(message(4), clean=True, now=7, policy=POLICY) == GiveUp(5)
