"""Without a bell host and agent find each other all the same, only later."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.protocol import bell, snapshot
from bot.polling import SELDOM_SECONDS, Polling
from tests.fakes.hostile import insert, message_row
from tests.service.conftest import House


async def test_a_message_is_answered_where_no_socket_can_be_had(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cannot_listen(self: bell.BellHost) -> None:
        """As on a mount that holds no sockets: nobody can connect."""

    monkeypatch.setattr(bell.BellHost, "listen", cannot_listen)
    async with house.open() as p:
        await p.say("one")
        assert await p.replies(1) == ["You said: one"]
        await p.say("two")
        assert await p.replies(2) == ["You said: one", "You said: two"]
        runner = next(iter(house.app.containers))
        assert not runner.bell.connected


async def test_a_runner_that_rests_is_looked_at_seldom_and_only_when_it_has_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        containers, delivery = house.app.containers, house.app.delivery
        polling = Polling(containers, delivery)
        kicked: list[str] = []
        kick = delivery.kick

        def noted(session_id: str) -> None:
            kicked.append(session_id)
            kick(session_id)

        monkeypatch.setattr(delivery, "kick", noted)
        await house.until(lambda: next(iter(containers)).session.oldest() is None)
        now = asyncio.get_running_loop().time()
        for minute in range(10):
            await polling.round(now + minute * SELDOM_SECONDS)
        assert len(kicked) == 1, "what was never looked at may have been written at any time"
        # A row of which no bell has told.
        (seq,) = house.query("SELECT last_out_seq FROM sessions")[0]
        with closing(sqlite3.connect(house.workspace().outbound, isolation_level=None)) as db:
            insert(db, [message_row(seq + 2, channel="fake", platform_id="p1")])
        await polling.round(now + 11 * SELDOM_SECONDS)
        assert (await p.replies(2))[1] == f"text {seq + 2}"


async def test_two_looks_at_one_outbox_are_taken_one_after_the_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[int] = []
    running = 0
    read = snapshot.read

    def counted(outbox: Path, **how: Any) -> snapshot.Snapshot:
        nonlocal running
        running += 1
        at_once.append(running)
        time.sleep(0.01)
        try:
            return read(outbox, **how)
        finally:
            running -= 1

    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        session = house.app.sessions.loaded(house.session_id())
        assert session is not None
        monkeypatch.setattr(snapshot, "read", counted)
        await asyncio.gather(*(session.snapshot() for _ in range(4)))
    assert max(at_once) == 1 and len(at_once) >= 4
