"""The warm pool, with real containers."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path
from typing import Final

import pytest

from agent.protocol import failpoint
from agent.protocol.clock import now_ms
from bot.backup.create import make
from bot.backup.restore import restore, verify
from bot.config_tables import BackupConfig
from bot.db.pool import POOL
from tests.fakes.piped import piped
from tests.service.conftest import House

BACKENDS = ("docker",)
BOUNDS: Final = BackupConfig().bounds


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


async def test_one_that_was_taken_when_the_service_was_killed_is_somebodys(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(failpoint.VARIABLE, "inbox-committed")
    async with piped(house) as service:
        awake = "SELECT id FROM sessions WHERE channel = ? AND awake = 1"
        await house.until(lambda: bool(house.query(awake, POOL) and house.containers.living()))
        ((waiting,),) = house.query(awake, POOL)
        assert service.process.stdin is not None
        service.process.stdin.write(b'["p1", "hello"]\n')
        assert await service.process.wait() == -signal.SIGKILL
    monkeypatch.delenv(failpoint.VARIABLE)
    before = container(house, waiting)
    async with house.open() as p:
        assert await p.replies(1) == ["You said: hello"]
        await p.ends(1)
        assert house.session_id() == waiting
        assert container(house, waiting) == before, "it was adopted, and not taken for one of the pool"
        assert await ready(house) != waiting
        assert p.texts() == ["You said: hello"]
    assert {row["tries"] for row in house.query("SELECT tries FROM inbox")} == {0}


async def test_what_was_in_the_pool_when_a_backup_was_made_is_not_used(house: House, tmp_path: Path) -> None:
    async with house.open() as p:
        await p.say("hello", place="p2")
        await p.ends(1, place="p2")
        old = await ready(house)
        stop = threading.Event()
        made = await asyncio.to_thread(make, house.data, tmp_path / "kept", BOUNDS, now=now_ms(), stop=stop)
    verify(made.path, BOUNDS)
    house.kill_runners()
    restore(
        made.path,
        house.data,
        BOUNDS,
        replace=True,
        keep=tmp_path / "kept",
        stop_runners=lambda: None,
        now=now_ms(),
    )
    async with house.open() as p:
        assert await ready(house) != old
        await house.until(lambda: not house.query("SELECT 1 FROM sessions WHERE id = ?", old))
        await house.until(lambda: not (house.data / "sessions" / old).exists())
        await p.say("and now", place="p2")
        assert (await p.replies(2, place="p2"))[1] == "You said: and now"
    assert {row["tries"] for row in house.query("SELECT tries FROM inbox")} == {0}


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
