"""What a sweep costs and finds where there are many sessions, most of them asleep."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.protocol.clock import now_ms
from agent.protocol.workspace import Workspace
from bot import leftovers, orphans
from bot.admission import STARTS_AT_ONCE
from bot.db import deliveries
from bot.folder import FOLDER_MODES
from bot.specs import SESSION_LABEL
from container.base import BackendError, Spec
from container.process import ProcessBackend
from tests.fakes.backend import FakeBackend, Process
from tests.fakes.platform import refusal
from tests.service.conftest import House

MANY = 200
LOOK_SECONDS = 0.02


class _Watch:
    """Notes which files Python opens. An audit hook cannot be taken away again, so there is one for all tests."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if self.seen is not None and event in {"open", "sqlite3.connect"}:
            self.seen.append(str(args[0]))


@pytest.fixture(scope="module")
def watch() -> _Watch:
    return _Watch()


@contextmanager
def watched(watch: _Watch) -> Iterator[list[str]]:
    seen: list[str] = []
    watch.seen = seen
    try:
        yield seen
    finally:
        watch.seen = None


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orphans are looked for all the time."""
    monkeypatch.setattr(orphans, "LOOK_SECONDS", LOOK_SECONDS)


def sleepers(house: House, count: int, *, place: str = "asleep") -> list[str]:
    """Sessions with a row and a folder, as they are left when nobody talks to them any more."""
    ids = [f"{number:010x}" for number in range(count)]
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        db.executemany(
            "INSERT INTO sessions (id, agent, channel, platform_id, thread_id, created_at, last_active)"
            " VALUES (?1, 'assistant', 'fake', ?2, ?1, ?3, ?3)",
            # Of today: for older ones a backup is made at once, which does open their files.
            [(session_id, place, now_ms()) for session_id in ids],
        )
    for session_id in ids:
        for name in FOLDER_MODES:
            (house.data / "sessions" / session_id / name).mkdir(parents=True, exist_ok=True)
    return ids


def unfinished(house: House, session_ids: list[str], *, apart: bool = False) -> None:
    """Each has one message that nobody has answered yet; `apart`: each in a place of its own."""
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        db.executemany(
            "INSERT INTO inbox (id, event_id, session, seq, kind, trigger, state, created_at, accepted_at, channel,"
            " platform_id, thread_id, content) VALUES (?1, ?1, ?1, 2, 'chat', 1, 'accepted', 1, 1, 'fake', 'asleep',"
            """ ?1, '{"sender": "Ada", "text": "hello"}')""",
            [(session_id,) for session_id in session_ids],
        )
        db.execute("UPDATE sessions SET last_in_seq = 2")
        if apart:
            db.execute("UPDATE sessions SET platform_id = id")


async def made(house: House) -> None:
    """The data folder, as the first start makes it."""
    async with house.open():
        pass


# ---------------------------------------------------------------- what it costs


async def test_files_of_sessions_that_are_asleep_are_never_opened(
    house: House, often: None, watch: _Watch
) -> None:
    await made(house)
    asleep = set(sleepers(house, MANY))
    with watched(watch) as seen:
        async with house.open() as p:
            await p.say("hello", place="awake")
            await p.ends(1, place="awake")
            for _ in range(3):
                await house.app.sweep.round()
            await asyncio.sleep(3 * LOOK_SECONDS)
    opened = {part for path in seen for part in Path(path).parts}
    assert house.session_id("awake") in opened, "the watch sees what is opened"
    assert not opened & asleep


async def test_many_sessions_are_let_go_at_once(house: House) -> None:
    await made(house)
    ids = sleepers(house, MANY, place="crowd")
    async with house.open() as p:
        await p.come("crowd")
        await house.until(lambda: len([*house.app.sessions]) == MANY)
        with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
            db.execute("UPDATE sessions SET awake = 1")

        async def all_gone() -> None:
            while [*house.app.sessions]:
                await house.app.sweep.round()

        await asyncio.wait_for(all_gone(), 30)
        assert house.query("SELECT id FROM sessions WHERE awake = 1") == []
        assert all(house.app.sessions.loaded(session_id) is None for session_id in ids)


class _StopsLate(FakeBackend):
    """Stops nothing before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.may = asyncio.Event()

    async def stop(self, name: str, *, grace_seconds: float) -> None:
        self.asked.set()
        await self.may.wait()
        await super().stop(name, grace_seconds=grace_seconds)


async def test_a_container_that_is_slow_to_stop_holds_up_nobody(house: House) -> None:
    house.turns |= {"heartbeat_stale_seconds": 0.05, "max_tries": 1}
    backend = _StopsLate()
    async with house.open(backend=backend) as p:
        await p.say("hello")
        await asyncio.wait_for(backend.asked.wait(), 10)
        for _ in range(3):
            await asyncio.wait_for(house.app.sweep.round(), 10)
        assert backend.engine.alive()
        backend.may.set()
        await p.replies(1)
        assert not backend.engine.alive()


# ---------------------------------------------------------------- what it finds


async def test_a_folder_that_no_session_knows_is_moved_aside(house: House) -> None:
    await made(house)
    (known,) = sleepers(house, 1)
    stray = house.data / "sessions" / "deadbeef00" / "work"
    stray.mkdir(parents=True)
    (stray / "notes.txt").write_text("mine")
    async with house.open():
        await house.until(lambda: not stray.exists())
    (kept,) = (house.data / "aside").iterdir()
    assert kept.name.startswith("deadbeef00-")
    assert (kept / "work" / "notes.txt").read_text() == "mine"
    assert (house.data / "sessions" / known).is_dir()


async def test_a_container_of_a_session_that_is_asleep_is_stopped_whenever_it_appears(
    house: House, often: None
) -> None:
    await made(house)
    (asleep,) = sleepers(house, 1)
    backend = FakeBackend()
    async with house.open(backend=backend):
        for session_id in (asleep, "nobody"):
            await backend.start(
                Spec(
                    name=f"roost-late-{session_id}",
                    command=["agent"],
                    env={},
                    workdir=house.data,
                    log=house.data / "log",
                    labels={SESSION_LABEL: session_id},
                )
            )
        await house.until(lambda: not backend.engine.alive())


class _TimesOut(ProcessBackend):
    """The first start is given up, and comes about all the same."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "roost")
        self.starts = 0

    async def start(self, spec: Spec) -> None:
        self.starts += 1
        await super().start(spec)
        if self.starts == 1:
            raise BackendError("no answer in time")


async def test_a_container_whose_start_was_given_up_is_taken_over(house: House, often: None) -> None:
    house.turns = {"retry_base_seconds": 0.5}
    backend = _TimesOut(house.data / "run")
    async with house.open(backend=backend) as p:
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]
        assert house.app.containers.of(house.session_id()) is not None
    assert backend.starts == 1
    await backend.aclose()


async def test_a_session_that_was_left_awake_without_a_container_falls_asleep(
    house: House, often: None
) -> None:
    await made(house)
    (left,) = sleepers(house, 1)
    bell = house.data / "sessions" / left / "bell" / "bell.sock"
    with socket.socket(socket.AF_UNIX) as nobody_listens:
        nobody_listens.bind(str(bell))
    async with house.open():
        with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
            db.execute("UPDATE sessions SET awake = 1")
        await house.until(lambda: not bell.exists())
        while house.query("SELECT id FROM sessions WHERE awake = 1"):
            await house.app.sweep.round()
            await asyncio.sleep(LOOK_SECONDS)


# ---------------------------------------------------------------- what waits for its time


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_reply_that_waits_for_its_next_try_is_not_forgotten(house: House, restarted: bool) -> None:
    house.platform.failures = [refusal(retry_after=0.5)]
    async with house.open() as p:
        await p.say("hello")
        await house.until(lambda: bool(house.query("SELECT 1 FROM deliveries WHERE state = 'waiting'")))
        await house.app.containers.stop(house.session_id())
        for _ in range(5):
            await house.app.sweep.round()
        assert house.app.sessions.loaded(house.session_id()) is not None
        if not restarted:
            assert await p.replies(1) == ["You said: hello"]
    async with house.open() as p:
        await house.app.sweep.round()
        assert await p.replies(1) == ["You said: hello"]


# ---------------------------------------------------------------- after a long downtime


async def _listens(process: Process) -> int:
    """A runner that connects counts as started, and the next one's turn has come."""
    _, writer = await asyncio.open_unix_connection(Workspace.on_host(process.spec.workdir.parent).bell)
    try:
        await process.asked.wait()
    finally:
        writer.close()
    return 0


class _Slow(FakeBackend):
    """Starts nothing before it may."""

    def __init__(self) -> None:
        super().__init__(default=_listens)
        self.begun: list[str] = []
        self.may = asyncio.Event()

    async def start(self, spec: Spec) -> None:
        self.begun.append(spec.labels[SESSION_LABEL])
        await self.may.wait()
        await super().start(spec)


async def test_what_was_left_undone_is_begun_a_little_at_a_time_and_a_new_message_passes_it(
    house: House,
) -> None:
    house.backend = {"max_awake": 2 * MANY, "stop_grace_seconds": 0}
    await made(house)
    left = sleepers(house, MANY)
    unfinished(house, left, apart=True)
    backend = _Slow()
    line = leftovers.AT_ONCE + STARTS_AT_ONCE
    async with house.open(backend=backend) as p:
        await house.until(lambda: len(backend.begun) == STARTS_AT_ONCE and len([*house.app.sessions]) >= line)
        assert (await p.say("now", place="new")).state == "accepted"
        new = house.session_id("new")
        await house.until(lambda: house.app.sessions.loaded(new) is not None)
        assert len([*house.app.sessions]) <= line + leftovers.AT_ONCE + 1
        backend.may.set()
        await house.until(lambda: new in backend.begun)
        assert backend.begun.index(new) <= line + leftovers.AT_ONCE
        await house.until(lambda: len(backend.begun) == MANY + 1)
    assert set(backend.begun) == {*left, new}


async def test_channels_that_hang_do_not_hold_up_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "PATIENCE_SECONDS", 0.05)
    await made(house)
    left = sleepers(house, 3 * leftovers.AT_ONCE)
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        for session_id in left:
            route = house.platform.route(session_id)
            deliveries.add_notice(db, session_id, route, "Sorry.", now=1)
    hanging, others = left[: leftovers.AT_ONCE], left[leftovers.AT_ONCE :]
    for place in hanging:
        house.platform.block(place)
    async with house.open() as p:
        for place in others:
            assert await p.replies(1, place=place) == ["Sorry."]
        for place in hanging:
            assert p.texts(place) == []
            p.free(place)
        for place in hanging:
            assert await p.replies(1, place=place) == ["Sorry."]
