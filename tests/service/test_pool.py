"""The warm pool, with real containers."""

from __future__ import annotations

import asyncio

import pytest

from bot.db.pool import POOL
from tests.service.conftest import House

BACKENDS = ("docker",)


@pytest.fixture(autouse=True)
def _pool(house: House) -> None:
    house.pool = {"size": 1}


async def ready(house: House, agent: str = "assistant") -> str:
    """The session that waits in the pool for the agent, when its runner has said that it is there."""

    def found() -> list[str]:
        sessions = [each.session for each in house.app.containers if each.bell.connected]
        return [session.id for session in sessions if session.pooled and session.agent == agent]

    await house.until(lambda: bool(found()))
    return found()[0]


def pooled(house: House) -> list[str]:
    """The agents of the sessions that wait in the pool."""
    return sorted(each.session.agent for each in house.app.containers if each.session.pooled)


def container(house: House, session_id: str) -> str:
    """The id of the session's living container."""
    (found,) = (each for each in house.containers.living() if each["Names"][0].endswith(session_id))
    return str(found["Id"])


async def test_a_new_conversation_takes_a_container_that_is_there(house: House) -> None:
    async with house.open() as p:
        waiting = await ready(house)
        before = container(house, waiting)
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]
        assert house.session_id() == waiting
        assert container(house, waiting) == before, "nothing was started for it"
        await p.say("and again")
        assert await p.replies(2) == ["You said: hello", "You said: and again"]
        assert await ready(house) != waiting, "the next one is there again"


async def test_two_who_come_at_once_do_not_get_the_same(house: House) -> None:
    async with house.open() as p:
        await ready(house)
        await asyncio.gather(p.say("hello", place="p1"), p.say("hello", place="p2"))
        assert await p.replies(1, place="p1") == await p.replies(1, place="p2") == ["You said: hello"]
        assert house.session_id("p1") != house.session_id("p2")


async def test_one_that_has_died_is_woken_like_any_other(house: House) -> None:
    async with house.open() as p:
        waiting = await ready(house)
        house.containers.kill(container(house, waiting))
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]


async def test_one_that_has_died_and_is_noticed_makes_way_for_another(house: House) -> None:
    async with house.open() as p:
        waiting = await ready(house)
        house.containers.kill(container(house, waiting))
        await house.until(lambda: house.app.containers.of(waiting) is None)
        assert await ready(house) != waiting
        await house.until(lambda: not (house.data / "sessions" / waiting).exists())
        assert not house.query("SELECT 1 FROM sessions WHERE id = ?", waiting), "nothing of it is kept"
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]


async def test_what_an_earlier_service_has_left_is_not_used(house: House) -> None:
    async with house.open():
        old = await ready(house)
    house.agent["assistant_name"] = "Another"
    async with house.open() as p:
        new = await ready(house)
        assert new != old
        await house.until(lambda: not (house.data / "sessions" / old).exists())
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]
    assert house.session_id() == new
    assert not house.query("SELECT 1 FROM sessions WHERE id = ?", old)


async def test_the_pool_leaves_the_last_place_to_people(house: House) -> None:
    house.backend["max_awake"] = 2
    async with house.open() as p:
        await ready(house)
        await asyncio.gather(*(p.say("hello", place=f"p{number}") for number in range(4)))
        for number in range(4):
            assert await p.replies(1, place=f"p{number}") == ["You said: hello"]
        assert len(house.containers.living()) <= 2


async def test_every_agent_has_its_own(house: House) -> None:
    house.agents = {"assistant": house.agent, "other": dict(house.agent)}
    async with house.open() as p:
        await house.until(lambda: pooled(house) == ["assistant", "other"])
        waiting = await ready(house, "assistant")
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]
        assert house.session_id() == waiting, "not that of the other one"
        await house.until(lambda: pooled(house) == ["assistant", "other"])


async def test_a_pool_that_is_closed_is_empty_and_stays_so(house: House) -> None:
    async with house.open():
        await ready(house)
        await house.app.pool.close()
        assert house.containers.living() == []
        assert not house.query("SELECT 1 FROM sessions WHERE channel = ?", POOL)
        assert list((house.data / "sessions").iterdir()) == []
