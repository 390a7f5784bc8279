"""What keeps a flood outside."""

from __future__ import annotations

import asyncio

import pytest

from bot.gate import (
    AT_ONCE,
    MORE,
    OF_ONE_PLACE,
    PLACES_REMEMBERED,
    REPEAT_MS,
    WAITING_OF_ONE_PLACE,
    Crowded,
    Gate,
    Overload,
)


async def test_a_flooded_place_leaves_room_for_others_and_nobody_waits_without_end() -> None:
    gate, go = Gate(), asyncio.Event()
    inside: list[str] = []

    async def come(place: str) -> None:
        await gate.enter(place)
        inside.append(place)
        await go.wait()
        gate.leave(place)

    async with asyncio.TaskGroup() as group:
        for _ in range(WAITING_OF_ONE_PLACE):
            group.create_task(come("loud"))
        await asyncio.sleep(0)
        assert inside == ["loud"] * OF_ONE_PLACE
        with pytest.raises(Crowded):
            await come("loud")
        group.create_task(come("quiet"))
        await asyncio.sleep(0)
        assert inside[-1] == "quiet"
        for number in range(AT_ONCE):
            group.create_task(come(f"p{number}"))
        await asyncio.sleep(0)
        assert len(inside) == AT_ONCE
        go.set()
    assert len(inside) == WAITING_OF_ONE_PLACE + 1 + AT_ONCE
    # Nothing is remembered of those who have passed.
    assert not gate._places and not gate._inside


def test_a_place_is_told_once_in_a_while_and_the_rest_is_counted() -> None:
    overload = Overload()
    assert overload.say("p1", "Too much.", now=0) == "Too much."
    assert [overload.say("p1", "Too much.", now=1) for _ in range(3)] == [None] * 3
    assert overload.say("p2", "Too much.", now=1) == "Too much."
    assert overload.say("p1", "Too much.", now=REPEAT_MS) == "Too much." + MORE.format(count=3)
    assert overload.say("p1", "Too much.", now=2 * REPEAT_MS) == "Too much."
    for number in range(2 * PLACES_REMEMBERED):
        overload.say(number, "Too much.", now=0)
    assert len(overload._said) == PLACES_REMEMBERED


async def test_whoever_goes_before_it_is_let_in_leaves_nothing_behind() -> None:
    gate = Gate()
    for _ in range(OF_ONE_PLACE):
        await gate.enter("loud")
    impatient = asyncio.create_task(gate.enter("loud"))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    for _ in range(OF_ONE_PLACE):
        gate.leave("loud")
    assert not gate._places and not gate._inside
