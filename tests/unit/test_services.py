from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot.errors import ServiceCrashed
from bot.services import running

Run = Callable[[], Awaitable[None]]


class Part:
    """A service that notes its start and end in `events`."""

    def __init__(self, name: str, events: list[str], run: Run | None = None) -> None:
        self.name = name
        self._events = events
        self._run = run
        self.task_name = ""

    async def run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task_name = task.get_name()
        self._events.append(f"{self.name} up")
        try:
            await (self._run() if self._run else asyncio.Event().wait())
        finally:
            # Stopping takes a while; the next one must wait for it.
            await asyncio.sleep(0)
            self._events.append(f"{self.name} down")


async def forever() -> None:
    async with asyncio.timeout(10):
        await asyncio.Event().wait()


async def test_run_for_the_block_and_stop_in_reverse() -> None:
    events: list[str] = []
    parts = [Part(name, events) for name in "abc"]
    async with running(*parts):
        await asyncio.sleep(0)
        events.append("block")
    assert events == ["a up", "b up", "c up", "block", "c down", "b down", "a down"]
    assert [part.task_name for part in parts] == ["a", "b", "c"]


async def test_first_crash_ends_the_block_and_the_others() -> None:
    events: list[str] = []
    broken = asyncio.Event()

    async def crash() -> None:
        await broken.wait()
        raise ValueError("no disk")

    with pytest.raises(ServiceCrashed, match="bad has crashed: ValueError: no disk") as caught:
        async with running(Part("good", events), Part("bad", events, crash)):
            await asyncio.sleep(0)
            broken.set()
            await forever()
    assert caught.value.service == "bad"
    assert isinstance(caught.value.__cause__, ValueError)
    assert events[-1] == "good down"
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0


async def test_a_service_that_returns_has_crashed() -> None:
    async def leave() -> None:
        return

    with pytest.raises(ServiceCrashed, match="early has crashed: it returned"):
        async with running(Part("early", [], leave)):
            await forever()


async def test_the_blocks_own_error_comes_out_after_all_have_stopped() -> None:
    events: list[str] = []
    with pytest.raises(KeyError):
        async with running(Part("a", events)):
            await asyncio.sleep(0)
            raise KeyError("x")
    assert events == ["a up", "a down"]


async def test_failing_to_stop_is_a_crash() -> None:
    async def bad_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("cannot flush")

    events: list[str] = []
    with pytest.raises(ServiceCrashed, match="b has crashed: OSError: cannot flush"):
        async with running(Part("a", events), Part("b", events, bad_end)):
            await asyncio.sleep(0)
    assert events[-1] == "a down"


async def test_leaving_quietly_when_told_to_stop_is_no_crash() -> None:
    events: list[str] = []

    async def polite() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async with running(Part("polite", events, polite)):
        await asyncio.sleep(0)
    assert events == ["polite up", "polite down"]


@pytest.mark.parametrize("bad", ["outer", "inner"])
async def test_nested_blocks_stop_from_the_inside_out(bad: str) -> None:
    events: list[str] = []
    broken = asyncio.Event()

    async def crash() -> None:
        await broken.wait()
        raise ValueError

    def part(name: str) -> Part:
        return Part(name, events, crash if name == bad else None)

    with pytest.raises(ServiceCrashed) as caught:
        async with running(part("outer")), running(part("inner")):
            await asyncio.sleep(0)
            broken.set()
            await forever()
    assert caught.value.service == bad
    assert set(events) == {"outer up", "inner up", "outer down", "inner down"}
    if bad == "inner":
        assert events[-1] == "outer down"


async def test_both_of_two_nested_crashing_leave_no_cancellation_behind() -> None:
    broken = asyncio.Event()

    async def crash() -> None:
        await broken.wait()
        raise ValueError

    with pytest.raises(ServiceCrashed):
        async with running(Part("outer", [], crash)), running(Part("inner", [], crash)):
            await asyncio.sleep(0)
            broken.set()
            await forever()
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0
    await asyncio.sleep(0)


async def test_cancelling_the_block_from_outside_stops_everything_and_stays_a_cancellation() -> None:
    events: list[str] = []
    up = asyncio.Event()

    async def main() -> None:
        async with running(Part("a", events), Part("b", events)):
            await asyncio.sleep(0)
            up.set()
            await forever()

    task = asyncio.create_task(main())
    await asyncio.wait_for(up.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == ["a up", "b up", "b down", "a down"]


async def test_a_second_cancellation_does_not_abandon_a_service_that_is_stopping() -> None:
    stopping, may_end = asyncio.Event(), asyncio.Event()
    events: list[str] = []

    async def slow_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await may_end.wait()

    async def main() -> None:
        async with running(Part("a", events), Part("slow", events, slow_end)):
            await asyncio.sleep(0)

    task = asyncio.create_task(main())
    await asyncio.wait_for(stopping.wait(), 5)
    task.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert events[-2:] == ["slow down", "a down"]
