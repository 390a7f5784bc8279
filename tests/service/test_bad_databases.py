"""Databases that are not what was written: bits flip, power fails, and an old copy comes back."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from agent.protocol.mailbox import HostEnd, MailboxError
from agent.protocol.mailbox.inbound_reader import InboundReader
from bot.db import engine, people
from bot.db.engine import open_database
from bot.errors import UnreadableDatabase
from bot.posting import LOST
from bot.salvage import DAMAGED
from tests.fakes.damage import DAMAGES, PAGE, damage
from tests.fakes.mailroom import Rows
from tests.fakes.platform import TIMEOUT_SECONDS
from tests.service.conftest import House
from tests.service.test_backup import roost

SEED = 3
DIES_IN_COMMIT = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 2")
db.execute("BEGIN IMMEDIATE")
for number in range(100):
    db.execute(sys.argv[2], (f"key{number}", "x" * 4000))
os.kill(os.getpid(), signal.SIGKILL)
"""
IN_OUTBOUND = "INSERT INTO session_state VALUES (?, ?, 1)"
IN_INBOUND = "INSERT INTO schedules VALUES (?, ?, NULL, NULL, 'active', NULL)"


async def talk(house: House, places: Sequence[str], *, rounds: int = 6) -> None:
    """A conversation in each place, and all of them asleep."""
    said = [(place, number) for place in places for number in range(rounds)]
    await asyncio.gather(*(house.platform.say(f"before {number}", place=place) for place, number in said))
    await asyncio.gather(*(house.platform.ends(rounds, place=place) for place in places))
    await house.until(lambda: not house.query("SELECT 1 FROM sessions WHERE awake = 1"))


async def answered(house: House, place: str, text: str) -> None:
    """Says something, and gets the right answer, whatever else is said about it."""
    p = house.platform
    before = len(p.texts(place))
    await p.say(text, place=place)
    await p.until(lambda: f"You said: {text}" in p.texts(place))
    said = set(p.texts(place)[before:])
    assert said <= {DAMAGED, f"You said: {text}"}, (place, said)


def die_in_commit(path: Path, statement: str) -> Path:
    """Leaves a hot journal, which is returned."""
    subprocess.run([sys.executable, "-c", DIES_IN_COMMIT, path, statement], check=False)
    journal = path.with_name(f"{path.name}-journal")
    assert journal.stat().st_size > PAGE
    return journal


# -------------------------------------------------------------------- a session's


@pytest.mark.parametrize("which", ["inbound", "outbound"])
async def test_a_session_that_sleeps_over_damage_answers_rightly(house: House, which: str) -> None:
    house.backend["runner_idle_seconds"] = 0.4
    async with house.open() as p:
        await talk(house, [*DAMAGES, "journal"])
        for kind in DAMAGES:
            damage(getattr(house.workspace(kind), which), kind, SEED)
        workspace = house.workspace("journal")
        if which == "inbound":
            damage(die_in_commit(workspace.inbound, IN_INBOUND), "flip_anywhere", SEED)
        else:
            damage(die_in_commit(workspace.outbound, IN_OUTBOUND), "flip_anywhere", SEED)
        await asyncio.gather(*(answered(house, place, "after") for place in (*DAMAGES, "journal")))
        if which == "inbound":
            assert not any(DAMAGED in p.texts(place) for place in DAMAGES)
        for place in DAMAGES:
            await house.until_quiet(place)
    assert set(house.states()) == {"done"}


def test_no_damage_of_an_inbox_goes_unnoticed(tmp_path: Path) -> None:
    """Either it is found, or what waits in it is what was written."""
    rows = Rows()
    waiting = {message.id: message for message in (rows.make(f"waiting {n}") for n in range(30))}
    done = [rows.make(f"done {n}") for n in range(30)]
    path, whole = tmp_path / "inbound.db", tmp_path / "whole.db"
    with closing(HostEnd(whole)) as end:
        end.post([*done, *waiting.values()])
    found = 0
    for kind, seed in itertools.product(DAMAGES, range(60)):
        shutil.copy(whole, path)
        damage(path, kind, seed)
        try:
            with closing(HostEnd(path)) as end:
                end.check(waiting)
            with closing(InboundReader(path, lambda: 0)) as reader:
                inbox = reader.look([message.id for message in done])
            assert inbox is not None
            texts = {m.id: m.content for m in inbox.messages if m.id in waiting}
            assert texts == {m.id: m.content for m in waiting.values()}, (kind, seed)
        except MailboxError:
            found += 1
    assert found > 200


async def test_an_inbox_that_is_damaged_under_a_runner_is_made_anew(house: House) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        for page in range(1, house.workspace().inbound.stat().st_size // PAGE):
            with house.workspace().inbound.open("r+b") as file:
                file.seek(page * PAGE)
                file.write(b"\xff" * PAGE)
        await answered(house, "p1", "two")
        await house.until_quiet()
    assert house.states() == {"done": 2}


async def test_an_outbox_that_only_its_agent_finds_damaged_is_put_aside(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Its index is wrong: every reply in it can be read, and none can be added."""
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        outbound = house.workspace().outbound
        with closing(sqlite3.connect(outbound)) as db:
            sql = "SELECT rootpage FROM sqlite_schema WHERE name LIKE 'sqlite_autoindex_session_state%'"
            (page,) = db.execute(sql).fetchone()
        with outbound.open("r+b") as file:
            file.seek((page - 1) * PAGE)
            file.write(b"\xff" * PAGE)
        os.kill(house.runner(), signal.SIGTERM)
        await house.until(lambda: not house.runners())
        await answered(house, "p1", "two")
        assert DAMAGED in p.texts() and "its agent cannot use it" in caplog.text
        await house.until_quiet()
    assert house.states() == {"done": 2}


# -------------------------------------------------------------------- a power cut


@pytest.mark.parametrize("what", ["torn", "zeroed", "mixed", "stale", "hot"])
async def test_after_a_power_cut_inboxes_are_made_anew(house: House, tmp_path: Path, what: str) -> None:
    house.script({"match": "slow", "steps": [{"do": "stall", "seconds": 1000}]})
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        yesterday = house.workspace().inbound.read_bytes()
        await p.say("slow")
        await p.at_work()
        await p.say("two")
        await house.until(lambda: house.states() == {"done": 1, "posted": 2})
    house.kill_runners()
    inbound = house.workspace().inbound
    today = inbound.read_bytes()
    match what:
        case "torn":
            os.truncate(inbound, len(today) // 2)
        case "zeroed":
            inbound.write_bytes(today[:PAGE] + bytes(len(today) - PAGE))
        case "mixed":
            inbound.write_bytes(today[: 2 * PAGE] + yesterday[2 * PAGE :])
        case "stale":
            inbound.write_bytes(yesterday)
        case "hot":
            die_in_commit(inbound, IN_INBOUND)
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        db.execute("UPDATE sessions SET boot_id = 'another'")
    house.script()
    async with house.open() as p:
        await house.until_quiet()
        await p.until(lambda: len(p.settled()) == 3)
    said = " ".join(p.texts())
    assert [said.count(word) for word in ("one", "slow", "two")] == [1, 1, 1]
    assert house.states() == {"done": 3} and LOST not in said


async def test_what_was_written_before_a_power_cut_is_there(tmp_path: Path) -> None:
    """The end of the log that was not on the disk yet is gone, at any byte."""
    path, wal = tmp_path / "bot.db", tmp_path / "bot.db-wal"
    db = open_database(path)
    sizes: list[int] = []
    for number in range(40):
        await db.write(partial(people.grant, channel=f"c{number}", user_id="u", role="owner", now=0))
        sizes.append(wal.stat().st_size)
    files = path.read_bytes(), wal.read_bytes()
    await db.close()
    chance = random.Random(SEED)
    for _ in range(25):
        acknowledged = chance.randrange(len(sizes))
        following = sizes[acknowledged + 1] if acknowledged + 1 < len(sizes) else sizes[acknowledged]
        cut = chance.choice([sizes[acknowledged], chance.randint(sizes[acknowledged], following)])
        path.write_bytes(files[0])
        wal.write_bytes(files[1][:cut])
        (tmp_path / "bot.db-shm").unlink(missing_ok=True)
        again = open_database(path)
        found = await again.read(lambda db: db.execute("SELECT count(*) FROM roles").fetchone()[0])
        await again.close()
        assert found >= acknowledged + 1, cut


# -------------------------------------------------------------------- the service's own


REFUSED_AT_LEAST = 8
"""Of the files of the next test; where exactly the damage falls depends on how the tables lie."""


async def test_a_damaged_bot_db_is_refused_or_harmless(house: House) -> None:
    house.backend["runner_idle_seconds"] = 0.4
    async with house.open():
        await talk(house, ["p1", "p2"], rounds=20)
    whole, refused = (house.data / "bot.db").read_bytes(), 0
    for kind, seed in itertools.product(DAMAGES, range(4)):
        (house.data / "bot.db").write_bytes(whole)
        damage(house.data / "bot.db", kind, seed)
        try:
            async with house.open() as p:
                assert (await p.say("well?", place="new")).state == "accepted"
        except UnreadableDatabase as exc:
            assert "`roost backup restore latest --yes`" in str(exc) and "\n" not in str(exc)
            refused += 1
        for rest in house.data.glob("bot.db-*"):
            rest.unlink()
    assert refused >= REFUSED_AT_LEAST


async def test_a_bot_db_that_is_damaged_while_it_runs_stops_the_service(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "IDLE_CHECKPOINT_SECONDS", 0.05)
    with pytest.raises(UnreadableDatabase, match="roost backup restore latest --yes"):
        async with house.open() as p:
            await p.say("one")
            await p.ends(1)
            await roost(house, "backup", "create")
            await house.until(lambda: (house.data / "bot.db-wal").stat().st_size == 0)
            with (house.data / "bot.db").open("r+b") as file:
                file.seek(PAGE)
                file.write(b"\xff" * (os.fstat(file.fileno()).st_size - PAGE))
            await p.say("two")
            await roost(house, "schedule", "list", check=False)
            await asyncio.sleep(TIMEOUT_SECONDS)
    house.kill_runners()
    code, _, wrong = await roost(house, "run", check=False)
    assert code == 1 and "`roost backup restore latest --yes`" in wrong and wrong.count("\n") == 1
    await roost(house, "backup", "restore", "latest", "--yes")
    async with house.open() as p:
        await p.say("three")
        await p.until(lambda: "You said: three" in p.texts())
