"""The service ends, by either signal, while containers work: they go on, and the next one delivers what they said."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.fakes.piped import piped
from tests.service.conftest import House

BACKENDS = ("docker",)

PLACES: Final = ("p1", "p2", "p3")
SLOW: Final = {"match": "slow", "steps": [{"do": "stall", "seconds": 4}, {"do": "result", "text": "slowly"}]}


def working(places: tuple[str, ...]) -> Callable[[list[dict[str, Any]]], bool]:
    """Whether an agent has said that it works, in each of the places; before that it is only known to be woken."""
    return lambda heard: all(sum(each.get("working") == place for each in heard) >= 2 for place in places)


def ids(house: House) -> dict[str, str]:
    return {each["Names"][0]: each["Id"] for each in house.containers.living()}


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
async def test_three_turns_outlive_the_service(house: House, signum: signal.Signals) -> None:
    house.script(SLOW)
    async with piped(house) as service:
        await service.say("slow", *PLACES)
        await service.until(working(PLACES))
        before = ids(house)
        await service.end(signum)
        assert all(service.sent(place) == [] for place in PLACES), (
            "the turns were to last longer than the service"
        )
    assert service.process.returncode == (0 if signum == signal.SIGTERM else -signum)
    assert len(before) == 3
    async with house.open() as p:
        for place in PLACES:
            assert await p.replies(1, place=place) == ["slowly"]
            await p.ends(1, place=place)
        assert ids(house) == before
        for place in PLACES:
            await p.say("and now", place=place)
            assert await p.replies(2, place=place) == ["slowly", "You said: and now"]
        assert ids(house) == before
    async with house.open() as p:
        for place in PLACES:
            await house.until_quiet(place)
            assert p.texts(place) == ["slowly", "You said: and now"], "once, whoever comes later"
    assert {row["tries"] for row in house.query("SELECT tries FROM inbox")} == {0}


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
async def test_a_paused_container_outlives_the_service(house: House, signum: signal.Signals) -> None:
    async with piped(house) as service:
        await service.say("one")
        await service.until(lambda heard: service.sent() == ["You said: one"])
        await house.until_quiet()
        house.suspend()
        before = ids(house)
        await service.end(signum)
    assert [each["State"] for each in house.containers.living()] == ["paused"]
    async with house.open() as p:
        await p.say("two")
        assert await p.replies(1) == ["You said: two"]
        assert ids(house) == before
