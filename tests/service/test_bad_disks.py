"""Disks without room: nothing that was acknowledged is lost, people are told, others go on, and so does everything
once there is room again."""

from __future__ import annotations

import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot import log
from bot.intake import NOT_SAVED
from bot.posting import NO_ROOM as WAITS_FOR_ROOM
from bot.turns import NO_ROOM
from tests.fakes.disks import small_disk
from tests.service.conftest import House
from tests.service.test_backup import roost

SLOW = {"match": "slow", "steps": [{"do": "stall", "seconds": 1}, {"do": "result", "text": "slowly"}]}


def lines(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(f"'event': '{text}" in record.getMessage() for record in caplog.records)


def answered(house: House) -> list[str]:
    """The messages m0, m1, ... that replies are about. What could be sent and not be recorded is sent again under
    the same id, by which a platform knows it."""
    texts = {(part.outgoing.id, part.index): part.text for part in house.platform.sent}
    return [word for text in texts.values() for word in re.findall(r"\bm\d+\b", text)]


# -------------------------------------------------------------------- the service's own


async def test_a_full_disk_refuses_and_goes_on_by_itself(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.script(SLOW)
    with small_disk(house.data, kib=8192) as disk:
        async with house.open() as p:
            await p.say("one")
            await p.ends(1)
            await p.say("slow")
            await p.at_work()
            disk.fill()
            receipts = [await p.say(f"lost {number}") for number in range(50)]
            assert {(receipt.state, receipt.text) for receipt in receipts} == {("refused", NOT_SAVED)}
            assert disk.is_full
            code, said, _ = await roost(house, "status")
            assert code == 0 and "answered" in said
            code, _, wrong = await roost(house, "backup", "create", check=False)
            assert code == 1 and wrong.count("\n") == 1
            # The turn under way ends in the middle of it.
            await house.until(lambda: lines(caplog, "the end of a container could not be dealt with") > 0)
            disk.free()
            await p.ends(2)
            assert (await p.say("after")).state == "accepted"
            await p.ends(3)
            assert p.texts() == ["You said: one", "slowly", "You said: after"]
            await house.until_quiet()
        assert house.states() == {"done": 3}
        with closing(sqlite3.connect(house.data / "bot.db")) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert lines(caplog, "bot.db could not be written") == 1
    assert lines(caplog, "an event was not saved") == 1
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) < 12


async def test_a_service_that_starts_on_a_full_disk_says_so_in_one_sentence(house: House) -> None:
    with small_disk(house.data, kib=1024) as disk:
        disk.fill()
        code, said, wrong = await roost(house, "run", check=False)
        assert (code, said) == (1, "") and wrong.count("\n") == 1 and str(house.data) in wrong


async def test_what_was_accepted_before_the_disk_was_full_is_answered_once(house: House) -> None:
    house.turns["retry_base_seconds"] = 0.2
    with small_disk(house.data, kib=8192) as disk:
        async with house.open() as p:
            await p.say("one")
            await p.ends(1)
            for number in range(20):
                await p.say(f"m{number}", place=f"p{number % 4}")
            disk.fill()
            # A database may have room of its own for one row more.
            taken = (await p.say("refused")).state == "accepted"
        # It was stopped, too, while there was no room.
        disk.free()
        async with house.open() as p:
            for place in range(4):
                await house.until_quiet(f"p{place}")
            await p.until(lambda: len(answered(house)) >= 20)
        assert sorted(answered(house)) == sorted(f"m{number}" for number in range(20))
        assert house.states() == {"done": 21 + taken}


# -------------------------------------------------------------------- one session's


@pytest.mark.parametrize("full", ["out", "in"])
async def test_a_full_session_is_said_and_works_again(
    house: House, caplog: pytest.LogCaptureFixture, full: str
) -> None:
    house.turns |= {"max_tries": 3}
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        await house.app.containers.stop(house.session_id())
        with small_disk(house.folder() / full, kib=1024) as disk:
            await p.say("two")
            await p.until(lambda: "You said: two" in p.texts())
            disk.fill()
            await p.say("three")
            await p.until(lambda: p.texts()[-1] in (NO_ROOM, WAITS_FOR_ROOM))
            await p.say("elsewhere", place="p2")
            assert await p.replies(1, place="p2") == ["You said: elsewhere"]
            if full == "in":
                await p.say("four")
                await house.until(lambda: lines(caplog, "posting waits") > 0)
            disk.free()
            await p.say("five")
            await p.until(lambda: "You said: five" in p.texts()[-1])
            await house.until_quiet()
            kept = " ".join(p.texts())
            assert ("three" in kept) == (full == "in") and kept.count("disk of this conversation") == 1
            assert house.states() == ({"done": 6} if full == "in" else {"done": 4, "failed": 1})
            await house.app.containers.stop(house.session_id())
            with closing(sqlite3.connect(house.workspace().inbound)) as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# -------------------------------------------------------------------- the log's


def test_a_log_that_cannot_be_written_is_said_once_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "logs", kib=64) as disk:
        log.setup("INFO", "json", file=disk.root / "roost.log")
        try:
            logger = log.get("test")
            logger.info("before")
            disk.fill()
            for number in range(500):
                logger.info("lost", number=number, text="x" * 1000)
            assert capsys.readouterr().err == ("roost: the log cannot be written: No space left on device\n")
            disk.free()
            logger.info("after")
            assert "after" in (disk.root / "roost.log").read_text()
            disk.fill()
            logger.info("at the end")
        finally:
            log.close()
