"""A service with thousands of conversations, nearly all of them asleep: what a sweep costs it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from agent.protocol.clock import now_ms
from agent.protocol.mailbox import HostEnd
from bot.app import App
from bot.db.engine import open_database
from bot.folder import FOLDER_MODES
from tests.bench.person import Room
from tests.bench.service import open_service
from tests.bench.stalls import watching
from tests.bench.throughput import listen
from tests.fakes.backend import FakeBackend

SESSIONS: Final = 5000
WAITING: Final = 30
"""Those with a message that waits for its next try, which keeps them loaded."""
AWAKE: Final = 20
"""Those with a container; each is at work on a message."""
SWEEPS: Final = 50
STALL_ROUNDS: Final = 5
AN_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True)
class Swept:
    """In milliseconds."""

    rounds: list[float]
    stall_max: float


async def sweep(data: Path) -> Swept:
    """A whole round after the other, and the longest that one of them held the loop. Raises RoostError."""
    await _fill(data)
    async with open_service(data, FakeBackend(default=listen)) as (app, room):
        await asyncio.gather(*(room.say(f"awake-{number}", "hello") for number in range(AWAKE)))
        while len([*app.sessions]) < WAITING + AWAKE:  # noqa: ASYNC110  # nobody rings when one is loaded
            await asyncio.sleep(0.05)
        await app.sweep.round()
        stalls, rounds = [], []
        for _ in range(STALL_ROUNDS):
            async with watching() as stall:
                rounds += [await _timed(app) for _ in range(SWEEPS // STALL_ROUNDS)]
            stalls.append(stall.longest_ms)
        return Swept(rounds, round(median(stalls), 2))


async def _timed(app: App) -> float:
    began = time.perf_counter()
    await app.sweep.round()
    took = (time.perf_counter() - began) * 1000
    await asyncio.sleep(0.01)
    return took


async def _fill(data: Path) -> None:
    await open_database(data / "bot.db").close()
    ids = [f"{number:010x}" for number in range(SESSIONS - AWAKE)]
    await asyncio.to_thread(_make_folders, data / "sessions", ids)
    now = now_ms()
    with closing(sqlite3.connect(data / "bot.db")) as db, db:
        db.executemany(
            "INSERT INTO sessions (id, agent, channel, platform_id, created_at, last_active, last_in_seq)"
            " VALUES (?1, 'assistant', ?2, ?1, ?3, ?3, 2)",
            [(session_id, Room.name, now) for session_id in ids],
        )
        rows = [
            (session_id, "posted" if number < WAITING else "done", now, now + AN_HOUR_MS)
            for number, session_id in enumerate(ids)
        ]
        db.executemany(
            "INSERT INTO inbox (id, event_id, session, seq, kind, trigger, state, created_at, accepted_at, tries,"
            " process_after, channel, platform_id, content) VALUES (?1, ?1, ?1, 2, 'chat', 1, ?2, ?3, ?3, 1, ?4,"
            """ 'bench', ?1, '{"sender": "Ada", "text": "hello"}')""",
            rows,
        )


def _make_folders(folder: Path, session_ids: list[str]) -> None:
    for session_id in session_ids:
        for name in FOLDER_MODES:
            (folder / session_id / name).mkdir(parents=True, exist_ok=True)
    template = folder / session_ids[0] / "in" / "inbound.db"
    HostEnd(template).close()
    for session_id in session_ids[1:]:
        (folder / session_id / "in" / "inbound.db").write_bytes(template.read_bytes())
