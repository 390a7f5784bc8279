"""The whole service in front of an engine that is away or hangs: nothing is lost, nobody is blamed, and no restart is
needed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from bot import posting
from container import docker
from tests.contracts.test_docker_faults import LAG_SECONDS, lag_of_the_loop
from tests.fakes.engine_proxy import EngineProxy
from tests.fakes.platform import FakePlatform
from tests.service.conftest import House

BACKENDS = ("docker",)

CANNOT: Final = "I cannot start right now: "
START_SECONDS: Final = 1.0
AGAIN_SECONDS: Final = 0.5
STOP_SECONDS: Final = 10.0
LEAVE_SECONDS: Final = 60.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds in earnest; a start may take a minute, and is tried again after five."""
    monkeypatch.setattr(docker, "START_SECONDS", START_SECONDS)
    monkeypatch.setattr(posting, "NOT_NOW_SECONDS", AGAIN_SECONDS)


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch, house: House) -> AsyncIterator[EngineProxy]:
    house.containers.living()  # which looks past the proxy
    async with EngineProxy() as proxy:
        monkeypatch.setenv("DOCKER_HOST", proxy.url)
        yield proxy


async def test_a_message_waits_for_an_engine_that_is_down(house: House, proxy: EngineProxy) -> None:
    async with house.open() as p:
        await p.say("zero", place="p2")
        await p.ends(1, place="p2")
        await proxy.go()
        await p.say("one")
        (told,) = await p.replies(1)
        assert told.startswith(f"{CANNOT}Docker does not answer: its engine may not be running."), told
        await p.say("two")
        await asyncio.sleep(3 * AGAIN_SECONDS)
        assert p.texts() == [told], "it is said once"
        assert p.settled() == []
        await proxy.come()
        await p.ends(2)
        assert p.texts()[1:] in (["You said: one\nYou said: two"], ["You said: one", "You said: two"])
        await p.say("three", place="p2")
        assert (await p.replies(2, place="p2"))[1] == "You said: three", "who had a container kept it"
    assert {row["tries"] for row in house.query("SELECT tries FROM inbox")} == {0}
    assert house.states() == {"done": 4}


async def test_a_hung_engine_keeps_neither_the_loop_nor_the_stop(house: House, proxy: EngineProxy) -> None:
    async with stopped_within(house, STOP_SECONDS) as p:
        await p.say("zero", place="p2")
        await p.ends(1, place="p2")
        proxy.hang()
        async with lag_of_the_loop() as late:
            await p.say("one")
            (told,) = await p.replies(1)
            assert told.startswith(CANNOT)
            await p.say("two", place="p2")
            assert (await p.replies(2, place="p2"))[1] == "You said: two", (
                "a container needs no engine to answer"
            )
        assert max(late) < LAG_SECONDS
    proxy.go_on()
    async with house.open() as p:
        assert (await p.replies(2))[1] == "You said: one"
    assert {row["tries"] for row in house.query("SELECT tries FROM inbox")} == {0}


async def test_a_container_that_ended_while_the_engine_was_away_is_woken_again(
    house: House, proxy: EngineProxy
) -> None:
    house.script(
        {"match": "slow", "steps": [{"do": "stall", "seconds": 1}, {"do": "result", "text": "slowly"}]}
    )
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        before = house.runner_name()
        await proxy.go()
        await asyncio.to_thread(house.kill)
        await proxy.come()
        assert await p.replies(1) == ["slowly"]
        await p.ends(1)
        assert house.runner_name() == before, "another container by the same name"
    (row,) = house.query("SELECT tries FROM inbox WHERE trigger = 1")
    assert row["tries"] == 1


async def test_an_empty_pool_is_a_line_of_the_log_and_no_traceback(
    house: House, proxy: EngineProxy, caplog: pytest.LogCaptureFixture
) -> None:
    house.pool = {"size": 1}
    async with house.open() as p:
        await proxy.go()
        await p.say("one")
        await house.until(lambda: "no container can be had ready: Docker does not answer" in caplog.text)
    assert "'exc_info': BackendUnavailable" not in caplog.text


async def test_whoever_leaves_the_terminal_while_the_engine_is_away_is_told_what_is_left(
    house: House, proxy: EngineProxy
) -> None:
    settings = {"SERVICE__DATA_DIR": str(house.data), "BACKEND__KIND": "docker", "POOL__SIZE": "0"}
    service = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "roost",
        "run",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **{f"ROOST_{name}": value for name, value in settings.items()}},
    )
    assert service.stdin is not None and service.stdout is not None
    service.stdin.write(b"hello\n")
    async with asyncio.timeout(LEAVE_SECONDS):
        assert await service.stdout.readline() == b"You said: hello\n"
        await proxy.go()
        service.stdin.close()
        _, errors = await service.communicate()
    assert service.returncode == 0
    assert errors.decode().splitlines()[1:] == [
        "roost: What agents run in could not be ended (1): Docker does not answer: its engine may not be running."
        " The next `roost run` with this data folder takes it over."
    ]
    assert len(house.containers.living()) == 1


@asynccontextmanager
async def stopped_within(house: House, seconds: float) -> AsyncIterator[FakePlatform]:
    """The service, which has to leave in time at the end of the block."""
    async with house.open() as p:
        yield p
        began = time.monotonic()
    assert time.monotonic() - began < seconds


async def test_a_paused_container_is_woken_when_the_engine_is_back(house: House, proxy: EngineProxy) -> None:
    house.backend["runner_pause_seconds"] = 0.2
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        await house.until(lambda: paused(house))
        before = house.runner()
        await proxy.go()
        await p.say("two")
        assert (await p.replies(2))[1].startswith(CANNOT)
        await proxy.come()
        assert (await p.replies(3))[2] == "You said: two"
        assert house.runner() == before, "the same one"
    assert {row["tries"] for row in house.query("SELECT tries FROM inbox")} == {0}


async def test_a_pause_of_which_nobody_was_told_ends_with_the_next_message(
    house: House, proxy: EngineProxy
) -> None:
    house.backend["runner_pause_seconds"] = 0.2
    async with house.open() as p:
        await p.say("one")
        proxy.lose_answer("/pause")
        await p.ends(1)
        await house.until(lambda: paused(house))
        await p.say("two")
        assert (await p.replies(2))[1] == "You said: two"
    assert {row["tries"] for row in house.query("SELECT tries FROM inbox")} == {0}


async def test_a_service_is_patient_with_an_engine_that_is_slow_at_first(
    house: House, proxy: EngineProxy
) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
    before = house.runner()
    proxy.lose_answer("/containers/json")
    async with house.open() as p:
        await p.say("two")
        assert (await p.replies(2))[1] == "You said: two"
        assert house.runner() == before, "it was adopted"


def paused(house: House) -> bool:
    return [each["State"] for each in house.containers.living()] == ["paused"]
