"""How many containers wait for a conversation, and which of those that rest have to go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from container.pool import Resting, Room, lacking, over_budget

PLENTY = Room(free=10, waits=False)


def test_the_scarcest_kind_is_made_first() -> None:
    assert lacking({"a": 1, "b": 0}, 2, PLENTY) == "b"
    assert lacking({"a": 1, "b": 1}, 2, PLENTY) == "a"
    assert lacking({"a": 2, "b": 2}, 2, PLENTY) is None
    assert lacking({}, 2, PLENTY) is None


def test_nothing_is_made_while_somebody_waits_or_for_the_last_place() -> None:
    assert lacking({"a": 0}, 1, Room(free=10, waits=True)) is None
    assert lacking({"a": 0}, 1, Room(free=1, waits=False)) is None
    assert lacking({"a": 0}, 1, Room(free=-3, waits=False)) is None


def test_who_has_rested_longest_goes_first() -> None:
    resting = [Resting("young", 30, 100), Resting("old", 10, 100), Resting("middle", 20, 100)]
    assert over_budget(resting, 300) == []
    assert over_budget(resting, 299) == ["old"]
    assert over_budget(resting, 100) == ["old", "middle"]
    assert over_budget(resting, 0) == ["old", "middle", "young"]


@given(
    st.lists(st.tuples(st.integers(0, 100), st.floats(0, 1000)), max_size=20),
    st.floats(0, 5000),
)
def test_what_is_left_keeps_within_the_budget_and_no_more_goes_than_must(
    found: list[tuple[int, float]], budget: float
) -> None:
    resting = [Resting(str(number), since, mb) for number, (since, mb) in enumerate(found)]
    gone = set(over_budget(resting, budget))
    left = sum(each.memory_mb for each in resting if each.name not in gone)
    assert left <= budget + 1e-6
    if gone:
        newest = [each for each in sorted(resting, key=lambda each: each.since) if each.name in gone][-1]
        assert left + newest.memory_mb > budget - 1e-6
