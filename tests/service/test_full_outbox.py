"""A channel that takes nothing for long: what was written for it is kept, and nobody is asked for ever more."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any, Final

import pytest

from agent.protocol import room
from agent.protocol.snapshot import Bounds
from bot import control_client
from bot.db.accounts import Accounts
from bot.posting import BEHIND
from bot.salvage import DAMAGED, KEPT
from tests.fakes.hostile import insert, message_row
from tests.fakes.platform import TIMEOUT_SECONDS
from tests.service.conftest import House
from tests.service.test_accounts import books

ASKED: Final = ("one", "two", "three")
ANSWERS: Final = [f"You said: {text}" for text in ASKED]


async def unheard(house: House) -> None:
    """Three have been answered, and nobody was there to hear it. No runner lives."""
    house.platform.absent.add("p1")
    for number, text in enumerate(ASKED, start=1):
        await house.platform.say(text)
        await house.until(lambda: house.states() == {"done": number})  # noqa: B023 - waited for at once
    await house.app.containers.stop(house.session_id())


def write_more(house: House, count: int, **columns: Any) -> None:
    """So many rows more that an agent has written for the same place."""
    with closing(sqlite3.connect(house.workspace().outbound, isolation_level=None)) as db:
        db.execute("BEGIN")
        insert(db, rows(house, count, columns))
        db.execute("COMMIT")


def rows(house: House, count: int, columns: dict[str, Any]) -> Iterable[dict[str, Any]]:
    first = house.query("SELECT max(last_in_seq, last_out_seq) AS seq FROM sessions")[0]["seq"] * 2 + 101
    for number in range(count):
        place = {"channel": "fake", "platform_id": "p1", "turn_id": None}
        yield message_row(first + 2 * number, **{**place, **columns})


def letters(house: House) -> list[sqlite3.Row]:
    return house.query("SELECT * FROM dead_letters ORDER BY seq")


@pytest.mark.parametrize("too_much", ["rows", "bytes", "torn"])
async def test_what_reads_well_of_an_outbox_that_is_put_aside_is_kept(house: House, too_much: str) -> None:
    house.delivery["max_attempts"] = 2
    async with house.open() as p:
        await unheard(house)
        match too_much:
            case "rows":
                write_more(house, Bounds().messages)
            case "bytes":
                write_more(house, 40, content='{"text": "' + "x" * 2_000_000 + '"}')
            case "torn":
                journal = house.workspace().outbound.with_name("outbound.db-journal")
                journal.mkdir()
        await p.come("p1")
        await p.until(
            lambda: any(text.startswith(DAMAGED) for text in p.texts()), seconds=2 * TIMEOUT_SECONDS
        )
        kept = letters(house)
        assert KEPT.format(count=len(kept)) in p.texts()[0]
        assert len(kept) >= len(ASKED) and {row["state"] for row in kept} == {"kept"}
        assert books(house) == Accounts(accepted=3, delivered=0, failed=0, dead=3, open=0)
        for letter in kept[: len(ASKED)]:
            await control_client.ask(house.data / "control.sock", ["deadletter", "replay", letter["id"]])
        await p.until(lambda: p.texts()[-3:] == ANSWERS)
        await house.until(lambda: books(house) == Accounts(3, 3, 0, 0, 0))
        await p.say("four")
        await p.until(lambda: p.texts()[-1] == "You said: four")


async def test_a_reply_on_its_way_is_not_kept_as_well(house: House) -> None:
    async with house.open() as p:
        p.block("p1")
        await p.say("one")
        await p.until(lambda: len(p.tried) == 1)
        await house.app.containers.stop(house.session_id())
        session = house.app.sessions.loaded(house.session_id())
        assert session is not None
        write_more(house, Bounds().messages)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            # On a busy machine it takes longer than a look may, and the lane, which would look again, is blocked.
            while session.damage is None:
                async with session.lock:
                    await house.app.delivery.collect(session)
        p.free("p1")
        await p.until(lambda: any(text.startswith(DAMAGED) for text in p.texts()))
        assert p.texts().count("You said: one") == 1
        assert books(house) == Accounts(1, 1, 0, 0, 0)
        assert "You said: one" not in "".join(str(row["content"]) for row in letters(house))


async def test_nobody_is_woken_for_more_while_much_waits(house: House) -> None:
    async with house.open() as p:
        await unheard(house)
        write_more(house, room.ASKED_ROWS)
        house.app.delivery.kick(house.session_id())
        session = house.app.sessions.loaded(house.session_id())
        await house.until(lambda: session is not None and session.behind)
        await p.say("four")
        await house.until(lambda: bool(house.query("SELECT 1 FROM notices WHERE text = ?", BEHIND)))
        await p.say("five")
        await house.app.posting.settle(house.session_id())
        assert house.runners() == []
        assert len(house.query("SELECT 1 FROM notices")) == 1
    async with house.open() as p:
        await house.until(lambda: house.app.sessions.loaded(house.session_id()) is not None)
        await house.app.posting.settle(house.session_id())
        assert house.runners() == []
        await p.come("p1")
        await p.until(lambda: any("You said: five" in text for text in p.texts()))
        assert p.texts()[:3] == ANSWERS and p.texts().count(BEHIND) == 1
        await house.until_quiet()
    assert [row["tries"] for row in house.query("SELECT tries FROM inbox")] == [0] * 5


async def test_an_agent_waits_for_the_host_to_catch_up(house: House) -> None:
    many = room.WRITTEN_ROWS + 20
    tool = {"do": "tool", "name": "send_message", "arguments": {"text": "note"}}
    house.script({"match": "many", "steps": [*[tool] * many, {"do": "result", "text": "done"}]})
    house.platform.absent.add("p1")
    async with house.open() as p:
        await p.say("many")
        await house.until(lambda: house.states() == {"done": 1})
        with closing(sqlite3.connect(house.workspace().outbound)) as db:
            (count,) = db.execute("SELECT count(*) FROM messages_out").fetchone()
        assert count == room.WRITTEN_ROWS + 1
        await p.say("next")
        await house.until(lambda: house.states() == {"done": 1, "posted": 1})
        await p.come("p1")
        await p.until(lambda: "You said: next" in p.texts(), seconds=120)
        assert p.texts().count("note") == room.WRITTEN_ROWS and p.texts().count("done") == 1
        await house.until(lambda: books(house) == Accounts(2, 2, 0, 0, 0))
