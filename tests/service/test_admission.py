"""More sessions than places: who waits comes in, is told so, and loses nothing by it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.base import Working
from bot.admission import STARTS_AT_ONCE
from bot.posting import NOT_STARTED
from bot.turns import STOPPED
from bot.usher import BEHIND, NEXT
from container.base import BackendError
from tests.fakes.backend import FakeBackend
from tests.fakes.platform import FakePlatform
from tests.service.conftest import House

SLOW = {"match": "slow", "steps": [{"do": "stall", "seconds": 600}]}


def awake(house: House) -> int:
    return len(list(house.app.containers))


def progress(p: FakePlatform, place: str) -> list[str]:
    return [
        update.progress
        for update in p.updates
        if isinstance(update, Working) and update.route.platform_id == place and update.progress
    ]


def tries(house: House) -> set[int]:
    return {row["tries"] for row in house.query("SELECT tries FROM inbox")}


async def test_an_idle_runner_makes_room_and_the_longest_idle_one_first(house: House) -> None:
    house.backend["max_awake"] = 2
    async with house.open() as p:
        for place, count in (("p1", 1), ("p2", 1), ("p1", 2)):
            await p.say("hello", place=place)
            await p.ends(count, place=place)
        stays = house.runner("p1")
        await p.say("hello", place="p3")
        await p.replies(1, place="p3")
        assert awake(house) == 2 and house.app.containers.of(house.session_id("p2")) is None
        assert house.runner("p1") == stays
        # Whoever had to go comes back.
        await p.say("again", place="p2")
        assert (await p.replies(2, place="p2"))[1] == "You said: again"
    assert tries(house) == {0}


async def test_a_crowd_in_one_channel_does_not_hold_up_the_single_one_of_another(house: House) -> None:
    house.backend["max_awake"] = 1
    async with house.open() as p:
        for number in range(5):
            await p.say("hello", place="crowd", thread=f"t{number}")
        await p.say("hello", place="quiet")
        await p.until(lambda: len(p.sent) == 6)
        order = [part.outgoing.route.platform_id for part in p.sent]
        assert "quiet" in order[:3] and awake(house) == 1
    assert tries(house) == {0}


@asynccontextmanager
async def chatter(p: FakePlatform, place: str) -> AsyncIterator[None]:
    """Somebody who is never quiet."""

    async def talk() -> None:
        while True:
            await p.say("more", place=place)
            await asyncio.sleep(0.02)

    talking = asyncio.create_task(talk())
    try:
        yield
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


async def test_a_runner_that_is_never_idle_gives_way_after_its_share(house: House) -> None:
    house.backend |= {"max_awake": 1, "turn_share_seconds": 0.2}
    house.script(
        {"match": "more", "steps": [{"do": "stall", "seconds": 0.1}, {"do": "result", "text": "ok"}]}
    )
    async with house.open() as p:
        async with chatter(p, "loud"):
            await p.replies(1, place="loud")
            await p.say("hello", place="quiet")
            assert await p.replies(1, place="quiet") == ["You said: hello"]
            answered = len(p.texts("loud"))
            await p.until(lambda: len(p.texts("loud")) > answered)
        await house.until_quiet("loud")
    assert tries(house) == {0} and set(house.states()) == {"done"}


async def test_who_does_not_leave_when_asked_is_ended(house: House) -> None:
    """The one that is asked has its ears shut: it goes on to what came after."""
    house.backend |= {"max_awake": 1, "turn_share_seconds": 0.2}
    house.script(
        {"match": "more", "steps": [{"do": "stall", "seconds": 0.1}, {"do": "result", "text": "ok"}]}
    )
    async with house.open() as p:
        async with chatter(p, "loud"):
            await p.replies(1, place="loud")
            runner = house.app.containers.of(house.session_id("loud"))
            assert runner is not None
            # Nothing was said to it, and it is held to have been told.
            runner.leave_by = runner.session.newest_in_seq
            await p.say("hello", place="quiet")
            await p.replies(1, place="quiet")
        await house.until_quiet("loud")
    assert tries(house) == {0} and set(house.states()) == {"done"}


async def test_waiting_is_seen_and_can_be_stopped_and_uses_up_no_try(house: House) -> None:
    house.backend["max_awake"] = 1
    house.script(SLOW)
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        for place in ("p2", "p3"):
            await p.say("hello", place=place)
        await p.until(lambda: progress(p, "p3") == [BEHIND.format(ahead=1)])
        assert progress(p, "p2") == [NEXT]
        assert house.app.containers.state(house.session_id("p2")) == "waiting"
        assert not house.folder("p2").exists(), "nothing is done for whoever waits"
        assert house.app.context.metrics.snapshot()["roost_waiting_sessions"] == 2
        assert await p.interrupt(place="p2")
        assert await p.replies(1, place="p2") == [STOPPED]
        await p.until(lambda: progress(p, "p3")[-1] == NEXT)
        await p.interrupt()
        assert await p.replies(1, place="p3") == ["You said: hello"]
        await p.until(lambda: not p.working())
        assert house.app.context.admission.waiting == 0
    assert tries(house) == {0}


async def test_a_conversation_that_waits_can_be_cleared(house: House) -> None:
    house.backend["max_awake"] = 1
    house.script(SLOW)
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        await p.say("hello", place="p2")
        await house.until(lambda: house.app.context.admission.waiting == 1)
        await house.app.context.operations.clear(house.session_id("p2"))
        await p.interrupt()
        assert await p.replies(1, place="p2") == ["You said: hello"]
        unfinished = "SELECT 1 FROM inbox WHERE state IN ('accepted', 'posted')"
        await house.until(lambda: not house.query(unfinished))


async def test_a_service_that_waited_for_places_goes_on_waiting(house: House) -> None:
    house.backend["max_awake"] = 1
    house.script(
        {"match": "slow", "steps": [{"do": "stall", "seconds": 1}, {"do": "result", "text": "done"}]}
    )
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        await p.say("hello", place="p2")
        await house.until(lambda: house.app.context.admission.waiting == 1)
    async with house.open() as p:
        assert await p.replies(1, place="p2") == ["You said: hello"]
        assert p.texts() == ["done"]
    assert tries(house) == {0}


async def test_after_an_adoption_beyond_the_limit_nothing_starts_until_below(house: House) -> None:
    async with house.open() as p:
        for place in ("p1", "p2", "p3"):
            await p.say("hello", place=place)
            await p.ends(1, place=place)
    house.backend["max_awake"] = 1
    async with house.open() as p:
        assert house.app.context.admission.held == 3
        await p.say("hello", place="p4")
        await p.replies(1, place="p4")
        assert awake(house) == 1 and house.app.context.admission.held == 1


async def test_no_place_is_lost_by_starts_that_fail_and_runners_that_die(house: House) -> None:
    house.backend["max_awake"] = 1
    house.script({"match": "die", "steps": [{"do": "kill"}]})
    house.turns["max_tries"] = 2
    async with house.open() as p:
        await p.say("die")
        (end,) = await p.ends(1)
        assert not end.ok
        await p.say("hello", place="p2")
        await p.ends(1, place="p2")
        os.kill(house.runner("p2"), signal.SIGKILL)
        await house.until(lambda: awake(house) == 0)
        assert house.app.context.admission.held == 0
        await p.say("hello", place="p3")
        assert await p.replies(1, place="p3") == ["You said: hello"]


async def test_a_backend_that_fails_keeps_no_place_and_nobody_awake(house: House) -> None:
    house.backend |= {"max_awake": 1, "runner_idle_seconds": 0.2}
    backend = FakeBackend()
    backend.failures += [BackendError("no such image") for _ in range(5)]
    async with house.open(backend=backend) as p:
        await p.say("one")
        assert await p.replies(1) == [NOT_STARTED.format(tries=5)]
        await house.until(lambda: house.app.context.admission.held == 0)
        await house.until(lambda: not house.query("SELECT 1 FROM sessions WHERE awake = 1"))
        await p.say("two", place="p2")
        await house.until(lambda: len(backend.started) == 1)


async def test_only_so_many_start_at_once(house: House) -> None:
    backend = FakeBackend()
    async with house.open(backend=backend) as p:
        for number in range(STARTS_AT_ONCE + 2):
            await p.say("hello", place=f"p{number}")
        await house.until(
            lambda: len(backend.started) >= STARTS_AT_ONCE and house.app.context.admission.waiting == 2
        )
        assert len(backend.started) == STARTS_AT_ONCE
        await backend.kill(backend.started[0].name)
        await house.until(lambda: len(backend.started) > STARTS_AT_ONCE)
