from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bot.errors import ServiceCrashed
from bot.lanes import Lanes
from bot.services import running

Work = Callable[[str], Awaitable[None]]


class Gate:
    """Work that waits at a gate; every run is counted, and who is inside is known."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.inside: set[str] = set()
        self.most = 0
        self.open = asyncio.Event()

    async def __call__(self, key: str) -> None:
        assert key not in self.inside, "two at once for one key"
        self.runs[key] += 1
        self.inside.add(key)
        self.most = max(self.most, len(self.inside))
        try:
            await self.open.wait()
        finally:
            self.inside.discard(key)


def raises(key: str, error: Exception) -> None:
    raise error


@asynccontextmanager
async def lanes(
    work: Work, on_error: Callable[[str, Exception], None] = raises, limit: int | None = None
) -> AsyncIterator[Lanes[str]]:
    made = Lanes("lanes", work, on_error, limit)
    async with asyncio.timeout(10), running(made):
        yield made


async def test_a_kick_starts_the_work_at_the_next_chance() -> None:
    gate = Gate()
    async with lanes(gate) as made:
        made.kick("a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert gate.inside == {"a"}
        assert "lanes a" in {task.get_name() for task in asyncio.all_tasks()}


async def test_kicks_before_the_service_runs_are_worked_on() -> None:
    gate = Gate()
    gate.open.set()
    made = Lanes("lanes", gate, raises)
    made.kick("a")
    await asyncio.wait_for(made.settle("a"), 5)
    assert gate.runs == {"a": 1}


async def test_any_number_of_kicks_meanwhile_are_one_more_run() -> None:
    gate = Gate()
    async with lanes(gate) as made:
        made.kick("a")
        await asyncio.sleep(0)
        for _ in range(5):
            made.kick("a")
        gate.open.set()
        await made.settle("a")
        assert gate.runs == {"a": 2}
        made.kick("a")
        await made.settle("a")
        assert gate.runs == {"a": 3}


async def test_keys_do_not_wait_for_each_other() -> None:
    gate = Gate()
    async with lanes(gate) as made:
        for key in "abc":
            made.kick(key)
        await asyncio.sleep(0)
        assert gate.inside == {"a", "b", "c"}
        gate.open.set()
        for key in "abc":
            await made.settle(key)


async def test_limit_holds_and_nobody_starves() -> None:
    gate = Gate()
    async with lanes(gate, limit=2) as made:
        for key in "abcde":
            made.kick(key)
            made.kick(key)
        await asyncio.sleep(0)
        assert len(gate.inside) == 2
        gate.open.set()
        for key in "abcde":
            await made.settle(key)
    assert gate.most == 2
    # The second kick of those who were still waiting for a place had nothing to add.
    assert gate.runs == dict.fromkeys("abcde", 1) | {"a": 1, "b": 1}


async def test_an_error_stays_with_its_key() -> None:
    errors: list[tuple[str, str]] = []
    runs: Counter[str] = Counter()

    async def work(key: str) -> None:
        runs[key] += 1
        if key == "bad":
            made.kick("bad") if runs[key] == 1 else None
            raise ValueError(f"run {runs[key]}")

    async with lanes(work, lambda key, error: errors.append((key, str(error)))) as made:
        made.kick("bad")
        made.kick("good")
        await made.settle("bad")
        await made.settle("good")
    assert errors == [("bad", "run 1"), ("bad", "run 2")]
    assert runs["good"] == 1


async def test_a_cancellation_inside_the_work_is_an_error_of_the_work() -> None:
    errors: list[Exception] = []

    async def work(key: str) -> None:
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    async with lanes(work, lambda _key, error: errors.append(error)) as made:
        made.kick("a")
        await made.settle("a")
    assert len(errors) == 1


async def test_an_error_of_the_error_handler_takes_the_service_with_it() -> None:
    async def work(key: str) -> None:
        raise ValueError("x")

    with pytest.raises(ServiceCrashed, match="lanes has crashed: ValueError: x"):
        async with lanes(work) as made:
            made.kick("a")
            await asyncio.Event().wait()


async def test_later_kicks_come_in_time_and_the_earliest_wins() -> None:
    loop = asyncio.get_running_loop()
    ran: asyncio.Queue[float] = asyncio.Queue()

    async def work(key: str) -> None:
        ran.put_nowait(loop.time())

    async with lanes(work) as made:
        begun = loop.time()
        made.kick_later("a", 3600)
        made.kick_later("a", 0.02)
        made.kick_later("a", 1800)
        assert await ran.get() - begun >= 0.02
        await made.settle("a")
        assert ran.empty()
        made.kick_later("a", 0)
        await ran.get()


async def test_a_key_is_idle_when_nothing_runs_or_waits_for_it() -> None:
    gate = Gate()
    async with lanes(gate) as under_test:
        assert under_test.idle("a")
        under_test.kick("a")
        assert not under_test.idle("a") and under_test.idle("b")
        gate.open.set()
        await under_test.settle("a")
        assert under_test.idle("a")
        under_test.kick_later("a", 1_000)
        assert not under_test.idle("a")


async def test_a_kick_leaves_the_later_one_waiting() -> None:
    ran: asyncio.Queue[str] = asyncio.Queue()

    async def work(key: str) -> None:
        ran.put_nowait(key)

    async with lanes(work) as made:
        made.kick_later("a", 0.02)
        made.kick("a")
        assert [await ran.get(), await ran.get()] == ["a", "a"]


async def test_the_end_cancels_work_and_timers_and_later_kicks_do_nothing() -> None:
    gate = Gate()
    broken: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: broken.append(context))
    async with lanes(gate) as made:
        made.kick("running")
        await asyncio.sleep(0)
        made.kick("starting")
        made.kick_later("timer", 0.001)
    assert gate.inside == set()
    made.kick("late")
    made.kick_later("late", 0)
    for key in ("running", "starting", "timer", "late"):
        await asyncio.wait_for(made.settle(key), 5)
    # Longer than the timer had to go.
    await asyncio.sleep(0.01)
    assert broken == []
    assert gate.runs == {"running": 1, "starting": 1}
