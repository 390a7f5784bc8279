"""A backend that fails, and a disk that does: nobody is blamed for it, and the service goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from typing import Any

import pytest

from agent.protocol.mailbox import AgentEnd
from bot import starting, turns
from bot.delivery import MAX_RECOVERIES
from bot.errors import DatabaseError, ServiceCrashed
from bot.posting import NOT_STARTED
from bot.salvage import DAMAGED
from bot.turns import GAVE_UP
from container.base import BackendError, BackendUnavailable, Exit, Running
from container.process import ProcessBackend
from tests.fakes.backend import FakeBackend, Process
from tests.service.conftest import House


class Moody(ProcessBackend):
    """Fails now and then: `moods` holds what the next calls of a method raise, None being success."""

    def __init__(self, house: House) -> None:
        super().__init__(house.data / "run", "roost")
        self.moods: dict[str, list[Exception | None]] = {}

    def _feel(self, method: str) -> None:
        moods = self.moods.get(method)
        if moods and (mood := moods.pop(0)) is not None:
            raise mood

    async def stop(self, name: str, *, grace_seconds: float) -> None:
        self._feel("stop")
        await super().stop(name, grace_seconds=grace_seconds)

    async def wait(self, name: str) -> Exit:
        self._feel("wait")
        return await super().wait(name)

    async def running(self) -> list[Running]:
        self._feel("running")
        return await super().running()


async def test_an_agent_that_cannot_be_started_is_given_up_visibly(house: House) -> None:
    backend = FakeBackend()
    backend.failures += [BackendError("no such image") for _ in range(5)]
    async with house.open(backend=backend) as p:
        await p.say("one")
        assert await p.replies(1) == [NOT_STARTED.format(tries=5)]
        (end,) = await p.ends(1)
        assert not end.ok and not backend.started
        await p.say("two")
        await house.until(lambda: len(backend.started) == 1)
    assert house.states() == {"failed": 1, "posted": 1}


async def test_a_start_that_fails_in_a_way_nobody_foresaw_is_given_up_visibly(house: House) -> None:
    backend = FakeBackend()
    backend.failures += [OverflowError("Python int too large to convert to C long") for _ in range(5)]
    async with house.open(backend=backend) as p:
        await p.say("one")
        assert await p.replies(1) == [NOT_STARTED.format(tries=5)]
    assert house.states() == {"failed": 1}


@pytest.mark.parametrize(
    ("times", "trouble"),
    [(starting.ASKED_AT_MOST, BackendUnavailable("the engine is down")), (1, BackendError("no rights"))],
)
async def test_a_backend_that_is_not_there_ends_the_start_in_one_sentence(
    house: House, monkeypatch: pytest.MonkeyPatch, times: int, trouble: BackendError
) -> None:
    monkeypatch.setattr(starting, "AGAIN_SECONDS", 0.0)
    backend = Moody(house)
    backend.moods["running"] = [trouble] * times
    with pytest.raises(ServiceCrashed, match=str(trouble)):
        async with house.open(backend=backend):
            raise AssertionError("it started")


async def test_a_backend_that_is_slow_at_first_is_asked_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "AGAIN_SECONDS", 0.0)
    backend = Moody(house)
    backend.moods["running"] = [BackendUnavailable("the engine is slow")] * (starting.ASKED_AT_MOST - 1)
    async with house.open(backend=backend) as p:
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]


async def test_a_runner_that_cannot_be_watched_for_a_moment_is_not_given_up(house: House) -> None:
    house.script(
        {"match": "slow", "steps": [{"do": "stall", "seconds": 1}, {"do": "result", "text": "slowly"}]}
    )
    backend = Moody(house)
    backend.moods["wait"] = [BackendUnavailable("the engine restarts")]
    backend.moods["running"] = [None, BackendUnavailable("the engine restarts")]
    async with house.open(backend=backend) as p:
        await p.say("slow")
        assert await p.replies(1) == ["slowly"]
        await house.until_quiet()
        assert len(house.runners()) == 1
        assert [row["tries"] for row in house.query("SELECT tries FROM inbox")] == [0]
        # It is watched again by now, or soon.
        os.kill(house.runner(), signal.SIGKILL)
        await house.until(lambda: house.app.containers.of(house.session_id()) is None)
    await backend.aclose()


async def test_the_end_of_a_runner_is_dealt_with_when_the_disk_is_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, refused = turns.again, asyncio.Event()

    def full_once(db: sqlite3.Connection, *args: Any) -> None:
        if not refused.is_set():
            refused.set()
            raise DatabaseError("bot.db could not be written: the disk is full.")
        write(db, *args)

    monkeypatch.setattr(turns, "again", full_once)
    house.script({"match": "crash", "steps": [{"do": "kill"}]})
    house.turns["max_tries"] = 2
    async with house.open() as p:
        await p.say("crash")
        (end,) = await p.ends(1)
        assert not end.ok and refused.is_set()
        await p.say("next")
        assert (await p.replies(2))[1] == "You said: next"


async def test_a_session_that_cannot_be_stopped_is_tried_again(house: House) -> None:
    house.backend["runner_idle_seconds"] = 0.4
    backend = Moody(house)
    backend.moods["stop"] = [BackendError("not now"), BackendError("not now")]
    async with house.open(backend=backend) as p:
        await p.say("one")
        await p.ends(1)
        await house.until(lambda: not house.runners())
        await p.say("two")
        assert (await p.replies(2))[1] == "You said: two"
    await backend.aclose()


async def test_a_journal_that_no_agent_ever_rolls_back_counts_as_damage(house: House) -> None:
    async def breaks(process: Process) -> int:
        return 1

    backend = FakeBackend(default=breaks)
    house.turns["max_tries"] = 1
    async with house.open(backend=backend) as p:
        await p.say("one")
        await p.ends(1)
        AgentEnd(house.workspace()).close()
        house.workspace().outbound.with_name("outbound.db-journal").write_bytes(b"hot" * 200)
        await p.say("two")
        await p.until(lambda: DAMAGED in p.texts())
        assert p.texts()[:2] == [GAVE_UP.format(tries=1)] * 2
        assert len(backend.started) == 2 + MAX_RECOVERIES
        assert (house.folder() / "damaged").exists()
