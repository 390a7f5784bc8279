"""The accounts while replies wait: nothing counts as delivered that nobody was sent."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Final

import pytest

from adapters.base import SendFailed
from adapters.terminal import wire
from adapters.terminal.seat import Seat
from bot.db.accounts import Accounts, accounts
from tests.fakes.platform import PART_CHARS, TIMEOUT_SECONDS
from tests.service.conftest import House

BACKENDS = ("process", "docker")

LONG: Final = "x" * PART_CHARS + "y"
LONG_SCRIPT: Final = {"match": "long", "steps": [{"do": "result", "text": LONG}]}


def books(house: House) -> Accounts:
    with closing(sqlite3.connect(house.data / "bot.db")) as db:
        return accounts(db)


def one_is(account: str) -> Accounts:
    return Accounts(**{"accepted": 1, "delivered": 0, "failed": 0, "dead": 0, "open": 0, account: 1})


async def test_a_reply_for_which_nobody_is_there_is_open_until_somebody_is(house: House) -> None:
    house.platform.absent.add("p1")
    async with house.open() as p:
        await p.say("hello")
        await house.until(lambda: house.states() == {"done": 1})
        assert books(house) == one_is("open")
    assert books(house) == one_is("open")
    async with house.open() as p:
        assert books(house) == one_is("open")
        await p.come("p1")
        assert await p.replies(1) == ["You said: hello"]
        await house.until(lambda: books(house) == one_is("delivered"))
    assert len(p.texts()) == 1


async def test_a_reply_at_a_shut_gate_is_open(house: House) -> None:
    house.platform.failures.append(SendFailed("too many", retry_after=600))
    async with house.open() as p:
        await p.say("pays for it", thread="t1")
        await p.until(lambda: len(p.tried) == 1)
        await p.say("waits", thread="t2")
        await house.until(lambda: house.states() == {"done": 2})
        assert books(house) == Accounts(2, 0, 0, 0, 2)


async def test_a_reply_of_which_the_rest_waits_is_open(house: House) -> None:
    house.script(LONG_SCRIPT)
    house.platform.failures += [None, SendFailed("too many", retry_after=600)]
    async with house.open() as p:
        await p.say("long")
        await p.until(lambda: len(p.tried) == 2)
        await house.until(lambda: house.states() == {"done": 1})
        assert books(house) == one_is("open")


@pytest.mark.parametrize("how", ["row", "file"])
async def test_a_reply_that_is_taken_away_before_it_is_sent_has_failed(house: House, how: str) -> None:
    house.platform.absent.add("p1")
    async with house.open() as p:
        await p.say("hello")
        await house.until(lambda: house.states() == {"done": 1})
        await house.app.containers.stop(house.session_id())
        if how == "file":
            house.workspace().outbound.unlink()
        else:
            with closing(sqlite3.connect(house.workspace().outbound, isolation_level=None)) as db:
                db.execute("DELETE FROM messages_out")
        await p.come("p1")
        await house.until(lambda: books(house) == one_is("failed"))
    assert p.texts() == []


async def shown(seat: Seat) -> str:
    """The next reply at a seat."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not isinstance(frame := await seat.next(), wire.Shown):
            assert frame is not None
        return frame.text


async def test_a_once_seat_gets_its_answer_and_leaves_the_others_to_whom_they_are_for(house: House) -> None:
    async with house.open():
        first = house.app.terminal.sit(once=True)
        await first.handle(wire.Say(id="1", text="first"))
        first.close()
        await house.until(lambda: house.states() == {"done": 1})
        second = house.app.terminal.sit(once=True)
        await second.handle(wire.Say(id="1", text="second"))
        assert await shown(second) == "You said: second"
        await house.until(lambda: books(house) == Accounts(2, 1, 0, 0, 1))
    async with house.open():
        assert await shown(house.app.terminal.sit()) == "You said: first"
        await house.until(lambda: books(house) == Accounts(2, 2, 0, 0, 0))
