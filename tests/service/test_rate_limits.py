"""Places that ask for patience, or have much to swallow: who waits for them, and who does not."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from adapters.base import Part, SendFailed
from agent.protocol.messages import Route
from bot.db import sessions
from bot.db.engine import open_database
from tests.fakes.hostile import message_row, write_outbound
from tests.fakes.platform import FakePlatform
from tests.service.conftest import House

BACKENDS = ("process", "docker")

THREADS: Final = ("t1", "t2", "t3")
PAUSE_SECONDS: Final = 0.6
STUCK: Final = 20
ROWS: Final = 500
"""In each of the stuck conversations."""


class Watched(FakePlatform):
    """Notes when each part came, on the loop's clock."""

    def __init__(self, name: str = "fake") -> None:
        super().__init__(name)
        self.times: list[tuple[Route, float]] = []

    async def send(self, part: Part) -> str | None:
        self.times.append((part.outgoing.route, asyncio.get_running_loop().time()))
        return await super().send(part)

    def tries(self, place: str) -> list[float]:
        return [at for route, at in self.times if route.platform_id == place]


@pytest.fixture
def platform(house: House) -> Watched:
    watched = Watched()
    house.platform = watched
    return watched


def limited(*, everywhere: bool = False) -> SendFailed:
    return SendFailed("too many", retry_after=PAUSE_SECONDS, everywhere=everywhere)


async def test_all_conversations_of_a_place_wait_and_one_attempt_pays(
    house: House, platform: Watched
) -> None:
    async with house.open() as p:
        p.block("p1")
        for thread in THREADS:
            await p.say("one", thread=thread)
        await p.until(lambda: len(p.tried) == len(THREADS))
        p.failures += [limited() for _ in THREADS]
        refused_at = asyncio.get_running_loop().time()
        p.free("p1")
        await house.until(lambda: bool(house.query("SELECT 1 FROM deliveries WHERE state = 'waiting'")))
        # Somebody who comes later waits as well, without having to be told; somewhere else nobody does.
        await p.say("late", thread="t4")
        await p.say("one", place="p2")
        await p.replies(1, place="p2")
        await p.until(lambda: len(p.sent) == 5)
        again = platform.tries("p1")[len(THREADS) :]
        assert len(again) == 4 and min(again) >= refused_at + PAUSE_SECONDS
        assert p.texts("p1", "t4") == ["You said: late"]
    # An attempt that counts is told in the trace of its message.
    assert sum(row["marks"].count(", attempt 1: ") for row in house.query("SELECT marks FROM traces")) == 1


async def test_a_platform_that_means_all_of_it_is_left_alone_and_no_other(
    house: House, platform: Watched
) -> None:
    other = FakePlatform("other")
    async with house.open(other) as p:
        for place in ("p1", "p2"):
            await p.say("hello", place=place)
            await p.replies(1, place=place)
        p.failures += [limited(everywhere=True)]
        await p.say("one")
        await house.until(lambda: bool(house.query("SELECT 1 FROM deliveries WHERE state = 'waiting'")))
        refused_at = platform.tries("p1")[-1]
        await p.say("two", place="p2")
        await other.say("three")
        assert await other.replies(1) == ["You said: three"]
        assert (await p.replies(2, place="p2"))[1] == "You said: two"
        assert (await p.replies(2))[1] == "You said: one"
        assert platform.tries("p2")[-1] >= refused_at + PAUSE_SECONDS


@pytest.mark.only("process", "it writes what an agent would say itself; no runner takes part")
async def test_ten_thousand_replies_for_a_place_that_hangs_hold_up_nobody(
    house: House, platform: Watched
) -> None:
    await _queue(house)
    platform.block("stuck")
    async with house.open() as p:
        await p.until(lambda: len(platform.tries("stuck")) == STUCK)
        for number in range(1, 4):
            await p.say(str(number), place="p2")
            assert (await p.replies(number, place="p2"))[-1] == f"You said: {number}"
            await p.ends(number, place="p2")
        # Each conversation has one part on its way and no more.
        assert len(platform.tries("stuck")) == STUCK
        p.absent.add("stuck")
        p.free("stuck")
        await house.until(lambda: len(platform.tries("stuck")) >= STUCK)
    assert not house.query("SELECT 1 FROM deliveries WHERE session != ?", house.session_id("p2"))


async def _queue(house: House) -> None:
    """What conversations have written while nobody delivered it."""
    house.data.mkdir(parents=True)
    db = open_database(house.data / "bot.db")
    try:
        for number in range(STUCK):
            route = Route(channel="fake", platform_id="stuck", thread_id=f"t{number}")
            record = await db.write(lambda db, route=route: sessions.resolve(db, "assistant", route, 1))  # type: ignore[misc]
            await db.write(lambda db, made=record.id: sessions.set_awake(db, made, True))  # type: ignore[misc]
            outbox = house.data / "sessions" / record.id / "out"
            outbox.mkdir(parents=True)
            rows = (message_row(seq, **route.model_dump()) for seq in range(1, 2 * ROWS, 2))
            write_outbound(outbox, rows)
    finally:
        await db.close()
