"""Lines: the order of a place is kept, no place holds up another one, and none takes all the room."""

from __future__ import annotations

import asyncio
import logging

import pytest

from adapters.queues import MAX_OF_ONE_PLACE, MAX_WAITING, Queues

SECONDS = 10.0


async def test_work_of_one_place_is_done_in_order_and_that_of_another_does_not_wait_for_it() -> None:
    lines, done = Queues("test"), list[str]()
    free, finished = asyncio.Event(), asyncio.Event()

    async def work(name: str) -> None:
        if name == "first":
            await free.wait()
        done.append(name)
        if name == "elsewhere":
            free.set()
        if name == "second":
            finished.set()

    assert lines.put(1, lambda: work("first")) and lines.put(1, lambda: work("second"))
    assert lines.put(2, lambda: work("elsewhere"))
    async with asyncio.timeout(SECONDS):
        await finished.wait()
    assert done == ["elsewhere", "first", "second"]
    await lines.close()


async def test_what_fails_is_logged_and_the_next_is_done(caplog: pytest.LogCaptureFixture) -> None:
    lines, finished = Queues("test"), asyncio.Event()

    async def fail() -> None:
        raise RuntimeError("made to fail")

    async def finish() -> None:
        finished.set()

    with caplog.at_level(logging.ERROR, "roost.discord"):
        assert lines.put(1, fail) and lines.put(1, finish)
        async with asyncio.timeout(SECONDS):
            await finished.wait()
    assert "could not be dealt with" in caplog.text
    await lines.close()


async def test_a_place_that_is_flooded_leaves_room_for_others_and_there_is_an_end_to_it() -> None:
    lines = Queues("test")

    async def for_ever() -> None:
        await asyncio.Event().wait()

    assert all(lines.put(1, for_ever) for _ in range(MAX_OF_ONE_PLACE))
    assert not lines.put(1, for_ever)
    assert all(lines.put(2 + number, for_ever) for number in range(MAX_WAITING - MAX_OF_ONE_PLACE))
    assert not lines.put(0, for_ever), "over all places"
    await lines.close()
    assert lines.empty(1)
