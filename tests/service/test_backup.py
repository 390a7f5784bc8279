"""Backups of a living service, and what a service makes of one: real runners, real files, real locks."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import socket
import sqlite3
import sys
import tarfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Settled
from agent.protocol.mailbox import AgentEnd, Draft
from agent.protocol.messages import ChatOut
from agent.protocol.workspace import Workspace
from bot.backup import create as creating
from bot.backup import daily, names, settle
from bot.backup.create import Made, make
from bot.backup.daily import DAY_MS, HOUR_MS, Backups
from bot.backup.errors import BackupBusy, BackupFailed, FolderNotEmpty, RestoreRefused
from bot.backup.layout import Bounds
from bot.backup.restore import Restored, restore, verify
from bot.backup.tree import Walk
from bot.config_tables import BackupConfig
from bot.data_lock import taken
from bot.db.engine import open_database
from bot.db.migrations import MIGRATIONS
from bot.errors import DataFolderBusy, UnreadableDatabase
from bot.metrics import Metrics
from tests.fakes.hostile import (
    Child,
    child,
    lock_holder,
    make_sparse,
    plant_endless_view,
    plant_super_journal,
    plant_wal,
)
from tests.fakes.platform import TIMEOUT_SECONDS, FakePlatform, refusal
from tests.service.conftest import ON_BOTH, House

MIB = 2**20
BOUNDS = BackupConfig().bounds
NOW = 1_780_000_000_000
ROOT = Path(__file__).parents[2]


# ---------------------------------------------------------------- helpers


async def roost(house: House, *words: str, check: bool = True) -> tuple[int, str, str]:
    """The command line in a process of its own: its exit status, and what it said on either stream."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from bot.cli import main; main()", *words,
        cwd=house.data.parent,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ROOST_SERVICE__DATA_DIR": str(house.data),
            "ROOST_BACKEND__KIND": house.kind,
        },
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_SECONDS)
    code = process.returncode
    assert code is not None
    assert code == 0 or not check, err.decode()
    return code, out.decode(), err.decode()


def put(archive: Path, data: Path, *, replace: bool = False) -> Restored:
    return restore(
        archive, data, BOUNDS, replace=replace, keep=data / "backups", stop_runners=lambda: None, now=NOW
    )


def another(house: House, data: Path) -> House:
    """A service with the same settings over another data folder."""
    other = House(data.parent, house.kind)
    other.data = data
    other.agent, other.backend, other.turns = house.agent, house.backend, house.turns
    return other


def make_now(house: House, to: Path, bounds: Bounds = BOUNDS) -> Made:
    return make(house.data, to, bounds, now=NOW, stop=threading.Event())


def contents(archive: Path) -> dict[str, bytes | None]:
    """The members: the content of a file, None for a folder."""
    with tarfile.open(archive) as tar:
        files = {info.name: tar.extractfile(info) for info in tar}
        return {name: None if file is None else file.read() for name, file in files.items()}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


async def settled(house: House, place: str, count: int) -> None:
    await house.platform.replies(count, place=place)
    await house.until_quiet(place)


@pytest.fixture
def quiet_end() -> Iterator[list[House]]:
    """Houses whose runners are ended with the test."""
    houses: list[House] = []
    yield houses
    for each in houses:
        each.close()


# ---------------------------------------------------------------- while it runs


async def test_backups_while_people_talk_lose_and_double_nothing(
    house: House, tmp_path: Path, quiet_end: list[House]
) -> None:
    """Whatever a backup caught in the middle, the service that gets it brings to its end."""
    places = [f"p{number}" for number in range(4)]
    accepted: set[str] = set()
    made: list[tuple[Made, set[str]]] = []
    async with house.open() as platform:

        async def person(place: str) -> None:
            for number in range(8):
                event_id = f"{place}-{number}"
                receipt = await platform.say(f"message {number}", place=place, event_id=event_id)
                assert receipt.state == "accepted"
                accepted.add(event_id)
                await platform.ends(max(0, number - 1), place=place)

        async with asyncio.timeout(TIMEOUT_SECONDS), asyncio.TaskGroup() as group:
            for place in places:
                group.create_task(person(place))
            for number in range(3):
                await platform.until(lambda number=number: ends(platform) >= 8 * number + 1)  # type: ignore[misc]
                before = set(accepted)
                backup = await house.app.context.backups.create(tmp_path / "to")
                made.append((backup, before))
        for place in places:
            await platform.ends(8, place=place)

    for number, (backup, before) in enumerate(made):
        verify(backup.path, BOUNDS)
        data = tmp_path / f"restored-{number}" / "data"
        put(backup.path, data)
        other = another(house, data)
        quiet_end.append(other)
        kept = {row["event_id"]: row["state"] for row in other.query("SELECT event_id, state FROM inbox")}
        assert before <= kept.keys() <= accepted
        unfinished = {event_id for event_id, state in kept.items() if state != "done"}
        # What was answered and pruned while the backup was made has ended with the restore.
        assert len(unfinished) <= backup.manifest.unfinished
        sent_before = {
            row["out_id"] for row in other.query("SELECT out_id FROM deliveries WHERE state = 'sent'")
        }
        async with other.open() as again:
            await other.until(lambda other=other, kept=kept: other.states() == {"done": len(kept)})  # type: ignore[misc]
            # Each place says one thing more, which is answered after everything that was still to be said.
            for place in places:
                await again.say("and now?", place=place, event_id=f"again-{place}")
                await again.until(lambda place=place: f"again-{place}" in answered(again))  # type: ignore[misc]
            ids = [part.outgoing.id for part in again.sent]
            assert len(ids) == len(set(ids))
            assert not sent_before & set(ids)
            late = [
                part.outgoing for part in again.sent if not str(part.outgoing.answers).startswith("again-")
            ]
            turns = [each.turn_id for each in late]
            assert len(turns) == len(set(turns))
            # A turn may have answered, in one reply, a message that is known and one that came too late.
            known = {row["id"] for row in other.query("SELECT id FROM inbox")}
            assert set(turns) <= known
            assert {each.answers for each in late} <= {*kept, None}
        for database in (data / "bot.db", *data.glob("sessions/*/in/inbound.db")):
            with closing(sqlite3.connect(database)) as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def has_ended(pid: int) -> bool:
    """Whether a child of ours has ended; it is gone for good then."""
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def ends(platform: FakePlatform) -> int:
    """How many events have come to their end, in all places."""
    return sum(isinstance(update, Settled) for update in platform.updates)


def answered(platform: FakePlatform) -> list[str]:
    """The events that were answered here, one for each reply."""
    return [part.outgoing.answers or "nothing" for part in platform.sent]


async def test_a_reply_that_was_not_delivered_is_delivered_once_after_a_restore(
    house: House, tmp_path: Path, quiet_end: list[House]
) -> None:
    house.platform.absent.add("p1")
    async with house.open() as platform:
        await platform.say("hello", event_id="e1")
        await platform.until(lambda: any(part.outgoing.answers == "e1" for part in platform.tried))
        await house.until_quiet()
        backup = await house.app.context.backups.create(tmp_path / "to")
    assert backup.manifest.unfinished == 0

    other = another(house, tmp_path / "other" / "data")
    quiet_end.append(other)
    put(backup.path, other.data)
    async with other.open() as again:
        assert await again.replies(1) == ["You said: hello"]
        await again.say("more")
        assert await again.replies(2) == ["You said: hello", "You said: more"]


@ON_BOTH
async def test_people_are_answered_while_a_backup_is_made(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def held_up(*arguments: Any, **named: Any) -> Made:
        begun.set()
        assert go_on.wait(TIMEOUT_SECONDS)
        return make(*arguments, **named)

    monkeypatch.setattr(daily, "make", held_up)
    async with house.open() as platform:
        backups = house.app.context.backups
        under_way = asyncio.create_task(backups.create(tmp_path / "to"))
        try:
            await asyncio.to_thread(begun.wait, TIMEOUT_SECONDS)
            await platform.say("hello")
            assert await platform.replies(1) == ["You said: hello"]
            with pytest.raises(BackupBusy):
                await backups.create(tmp_path / "to")
            assert not under_way.done()
        finally:
            go_on.set()
        made = await under_way
        assert made.manifest.messages == 1
        await backups.create(tmp_path / "to")
    assert len(names.found(tmp_path / "to")) == 2


async def test_a_service_that_leaves_gives_up_its_backup(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def slow(*arguments: Any, stop: threading.Event, **named: Any) -> Made:
        begun.set()
        assert stop.wait(TIMEOUT_SECONDS)
        return make(*arguments, stop=stop, **named)

    monkeypatch.setattr(daily, "make", slow)
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
        (house.workspace().work / "file").write_bytes(b"x")
        under_way = asyncio.create_task(house.app.context.backups.create(tmp_path / "to"))
        await asyncio.to_thread(begun.wait, TIMEOUT_SECONDS)
    with pytest.raises(BackupFailed, match="leaving"):
        await under_way
    assert list((tmp_path / "to").iterdir()) == []


# ---------------------------------------------------------------- the command line


async def test_the_command_line_makes_lists_and_verifies(house: House, tmp_path: Path) -> None:
    spaced = tmp_path / "a folder, with spaces"
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
        _, out, _ = await roost(house, "backup", "create", "--json")
        online = json.loads(out)
        assert online["messages"] == 1 and online["unfinished"] == 0
        await roost(house, "backup", "create", "--to", str(spaced))
        _, out, _ = await roost(house, "backup", "verify", "latest", "--json")
        assert json.loads(out)["whole"] is True
    # And by itself, when no service is there; a runner may be.
    _, out, _ = await roost(house, "backup", "create", "--json")
    offline = json.loads(out)
    assert {Path(each["file"]).parent for each in (online, offline)} == {house.data / "backups"}
    _, out, _ = await roost(house, "backup", "list", "--json")
    assert [each["file"] for each in json.loads(out)] == [offline["file"], online["file"]]
    (elsewhere,) = spaced.iterdir()
    for each in (Path(online["file"]), Path(offline["file"]), elsewhere):
        assert each.stat().st_mode & 0o777 == 0o600
        assert verify(each, BOUNDS).messages == 1
    code, _, err = await roost(house, "backup", "verify", str(tmp_path / "none"), check=False)
    assert code == 1 and "none" in err and "Traceback" not in err
    code, _, _ = await roost(house, "backup", "verify", check=False)
    assert code == 2


async def test_a_changed_byte_is_found(house: House, tmp_path: Path) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
        (house.workspace().work / "big").write_bytes(os.urandom(MIB))
        backup = await house.app.context.backups.create(tmp_path)
    content = bytearray(backup.path.read_bytes())
    content[len(content) // 2] ^= 1
    backup.path.write_bytes(content)
    code, out, _ = await roost(house, "backup", "verify", str(backup.path), "--json", check=False)
    assert code == 1 and json.loads(out)["whole"] is False
    code, _, err = await roost(house, "backup", "restore", str(backup.path), "--yes", check=False)
    assert code == 1 and "no whole backup" in err
    assert (house.data / "bot.db").exists()


async def test_a_folder_in_use_is_not_restored_into(house: House, tmp_path: Path) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
        backup = await house.app.context.backups.create(tmp_path / "to")
        code, _, err = await roost(house, "backup", "restore", str(backup.path), "--yes", check=False)
        assert code == 1 and "stop it first" in err
        await platform.say("still there?")
        await platform.replies(2)
    code, _, err = await roost(house, "backup", "restore", str(backup.path), check=False)
    assert code == 1 and "--yes" in err
    assert [path.name for path in tmp_path.iterdir() if "restore" in path.name] == []
    with pytest.raises(FolderNotEmpty):
        put(backup.path, house.data)


@ON_BOTH
async def test_a_broken_bot_db_is_replaced_with_one_command(house: House) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
        (house.workspace().work / "notes").write_text("of the agent")
        await roost(house, "backup", "create")
        await platform.say("lost")
        await settled(house, "p1", 2)
    old_runner = house.runner()
    (house.data / "agents" / "assistant" / "INSTRUCTIONS.md").write_text("of the operator")
    (house.data / "bot.db").write_bytes(b"garbage" * 5000)
    for suffix in ("-wal", "-shm"):
        (house.data / f"bot.db{suffix}").unlink(missing_ok=True)
    with pytest.raises(UnreadableDatabase, match="roost backup restore latest --yes"):
        open_database(house.data / "bot.db")
    code, _, err = await roost(house, "backup", "create", check=False)
    assert code == 1 and "roost backup restore latest --yes" in err

    _, out, _ = await roost(house, "backup", "restore", "latest", "--yes", "--json")
    restored = json.loads(out)
    aside = Path(restored["aside"])
    assert (aside / "bot.db").read_bytes().startswith(b"garbage")
    assert aside.name.startswith("data.before-restore-")
    assert not (aside / "backups").exists()
    assert (house.data / "agents" / "assistant" / "INSTRUCTIONS.md").read_text() == "of the operator"
    assert house.data.stat().st_mode & 0o777 == 0o700
    assert (house.data / "bot.db").stat().st_mode & 0o777 == 0o600
    assert has_ended(old_runner) if house.kind == "process" else house.runners() == []
    _, out, _ = await roost(house, "backup", "list", "--json")
    assert len(json.loads(out)) == 1

    house.platform = FakePlatform()
    async with house.open() as again:
        await again.say("hello again")
        assert await again.replies(1) == ["You said: hello again"]
    assert (house.workspace().work / "notes").read_text() == "of the agent"
    assert house.states() == {"done": 2}


async def test_a_new_folder_is_made_for_a_restore(house: House, tmp_path: Path) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
        backup = await house.app.context.backups.create(tmp_path / "to")
        # The service goes on beside it.
        into = tmp_path / "new" / "place"
        await roost(house, "backup", "restore", str(backup.path), "--into", str(into))
        empty = tmp_path / "empty"
        empty.mkdir()
        await roost(house, "backup", "restore", str(backup.path), "--into", str(empty))
    for folder in (into, empty):
        with closing(sqlite3.connect(folder / "bot.db")) as db:
            assert db.execute("SELECT count(*) FROM inbox").fetchone() == (1,)
            assert db.execute("SELECT boot_id, awake FROM sessions").fetchall() == [(None, 0)]
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(RestoreRefused):
        put(backup.path, file)


# ---------------------------------------------------------------- what a container wrote


@ON_BOTH
async def test_files_come_back_byte_for_byte(house: House, tmp_path: Path) -> None:
    attached = tmp_path / "attached"
    attached.write_bytes(os.urandom(70_000))
    async with house.open() as platform:
        await platform.say("hello", files=[("a.bin", attached)])
        await settled(house, "p1", 1)
        space, folder = house.workspace(), house.folder()
        (space.work / "deep" / "down").mkdir(parents=True)
        (space.work / "deep" / "down" / "big").write_bytes(os.urandom(9 * MIB))
        (space.work / "nothing").touch()
        (space.work / "empty").mkdir()
        (space.work / "run.sh").write_text("#!/bin/sh\n")
        (space.work / "run.sh").chmod(0o4755)
        (space.work / "ünï\n\x1b[31m").write_text("strange")
        os.close(os.open(os.fsencode(space.work) + b"/not\xffutf8", os.O_CREAT | os.O_WRONLY, 0o600))
        (space.home / ("n" * 255)).write_text("long")
        (space.outbox / "files" / "m1").mkdir(parents=True)
        (space.outbox / "files" / "m1" / "reply.txt").write_text("sent")
        os.link(space.work / "nothing", space.work / "second name")
        backup = await house.app.context.backups.create(tmp_path / "to")
    assert backup.manifest.skipped == {}
    put(backup.path, tmp_path / "other")
    restored = Workspace.on_host(tmp_path / "other" / "sessions" / folder.name)
    for before, after in ((space.work, restored.work), (space.home, restored.home)):
        assert tree(before) == tree(after)
    for before, after in ((space.inbox, restored.inbox), (space.outbox, restored.outbox)):
        assert tree(before / "files") == tree(after / "files")
        assert tree(after / "files")
    assert (restored.work / "empty").is_dir()
    assert (restored.work / "run.sh").stat().st_mode & 0o7777 == 0o777
    assert (restored.work / "run.sh").stat().st_mtime == int((space.work / "run.sh").stat().st_mtime)


async def test_files_on_their_way_in_are_kept(house: House, tmp_path: Path) -> None:
    """A message was accepted, and the service was killed before it was posted."""
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        db.execute("UPDATE inbox SET state = 'accepted'")
        (message_id,) = db.execute("SELECT id FROM inbox").fetchone()
    for name in (message_id, "refused"):
        (house.data / "incoming" / name).mkdir()
        (house.data / "incoming" / name / "1-a.txt").write_text("attached")
    put(make_now(house, tmp_path / "to").path, tmp_path / "other")
    assert tree(tmp_path / "other" / "incoming") == {f"{message_id}/1-a.txt": b"attached"}


@ON_BOTH
async def test_dead_letters_are_kept_with_their_files_and_can_be_replayed(
    house: House, tmp_path: Path, quiet_end: list[House]
) -> None:
    step = {"do": "tool", "name": "send_file", "arguments": {"path": "made.txt", "text": "Here."}}
    house.script({"match": "file", "steps": [step, {"do": "result", "text": None}]})
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
        (house.workspace().work / "made.txt").write_bytes(b"made")
        platform.failures += [refusal(retry_after=None)]
        await platform.say("file")
        await platform.until(lambda: any("could not be delivered" in text for text in platform.texts()))
        await house.until_quiet()
        backup = await house.app.context.backups.create(tmp_path / "to")
    ((letter,),) = house.query("SELECT id FROM dead_letters")
    other = another(house, tmp_path / "other" / "data")
    quiet_end.append(other)
    put(backup.path, other.data)
    kept = other.data / "deadletters" / letter
    assert [path.stat().st_mode & 0o777 for path in (kept.parent, kept, kept / "1")] == [0o700, 0o700, 0o600]
    async with other.open() as again:
        await roost(other, "deadletter", "replay", letter)
        await again.until(lambda: any(part.file for part in again.sent))
        assert [part.file.data for part in again.sent if part.file] == [b"made"]


def test_a_backup_of_an_older_service_is_brought_up_to_date(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "bot.db")) as db, db:
        for statement in MIGRATIONS[0]:
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")
    assert settle.check(tmp_path).letters == ()
    settle.settle(tmp_path, now=NOW)
    assert settle.check(tmp_path).version == len(MIGRATIONS)


async def test_what_is_no_plain_file_is_left_out_and_counted(house: House, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
        work = house.workspace().work
        (work / "link").symlink_to(secret)
        (work / "folder link").symlink_to(tmp_path)
        os.mkfifo(work / "fifo")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(work / "s"))
        os.link(house.data / "bot.db", work / "truth")
        os.link(house.workspace().inbound, work / "mail")
        make_sparse(work / "sparse", 2**40)
        (work / "large").write_bytes(bytes(2 * MIB))
        (work / "fine").write_text("fine")
        deep = work / "x"
        for _ in range(60):
            deep.mkdir()
            deep = deep / "x"
        made = make_now(house, tmp_path / "to", Bounds(MIB, 4 * MIB, 64 * MIB))
    assert made.manifest.skipped == {
        "links": 4, "special files": 2, "too large": 2, "too many or too deep": 1,
    }  # fmt: skip
    inside = contents(made.path)
    assert inside[f"sessions/{house.session_id()}/work/fine"] == b"fine"
    assert not any(content and b"of the host" in content for content in inside.values())
    verify(made.path, BOUNDS)


async def test_one_greedy_session_leaves_room_for_the_others(house: House, tmp_path: Path) -> None:
    async with house.open() as platform:
        for place in ("p1", "p2"):
            await platform.say("hello", place=place)
            await settled(house, place, 1)
        for place in ("p1", "p2"):
            work = house.workspace(place).work
            for number in range(8):
                (work / f"{number}").write_bytes(bytes(MIB // 2))
        made = make_now(house, tmp_path / "to", Bounds(MIB, 2 * MIB, 64 * MIB, session_members=6))
    kept = [name for name in contents(made.path) if "/work/" in name]
    for place in ("p1", "p2"):
        assert len([name for name in kept if house.session_id(place) in name]) == 4
    assert made.manifest.skipped == {"too large": 4, "too many or too deep": 2}
    with pytest.raises(BackupFailed, match="total_mb"):
        make_now(house, tmp_path / "to", Bounds(MIB, MIB, 1000))


def test_a_second_name_of_a_database_does_not_cost_its_locks(tmp_path: Path) -> None:
    """Closing any descriptor on a file drops this process's POSIX locks on it: so none is opened."""
    path = tmp_path / "in.db"
    (tmp_path / "work").mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE messages_out (id)")
        os.link(path, tmp_path / "work" / "innocent")
        db.execute("BEGIN EXCLUSIVE")
        found, base = path.stat(), os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            walk = Walk(base, {(found.st_dev, found.st_ino)}, 100)
            assert list(walk.through("work")) == []
        finally:
            os.close(base)
        assert walk.skipped == {"links": 1}
        with child(lock_holder, path, "BEGIN EXCLUSIVE") as other:
            with pytest.raises(TimeoutError):
                other.hear(1)
            db.execute("ROLLBACK")
            assert other.hear() == "locked"


async def test_hostile_outboxes_are_left_out_and_break_nothing(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(creating, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(creating, "OUTBOX_TRIES", 2)
    victim = tmp_path / "victim"
    victim.write_text("of the host")
    places = ["journal", "wal", "view", "fifo", "link", "locked", "honest"]
    async with house.open() as platform:
        for place in places:
            await platform.say("hello", place=place)
            await settled(house, place, 1)
            await house.app.containers.stop(house.session_id(place))
    for place in places[:-2]:
        outbox = house.workspace(place).outbox
        (outbox / "outbound.db").unlink()
    plant_super_journal(house.workspace("journal").outbox, victim)
    (tmp_path / "scratch").mkdir()
    plant_wal(house.workspace("wal").outbox)
    plant_endless_view(house.workspace("view").outbox)
    os.mkfifo(house.workspace("fifo").outbox / "outbound.db")
    (house.workspace("link").outbox / "outbound.db").symlink_to(victim)
    with child(lock_holder, house.workspace("locked").outbox / "outbound.db", "BEGIN EXCLUSIVE") as holder:
        assert isinstance(holder, Child) and holder.hear() == "locked"
        made = await asyncio.to_thread(make_now, house, tmp_path / "to")
    assert made.manifest.refused.keys() == {house.session_id(place) for place in places[:-1]}
    assert victim.read_text() == "of the host"
    kept = [name for name in contents(made.path) if name.endswith("outbound.db")]
    assert kept == [f"sessions/{house.session_id('honest')}/out/outbound.db"]
    assert verify(made.path, BOUNDS).refused == made.manifest.refused
    put(made.path, tmp_path / "other")


# ---------------------------------------------------------------- what a restore makes of an outbox


@ON_BOTH
async def test_what_was_not_collected_is_booked_for_the_next_service(house: House, tmp_path: Path) -> None:
    """The outbox is newer than bot.db: one reply answers what bot.db knows, the other what it does not."""
    async with house.open() as platform:
        for place in ("p1", "p2", "p3"):
            await platform.say("hello", place=place)
            await settled(house, place, 1)
            await house.app.containers.stop(house.session_id(place))
        home = platform.route("p1")
    (known,) = house.query("SELECT id FROM inbox WHERE session = ?", house.session_id("p1"))
    for place, turn_id in (("p1", str(known["id"])), ("p2", "came-later")):
        end = AgentEnd(house.workspace(place))
        end.finish(
            {},
            [Draft(ChatOut(text="late"), "chat", home, turn_id=turn_id, id=f"{place}-late")],
            turn_id=turn_id,
        )
        end.close()
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        db.execute("UPDATE sessions SET awake = 1, boot_id = 'x'")
    put(make_now(house, tmp_path / "to").path, tmp_path / "other" / "data")
    other = another(house, tmp_path / "other" / "data")
    awake = {row["platform_id"]: row["awake"] for row in other.query("SELECT * FROM sessions")}
    assert awake == {"p1": 1, "p2": 0, "p3": 0}
    booked = {
        row["out_id"]: row["state"]
        for row in other.query("SELECT * FROM deliveries WHERE out_id LIKE '%late'")
    }
    assert booked == {"p2-late": "failed"}


# ---------------------------------------------------------------- a disk that fails


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [10_000, 400_000, 2_500_000])
async def test_a_full_disk_leaves_nothing_half(house: House, tmp_path: Path, size: int) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
        for number in range(3):
            (house.workspace().work / f"{number}").write_bytes(os.urandom(MIB))
    before = tree(house.data)
    with files_up_to(size), pytest.raises(BackupFailed):
        make_now(house, tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []
    made = make_now(house, tmp_path / "to")
    with files_up_to(MIB // 2), pytest.raises(RestoreRefused):
        put(made.path, house.data, replace=True)
    assert tree(house.data).keys() - before.keys() <= {"bot.db-wal", "bot.db-shm"}
    assert {path.name for path in tmp_path.iterdir()} == {"data", "to"}


def test_what_a_killed_backup_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, new, others = (tmp_path / name for name in (".roost-backup-a", ".roost-backup-b", "backup"))
    for folder in (old, new, others):
        folder.mkdir()
        (folder / "archive").touch()
        os.utime(folder, (NOW / 1000 - 2 * 86_400, NOW / 1000 - (3600 if folder == new else 2 * 86_400)))
    with pytest.raises(BackupFailed):
        make(tmp_path / "none", tmp_path, BOUNDS, now=NOW, stop=threading.Event())
    assert {path.name for path in tmp_path.iterdir()} == {".roost-backup-b", "backup"}


# ---------------------------------------------------------------- every day


class Clock:
    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def born(house: House, at: int) -> None:
    """The oldest conversation began then."""
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        db.execute("UPDATE sessions SET created_at = ?", (at,))


@asynccontextmanager
async def daily_backups(
    house: House, clock: Clock, metrics: Metrics, **settings: Any
) -> AsyncIterator[Backups]:
    db = open_database(house.data / "bot.db")
    try:
        yield Backups(house.data, BackupConfig(**settings), db, metrics=metrics, clock=clock)
    finally:
        await db.close()


async def test_one_a_day_is_made_and_the_oldest_of_ours_go(house: House) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
    first_day = NOW // DAY_MS * DAY_MS
    born(house, first_day - HOUR_MS)
    folder = house.data / "backups"
    folder.mkdir()
    for name in ("notes.txt", "roost-20200101T000000Z.tar.gz.mine"):
        (folder / name).write_text("of somebody else")
    (folder / "roost-20200101T000000Z.tar.gz").mkdir()
    clock, metrics = Clock(first_day + 2 * HOUR_MS), Metrics()
    async with daily_backups(house, clock, metrics, keep=2, hour=3) as backups:
        clock.now = first_day + 3 * HOUR_MS - 1
        await backups.tick()
        assert names.found(folder) == []
        for day in range(4):
            for minute in (0, 5, 600):
                clock.now = first_day + day * DAY_MS + 3 * HOUR_MS + minute * 60_000
                await backups.tick()
        found = names.found(folder)
        assert [each.made_at for each in found] == [first_day + day * DAY_MS + 3 * HOUR_MS for day in (3, 2)]
        assert metrics.snapshot()['roost_backups_total{state="done"}'] == 4
    assert (folder / "notes.txt").exists()
    assert (folder / "roost-20200101T000000Z.tar.gz.mine").exists()
    assert (folder / "roost-20200101T000000Z.tar.gz").is_dir()


async def test_a_service_that_starts_late_makes_up_for_it(house: House) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
    now = NOW // DAY_MS * DAY_MS + 16 * HOUR_MS
    born(house, now - 100 * HOUR_MS)
    async with daily_backups(house, Clock(now - 30 * HOUR_MS), Metrics()) as backups:
        await backups.create()
    async with daily_backups(house, Clock(now), Metrics()) as backups:
        await backups.tick()
        await backups.tick()
    assert [each.made_at for each in names.found(house.data / "backups")] == [now, now - 30 * HOUR_MS]


async def test_a_failure_is_said_once_counted_and_tried_again(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
    born(house, NOW - 3 * DAY_MS)
    (house.data / "elsewhere").touch()
    clock, metrics = Clock(NOW), Metrics()
    folder = house.data / "elsewhere" / "backups"
    async with daily_backups(house, clock, metrics, folder=folder) as backups:
        with caplog.at_level(logging.INFO, "roost.backup"):
            for _ in range(3):
                await backups.tick()
            (house.data / "elsewhere").unlink()
            await backups.tick()
        said = [record.levelname for record in caplog.records if record.name == "roost.backup"]
        assert said == ["ERROR", "INFO"]
        figures = metrics.snapshot()
        assert figures['roost_backups_total{state="failed"}'] == 3
        assert figures['roost_backups_total{state="done"}'] == 1
    assert len(names.found(folder)) == 1


async def test_the_service_makes_one_at_its_start_when_it_is_time(house: House) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await settled(house, "p1", 1)
    born(house, 0)
    async with house.open():
        await house.until(lambda: bool(names.found(house.data / "backups")))
    (made,) = names.found(house.data / "backups")
    assert verify(made.path, BOUNDS).messages == 1


def test_the_lock_of_a_data_folder_is_held_by_one(tmp_path: Path) -> None:
    with taken(tmp_path), pytest.raises(DataFolderBusy), taken(tmp_path):
        raise AssertionError("taken twice")
    with taken(tmp_path):
        pass
