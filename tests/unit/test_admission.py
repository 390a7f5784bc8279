"""Who gets a place for a runner, and in which order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bot.admission import START_SECONDS, STARTS_AT_ONCE, Admission, Line
from bot.signals import Signal

LIMIT = 6
ROOMS = st.sampled_from(["a", "b", "c"])
NAMES = st.integers(0, 11).map(lambda number: f"{'abc'[number % 3]}{number}")


def place(session_id: str) -> str:
    return session_id[0]


# ---------------------------------------------------------------- the line


def called(line: Line) -> list[str]:
    return [line.call() for _ in range(len(line))]


def test_a_crowded_place_holds_up_nobody_else() -> None:
    line = Line()
    for number in range(500):
        line.join(f"a{number}", "a")
    line.join("b0", "b")
    line.join("c0", "c")
    line.join("b1", "b")
    assert called(line)[:6] == ["a0", "b0", "c0", "a1", "b1", "a2"]


def test_whoever_waits_already_keeps_where_it_stands() -> None:
    line = Line()
    for who in ("a0", "a1", "a0", "b0"):
        line.join(who, place(who))
    line.leave("nobody")
    assert called(line) == ["a0", "b0", "a1"]
    with pytest.raises(IndexError):
        line.call()


@given(st.lists(st.tuples(st.sampled_from(["join", "leave", "call"]), NAMES), max_size=60))
def test_the_line_is_first_come_first_served_within_a_place_and_round_robin_between(
    steps: list[tuple[str, str]],
) -> None:
    line, waiting = Line(), dict[str, None]()
    passed: Counter[str] = Counter()
    for step, who in steps:
        if step == "join":
            line.join(who, place(who))
            waiting.setdefault(who)
        elif step == "leave":
            line.leave(who)
            waiting.pop(who, None)
            passed.pop(place(who), None)
        elif waiting:
            foreseen = list(line)
            next_one = line.call()
            assert next_one == foreseen[0] and list(line) == foreseen[1:]
            assert next_one == next(w for w in waiting if place(w) == place(next_one)), "not first come"
            del waiting[next_one]
            passed.pop(place(next_one), None)
            # How often each place that still waits was passed over since its last turn.
            passed.update({place(w) for w in waiting} - {place(next_one)})
            assert all(count <= 2 for count in passed.values()), "a place was left out of the round"
        assert set(line) == set(waiting) and len(line) == len(waiting)
        assert all((w in line) for w in waiting)


# ---------------------------------------------------------------- the places


class Service(RuleBasedStateMachine):
    """What the service does with the places, in any order; `alive` are the runners that there are."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.called: list[str] = []
        self.alive: set[str] = set()
        self.asking: set[str] = set()
        self.adopted = 0
        wake = Signal[str]()
        wake.connect(self.called.append)
        self.admission = Admission(LIMIT, wake=wake, monotonic=lambda: self.now)

    @rule(who=NAMES)
    def asks(self, who: str) -> None:
        if who in self.alive or who in self.called:
            assert self.admission.enter(who, place(who))
        elif self.admission.enter(who, place(who)):
            self.asking.discard(who)
            self.called.append(who)
        else:
            self.asking.add(who)
        self._hear()

    @rule()
    def whoever_is_called_starts(self) -> None:
        if self.called:
            who = self.called.pop(0)
            assert self.admission.enter(who, place(who))
            self.alive.add(who)

    @rule()
    def a_start_fails(self) -> None:
        if self.called:
            self.admission.leave(self.called.pop(0))
            self._hear()

    @rule(who=NAMES)
    def shows_that_it_runs(self, who: str) -> None:
        if who in self.called:
            self.called.remove(who)
            self.alive.add(who)
        self.admission.started(who)
        self._hear()

    @rule(who=NAMES)
    def has_nothing_to_do_or_ends(self, who: str) -> None:
        self.alive.discard(who)
        self.asking.discard(who)
        if who in self.called:
            self.called.remove(who)
        self.admission.leave(who)
        self._hear()

    @rule(who=NAMES)
    def is_adopted(self, who: str) -> None:
        if who not in self.called:
            self.asking.discard(who)
            self.adopted += who not in self.alive
            self.alive.add(who)
            self.admission.adopt(who)

    @rule()
    def time_passes(self) -> None:
        self.now += START_SECONDS
        self.admission.give_up_on_slow_starts()
        self._hear()

    def _hear(self) -> None:
        self.asking.difference_update(self.called)

    @invariant()
    def no_place_leaks(self) -> None:
        assert self.admission.held == len(self.alive) + len(self.called)
        assert set(self.admission.line()) == self.asking
        assert self.admission.waiting == len(self.asking)
        assert self.admission.crowded.is_set() == bool(self.asking)

    @invariant()
    def no_more_than_allowed(self) -> None:
        assert len(self.called) <= STARTS_AT_ONCE or self.now > 0
        assert self.admission.held <= LIMIT + self.adopted

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        if self.asking and self.admission.held < LIMIT:
            assert self.admission.starts_under_way == STARTS_AT_ONCE


TestService = Service.TestCase


def test_so_many_start_at_once_and_one_more_when_one_runs() -> None:
    called: list[str] = []
    wake = Signal[str]()
    wake.connect(called.append)
    admission = Admission(50, wake=wake)
    entered = [admission.enter(f"a{number}", "a") for number in range(STARTS_AT_ONCE + 3)]
    assert entered == [True] * STARTS_AT_ONCE + [False] * 3
    admission.started("a1")
    admission.started("a1")
    assert called == [f"a{STARTS_AT_ONCE}"]


def test_a_start_that_hangs_holds_up_nobody_for_long() -> None:
    now, called = [0.0], list[str]()
    wake = Signal[str]()
    wake.connect(called.append)
    admission = Admission(50, wake=wake, monotonic=lambda: now[0])
    for number in range(STARTS_AT_ONCE + 1):
        admission.enter(f"a{number}", "a")
    admission.give_up_on_slow_starts()
    assert called == []
    now[0] = START_SECONDS
    admission.give_up_on_slow_starts()
    assert called == [f"a{STARTS_AT_ONCE}"] and admission.held == STARTS_AT_ONCE + 1


def test_after_an_adoption_beyond_the_limit_nothing_starts_until_below() -> None:
    called: list[str] = []
    wake = Signal[str]()
    wake.connect(called.append)
    admission = Admission(2, wake=wake)
    for number in range(4):
        admission.adopt(f"a{number}")
    assert not admission.enter("b0", "b") and admission.wanted == 3
    for number in range(2):
        admission.leave(f"a{number}")
    assert called == [] and admission.held == 2
    admission.leave("a2")
    assert called == ["b0"] and admission.held == 2
