"""Patterns are looked for within bounds, whoever writes what."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.metrics import Metrics
from bot.patterns import FAILURES, REST_MS, Patterns
from bot.searching import LOOKED_AT_CHARS, BadPattern, fault, search


class Clock:
    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


def test_only_the_beginning_is_looked_at() -> None:
    assert search("needle", "needle")
    assert not search("needle", "x" * LOOKED_AT_CHARS + "needle")


def test_one_that_never_ends_is_given_up() -> None:
    begun = time.process_time()
    with pytest.raises(BadPattern):
        search(r"(a+)+$", "a" * 9_999 + "!")
    assert time.process_time() - begun < 2


def test_one_that_would_take_all_memory_is_not_even_compiled() -> None:
    assert "repetitions" in (fault("((((a{100}){100}){100}){100})") or "")


async def test_the_loop_goes_on_while_a_pattern_is_looked_for() -> None:
    patterns = Patterns(metrics=Metrics(), clock=Clock())
    looking = asyncio.create_task(patterns.fit([r"(a+)+$"], "a" * 9_999 + "!"))
    turns = 0
    while not looking.done():
        await asyncio.sleep(0)
        turns += 1
    assert await looking == {r"(a+)+$": None}
    assert turns > 10


async def test_what_cannot_be_told_does_not_fit_and_is_shown_until_it_works_again() -> None:
    clock = Clock()
    patterns = Patterns(metrics=Metrics(), clock=clock)
    bad, text = r"^(a+)+$", "a" * 9_999 + "!"
    assert await patterns.fit([bad, "a"], text) == {bad: None, "a": True}
    (failing,) = patterns.failing()
    assert (failing.pattern, failing.times, failing.since) == (bad, 1, 1_000)
    assert await patterns.fit([bad], "aaa") == {bad: True}
    assert patterns.failing() == []


async def test_one_that_fails_again_and_again_rests() -> None:
    clock = Clock()
    patterns = Patterns(metrics=Metrics(), clock=clock)
    bad, text = r"^(a+)+$", "a" * 9_999 + "!"
    for _ in range(FAILURES):
        assert await patterns.fit([bad], text) == {bad: None}
    assert await patterns.fit([bad], "aaa") == {bad: None}
    clock.now += REST_MS
    assert await patterns.fit([bad], "aaa") == {bad: True}
