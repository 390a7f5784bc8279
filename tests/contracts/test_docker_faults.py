"""An engine that is away, hangs, is slow or loses an answer, and what the Docker backend makes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final

import pytest

from container import docker
from container.base import BackendError, BackendUnavailable, Exit, Spec
from container.docker import DockerBackend
from tests.contracts import backend_contract as contract
from tests.contracts.backend_contract import EXIT_7, SLEEP, eventually, soon
from tests.contracts.test_docker_backend import gone
from tests.fakes.engine import Namespace
from tests.fakes.engine_proxy import EngineProxy

pytestmark = pytest.mark.docker

CALL_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.3
TICK_SECONDS: Final = 0.02
LAG_SECONDS: Final = 0.5
"""On two cores that others use too; what blocked would do so for as long as a call may take."""
STOP_SECONDS: Final = 5.0


@pytest.fixture
async def proxy() -> AsyncIterator[EngineProxy]:
    async with EngineProxy() as proxy:
        yield proxy


@pytest.fixture
async def backend(
    containers: Namespace, proxy: EngineProxy, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DockerBackend]:
    monkeypatch.setattr(docker, "START_SECONDS", CALL_SECONDS)
    monkeypatch.setattr(docker, "KILL_SECONDS", CALL_SECONDS)
    made = DockerBackend(
        containers.name, {"DOCKER_HOST": proxy.url}, call_seconds=CALL_SECONDS, look_seconds=LOOK_SECONDS
    )
    async with aclosing(made):
        yield made


@asynccontextmanager
async def lag_of_the_loop() -> AsyncIterator[list[float]]:
    """How late the event loop was each time, in seconds."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            late.append(time.monotonic() - began - TICK_SECONDS)

    ticking = asyncio.create_task(tick(), name="tick")
    try:
        yield late
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


async def test_an_engine_that_is_away_is_so_for_now(
    backend: DockerBackend, proxy: EngineProxy, docker_spec: Callable[..., Spec]
) -> None:
    await proxy.go()
    for call in (
        backend.start(docker_spec(SLEEP)),
        backend.running(),
        backend.stop("one", grace_seconds=1),
        backend.freeze("one", frozen=True),
        backend.wait("one"),
    ):
        with pytest.raises(BackendUnavailable, match="Docker does not answer"):
            await soon(call)
    await proxy.come()
    await soon(backend.start(docker_spec(EXIT_7)))
    assert await soon(backend.wait("one")) == Exit(7)


async def test_an_engine_that_hangs_holds_up_nobody(
    backend: DockerBackend, proxy: EngineProxy, docker_spec: Callable[..., Spec]
) -> None:
    await soon(backend.start(docker_spec(SLEEP)))
    proxy.hang()
    async with lag_of_the_loop() as late:
        calls = [backend.start(docker_spec(SLEEP, f"n{number}")) for number in range(12)]
        calls += [backend.freeze("one", frozen=True), backend.stop("one", grace_seconds=0)]
        began = time.monotonic()
        results = await soon(asyncio.gather(*calls, return_exceptions=True))
        assert [type(result) for result in results] == [BackendUnavailable] * 14
        assert time.monotonic() - began < 3 * CALL_SECONDS + 1
    assert len(late) > CALL_SECONDS / TICK_SECONDS / 4, "it ticks on"
    assert max(late) < LAG_SECONDS
    proxy.go_on()
    await eventually(lambda: runs(backend, ["one"]), lambda: "one goes on, and nothing else runs")


async def test_a_service_can_leave_an_engine_that_hangs(
    containers: Namespace, proxy: EngineProxy, docker_spec: Callable[..., Spec]
) -> None:
    backend = DockerBackend(containers.name, {"DOCKER_HOST": proxy.url}, call_seconds=CALL_SECONDS)
    await soon(backend.start(docker_spec(SLEEP)))
    waiting = asyncio.create_task(backend.wait("one"))
    await asyncio.sleep(0)
    proxy.hang()
    began = time.monotonic()
    await backend.aclose()
    assert time.monotonic() - began < STOP_SECONDS
    with pytest.raises(BackendError):
        await soon(waiting)
    assert [each["State"] for each in containers.living()] == ["running"], "it goes on without us"


@pytest.mark.parametrize("step", ["/start", "/create"])
async def test_a_start_that_came_about_though_nobody_was_told_is_removed(
    backend: DockerBackend,
    proxy: EngineProxy,
    docker_spec: Callable[..., Spec],
    containers: Namespace,
    step: str,
) -> None:
    proxy.lose_answer(step)
    with pytest.raises(BackendUnavailable):
        await soon(backend.start(docker_spec(SLEEP)))
    await eventually(lambda: gone(containers), containers.told)
    assert await backend.running() == []
    await soon(backend.start(docker_spec(EXIT_7)))
    assert await soon(backend.wait("one")) == Exit(7)


async def test_a_start_that_came_about_late_can_be_made_again_at_once(
    backend: DockerBackend, proxy: EngineProxy, docker_spec: Callable[..., Spec], containers: Namespace
) -> None:
    proxy.lose_answer("/start")
    with pytest.raises(BackendUnavailable):
        await soon(backend.start(docker_spec(SLEEP)))
    await soon(backend.start(docker_spec(EXIT_7)))
    assert await soon(backend.wait("one")) == Exit(7)
    await eventually(lambda: gone(containers), containers.told)


async def test_a_look_that_is_answered_late_ends_nobody_who_has_begun_since(
    containers: Namespace,
    proxy: EngineProxy,
    docker_spec: Callable[..., Spec],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the engine was asked it was made and not begun, which is what one looks like that nobody needs."""
    monkeypatch.setattr(docker, "START_SECONDS", contract.SECONDS)
    made = DockerBackend(
        containers.name,
        {"DOCKER_HOST": proxy.url},
        call_seconds=contract.SECONDS,
        look_seconds=LOOK_SECONDS,
    )
    async with aclosing(made) as backend:
        begin = proxy.hold_request("/start")
        starting = asyncio.create_task(backend.start(docker_spec(SLEEP)))
        await soon(begin.here.wait())
        listed = proxy.hold_answer("/containers/json")
        await soon(listed.here.wait())
        begin.passed_on.set()
        await soon(starting)
        listed.passed_on.set()
        again = proxy.hold_answer("/containers/json")
        again.passed_on.set()
        await soon(again.here.wait())
        assert await runs(backend, ["one"])
        assert [each["State"] for each in containers.living()] == ["running"]


async def test_an_end_while_the_engine_was_away_is_found(
    backend: DockerBackend, proxy: EngineProxy, docker_spec: Callable[..., Spec], containers: Namespace
) -> None:
    await soon(backend.start(docker_spec(SLEEP)))
    waiting = asyncio.create_task(backend.wait("one"))
    await proxy.go()
    await asyncio.to_thread(containers.kill, "one")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 2 * LOOK_SECONDS)
    await proxy.come()
    assert await soon(waiting) == Exit(137)
    await eventually(lambda: gone(containers), containers.told)


async def test_waiting_goes_on_through_an_outage(
    backend: DockerBackend, proxy: EngineProxy, docker_spec: Callable[..., Spec], containers: Namespace
) -> None:
    await soon(backend.start(docker_spec(SLEEP)))
    waiting = asyncio.create_task(backend.wait("one"))
    for fail in (proxy.go, proxy.cut):
        await fail()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 2 * LOOK_SECONDS)
        if fail == proxy.go:
            await proxy.come()
        await eventually(lambda: runs(backend, ["one"]), lambda: "one is seen again")
    await asyncio.to_thread(containers.kill, "one")
    assert await soon(waiting) == Exit(137)


async def test_a_slow_engine_does_all_the_same(
    backend: DockerBackend, proxy: EngineProxy, docker_spec: Callable[..., Spec]
) -> None:
    proxy.delay_seconds = CALL_SECONDS / 4
    await soon(backend.start(docker_spec(EXIT_7)))
    assert await soon(backend.wait("one")) == Exit(7)


async def runs(backend: DockerBackend, names: list[str]) -> bool:
    try:
        return [program.name for program in await backend.running()] == names
    except BackendUnavailable:
        return False
