from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from bot.db import engine, reader
from bot.db.engine import Database, open_database
from bot.db.migrations import MIGRATIONS
from bot.db.migrations_admin import ROLES
from bot.db.reader import open_reader
from bot.errors import DatabaseError, NewerDatabase, UnreadableDatabase, UnusableDataFolder

TIMEOUT_SECONDS = 20
WRITER = [sys.executable, "-m", "tests.fakes.programs.database_writer"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bot.db"


@pytest.fixture
async def db(path: Path) -> AsyncIterator[Database]:
    db = open_database(path)
    await db.write(lambda db: db.execute("CREATE TABLE words (word TEXT UNIQUE)"))
    yield db
    await db.close()


def put(word: str, db: sqlite3.Connection) -> str:
    db.execute("INSERT INTO words VALUES (?)", (word,))
    return word


def put_and_raise(word: str, error: BaseException, db: sqlite3.Connection) -> None:
    put(word, db)
    raise error


def all_words(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT word FROM words ORDER BY rowid")]


def on_disk(path: Path) -> list[str]:
    """What another process would find."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return all_words(db)


class Held:
    """Keeps the writer thread busy, so that everything asked for meanwhile meets in the next group."""

    def __init__(self, db: Database) -> None:
        self._gate = threading.Event()
        self._busy = threading.Event()
        self._task = asyncio.create_task(db.write(self._hold))

    def _hold(self, _: sqlite3.Connection) -> None:
        self._busy.set()
        assert self._gate.wait(TIMEOUT_SECONDS)

    async def busy(self) -> None:
        assert await asyncio.to_thread(self._busy.wait, TIMEOUT_SECONDS)

    async def release(self) -> None:
        self._gate.set()
        await self._task


async def meeting(db: Database, *writes: Callable[[sqlite3.Connection], object]) -> list[object]:
    """The outcomes of writes that share one group."""
    held = Held(db)
    await held.busy()
    tasks = [asyncio.create_task(db.write(write)) for write in writes]
    await asyncio.sleep(0)  # Each task runs until it waits: then all are queued.
    await held.release()
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not await holds():  # noqa: ASYNC110 - SQLite tells nobody about a commit.
            await asyncio.sleep(0.005)


async def traced(db: Database) -> list[str]:
    """The statements that the writer runs from now on."""
    statements: list[str] = []
    await db.write(lambda db: db.set_trace_callback(statements.append))
    statements.clear()
    return statements


# ---------------------------------------------------------------- writing


async def test_a_write_returns_its_result_and_can_be_read(db: Database, path: Path) -> None:
    assert await db.write(partial(put, "one")) == "one"
    assert await db.read(all_words) == ["one"]
    assert on_disk(path) == ["one"]


async def test_writes_that_meet_share_one_commit(db: Database, path: Path) -> None:
    statements = await traced(db)
    words = [f"word {n}" for n in range(200)]
    assert await meeting(db, *(partial(put, word) for word in words)) == words
    assert statements.count("COMMIT") == 2  # One of them is that of whoever held the writer.
    assert on_disk(path) == words


async def test_a_group_has_a_size(db: Database) -> None:
    statements = await traced(db)
    count = engine.GROUP_MAX * 2 + 1
    await meeting(db, *(partial(put, str(n)) for n in range(count)))
    assert statements.count("COMMIT") == 1 + 3
    assert len(await db.read(all_words)) == count


async def test_what_one_raises_undoes_its_own_part_only(db: Database, path: Path) -> None:
    outcomes = await meeting(
        db,
        partial(put, "one"),
        partial(put_and_raise, "never", ValueError("no")),
        partial(put, "one"),  # UNIQUE: an error of SQLite's that is the job's own.
        lambda db: db.execute("SELECT * FROM missing"),
        partial(put, "two"),
    )
    assert outcomes[0] == "one" and outcomes[4] == "two"
    assert [type(outcome) for outcome in outcomes[1:4]] == [
        ValueError,
        sqlite3.IntegrityError,
        sqlite3.OperationalError,
    ]
    assert on_disk(path) == ["one", "two"]


@pytest.mark.parametrize(
    "error", [StopIteration("x"), SystemExit(3), asyncio.CancelledError(), GeneratorExit()]
)
async def test_nothing_that_a_write_raises_stops_the_writer(db: Database, error: BaseException) -> None:
    outcomes = await meeting(db, partial(put_and_raise, "never", error), partial(put, "other"))
    assert isinstance(outcomes[0], RuntimeError) and outcomes[0].__cause__ is error
    assert outcomes[1] == "other"
    assert await db.write(partial(put, "next")) == "next"
    assert await db.read(all_words) == ["other", "next"]


async def test_many_writers_and_readers_at_once(db: Database, path: Path) -> None:
    async def writer(name: int) -> None:
        for number in range(50):
            word = f"{name}.{number}"
            await db.write(partial(put, word))
            assert word in await db.read(all_words)

    await asyncio.gather(*(writer(name) for name in range(10)))
    words = on_disk(path)
    assert len(words) == 500
    for name in range(10):
        assert [w for w in words if w.startswith(f"{name}.")] == [f"{name}.{n}" for n in range(50)]


async def test_who_is_cancelled_takes_nobody_along(db: Database, path: Path) -> None:
    held = Held(db)
    await held.busy()
    tasks = [asyncio.create_task(db.write(partial(put, str(n)))) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await held.release()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[0] == "0" and outcomes[2] == "2"
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert on_disk(path) == ["0", "1", "2"]


# ---------------------------------------------------------------- later


async def test_later_keeps_its_place_among_writes(db: Database, path: Path) -> None:
    statements = await traced(db)
    db.later(partial(put, "first"))
    db.later(partial(put, "second"))
    await db.write(partial(put, "third"))
    assert on_disk(path) == ["first", "second", "third"]
    assert statements.count("COMMIT") == 1


async def test_later_needs_no_company(db: Database) -> None:
    db.later(partial(put, "alone"))

    async def is_there() -> bool:
        return await db.read(all_words) == ["alone"]

    await eventually(is_there)


async def test_later_alone_waits_for_company(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LATER_SECONDS", 3600)
    ran = threading.Event()

    def work(db: sqlite3.Connection) -> None:
        put("later", db)
        ran.set()

    db.later(work)
    held = Held(db)
    await held.busy()
    assert ran.is_set() and await db.read(all_words) == []
    await held.release()
    assert await db.read(all_words) == ["later"]


async def test_later_that_raises_is_logged_and_hurts_nobody(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    db.later(partial(put_and_raise, "never", ValueError("a broken write")))
    await db.write(partial(put, "word"))
    assert await db.read(all_words) == ["word"]
    assert "a broken write" in caplog.text


# ---------------------------------------------------------------- a disk that fails


def fill(db: sqlite3.Connection) -> None:
    """From now on the file cannot grow."""
    db.execute("PRAGMA max_page_count = 1")


def make_room(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA max_page_count = 1000000")


async def test_a_full_disk_is_said_to_everybody_and_survived(db: Database, path: Path) -> None:
    await db.write(fill)
    held = Held(db)
    await held.busy()
    db.later(partial(put, "later"))
    tasks = [asyncio.create_task(db.write(partial(put, word))) for word in ("small", "big" * 10_000, "last")]
    await asyncio.sleep(0)
    await held.release()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, DatabaseError)
        assert str(outcome) == "bot.db could not be written: database or disk is full."
    await db.write(make_room)
    await db.write(partial(put, "afterwards"))
    assert on_disk(path) == ["later", "afterwards"]


async def test_later_is_tried_again_though_nobody_writes(
    db: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRY_SECONDS", 0.01)
    tried = 0

    def work(db: sqlite3.Connection) -> None:
        nonlocal tried
        tried += 1
        if tried > 2:
            make_room(db)
        put("big" * 10_000, db)

    await db.write(fill)
    db.later(work)

    async def is_there() -> bool:
        return len(await db.read(all_words)) == 1

    await eventually(is_there)
    assert tried == 3


async def test_another_process_in_the_way_is_no_end(
    db: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.write(lambda db: db.execute("PRAGMA busy_timeout = 10"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="locked"):
            await db.write(partial(put, "blocked"))
        other.execute("ROLLBACK")
    await db.write(partial(put, "free"))
    assert on_disk(path) == ["free"]


async def test_a_commit_that_fails_is_undone(db: Database, path: Path) -> None:
    def break_the_commit(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA defer_foreign_keys = ON")
        db.execute(
            "INSERT INTO notices (id, session, channel, platform_id, text, created_at)"
            " VALUES ('n', 'no such session', 'fake', 'p1', 'text', 1)"
        )

    for outcome in await meeting(db, partial(put, "beside it"), break_the_commit):
        assert isinstance(outcome, DatabaseError)
    await db.write(partial(put, "afterwards"))
    assert on_disk(path) == ["afterwards"]


def test_files_that_cannot_grow_lose_nothing_and_keep_nothing_half(path: Path) -> None:
    done = subprocess.run(
        [*WRITER, "full", str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    said: dict[str, str] = json.loads(done.stdout)
    told = {word: text == "ok" for word, text in said.items()}
    assert told.pop("afterwards") is True
    assert told.pop("alone xxxxxxxxxxxxxx") is False
    assert len(told) == 6 and not any(told.values())
    assert all("could not be written" in text for text in said.values() if text != "ok")
    assert on_disk(path) == ["later", "afterwards"]


def test_what_write_has_returned_survives_a_kill(path: Path) -> None:
    with subprocess.Popen([*WRITER, "until-killed", str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said += json.loads(line)
            if len(said) == 100:
                process.kill()
    assert len(said) >= 100
    words = on_disk(path)
    kept = [word for word in words if word.startswith("word")]
    assert kept[: len(said)] == said
    # What rode along was written before those who waited.
    assert words[0] == "later 0"


# ---------------------------------------------------------------- closing


async def test_closing_finishes_what_was_queued(path: Path) -> None:
    db = open_database(path)
    await db.write(lambda db: db.execute("CREATE TABLE words (word TEXT)"))
    held = Held(db)
    await held.busy()
    writing = asyncio.create_task(db.write(partial(put, "write")))
    await asyncio.sleep(0)
    db.later(partial(put, "later"))
    closed = asyncio.create_task(db.close())
    await asyncio.sleep(0)
    await held.release()
    await closed
    assert await writing == "write"
    assert on_disk(path) == ["write", "later"]
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("roost-db")]
    assert not path.with_name("bot.db-wal").exists()


async def test_a_closed_one_says_so(path: Path) -> None:
    db = open_database(path)
    await db.close()
    await db.close()
    with pytest.raises(DatabaseError, match=r"bot\.db is closed"):
        await db.write(partial(put, "word"))
    with pytest.raises(DatabaseError, match=r"bot\.db is closed"):
        db.later(partial(put, "word"))
    with pytest.raises(DatabaseError, match=r"bot\.db is closed"):
        await db.read(all_words)


async def test_what_could_not_be_written_at_the_end_is_said(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    db = open_database(path)
    await db.write(lambda db: db.execute("CREATE TABLE words (word TEXT)"))
    await db.write(fill)
    db.later(partial(put, "big" * 10_000))
    await db.close()
    assert "1 writes that nobody waited for were lost" in caplog.text


# ---------------------------------------------------------------- reading


async def test_a_read_that_fails_says_so(db: Database) -> None:
    with pytest.raises(DatabaseError, match=r"bot\.db could not be read: no such table: missing\."):
        await db.read(lambda db: db.execute("SELECT * FROM missing"))


async def test_a_read_cannot_write(db: Database) -> None:
    with pytest.raises(DatabaseError, match="readonly"):
        await db.read(partial(put, "word"))


async def test_the_log_is_emptied_when_nothing_happens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "IDLE_CHECKPOINT_SECONDS", 0.02)
    db = open_database(path)
    await db.write(lambda db: db.execute("CREATE TABLE words (word TEXT)"))

    async def is_empty() -> bool:
        return path.with_name("bot.db-wal").stat().st_size == 0

    await eventually(is_empty)
    await db.write(partial(put, "word"))
    assert await db.read(all_words) == ["word"]
    await db.close()


# ---------------------------------------------------------------- opening


def tables(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


ROLES_BY_AGENT = MIGRATIONS.index(ROLES)
"""So many migrations come before roles hold for single agents."""


def make(path: Path, migrations: int) -> None:
    """A bot.db as a Roost with the first migrations left it, with somebody in it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statements in MIGRATIONS[:migrations]:
            for statement in statements:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {migrations}")
        if migrations:
            agent = ", agent" if migrations > ROLES_BY_AGENT else ""
            db.execute(
                f"INSERT INTO roles (channel, user_id, role, granted_at{agent})"
                f" VALUES ('terminal', '7', 'owner', 1{', ' + chr(39) * 2 if agent else ''})"
            )


@pytest.mark.parametrize("found", range(len(MIGRATIONS) + 1))
async def test_every_version_becomes_the_newest(path: Path, tmp_path: Path, found: int) -> None:
    make(path, found)
    await open_database(path).close()
    blank = tmp_path / "blank.db"
    await open_database(blank).close()
    assert version(path) == version(blank) == len(MIGRATIONS)
    assert tables(path) == tables(blank)
    if found:
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT * FROM roles").fetchall() == [("terminal", "7", "", "owner", 1, None)]


async def test_a_migration_that_fails_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await open_database(path).close()
    before = tables(path)
    broken = (*MIGRATIONS, ("CREATE TABLE half (a)", "SELECT nonsense"))
    monkeypatch.setattr(engine, "MIGRATIONS", broken)
    monkeypatch.setattr(reader, "MIGRATIONS", broken)
    with pytest.raises(DatabaseError, match="nonsense"):
        open_database(path)
    assert tables(path) == before
    assert version(path) == len(MIGRATIONS)


async def test_a_newer_one_is_let_be(path: Path) -> None:
    make(path, len(MIGRATIONS))
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(NewerDatabase) as caught:
        open_database(path)
    assert str(path) in str(caught.value) and "newer Roost" in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("garbage", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_what_is_no_database_is_named(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    with pytest.raises(UnreadableDatabase) as caught:
        open_database(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == garbage


async def test_what_is_no_file_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(UnusableDataFolder, match=r"bot\.db cannot be opened: Is a directory\."):
        open_database(path)
    with pytest.raises(UnusableDataFolder, match="No such file or directory"):
        open_database(path / "missing" / "bot.db")


async def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    await open_database(path).close()
    assert version(path) == len(MIGRATIONS)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
async def test_nobody_else_can_read_it(path: Path) -> None:
    path.touch(mode=0o666)
    db = open_database(path)
    await db.write(lambda db: db.execute("CREATE TABLE words (word TEXT)"))
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    await db.close()
    assert modes == {"bot.db": 0o600, "bot.db-wal": 0o600, "bot.db-shm": 0o600}


async def test_it_is_as_durable_as_it_says(db: Database) -> None:
    def pragmas(db: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    found: list[object] = []
    await meeting(db, lambda db: found.extend(pragmas(db)))
    assert found == ["wal", 2, 1]


# ---------------------------------------------------------------- without a service


async def test_it_can_be_read_beside_its_service(db: Database, path: Path) -> None:
    async with open_reader(path) as other:
        await db.write(partial(put, "one"))
        assert await other.read(all_words) == ["one"]
        with pytest.raises(DatabaseError, match="readonly"):
            await other.read(partial(put, "two"))


async def test_it_can_be_read_after_a_kill(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *WRITER, "until-killed", str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    said = json.loads(await asyncio.wait_for(process.stdout.readline(), TIMEOUT_SECONDS))
    process.kill()
    await process.communicate()
    async with open_reader(path) as records:
        assert set(said) <= set(await records.read(all_words))


async def test_reading_makes_and_changes_nothing(path: Path) -> None:
    with pytest.raises(DatabaseError, match="cannot be opened"):
        async with open_reader(path):
            pass
    assert not path.exists()
    make(path, 0)
    with pytest.raises(DatabaseError, match="older Roost"):
        async with open_reader(path):
            pass
    assert version(path) == 0
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 1000")
    with pytest.raises(NewerDatabase):
        async with open_reader(path):
            pass
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(DatabaseError, match="not a database"):
        async with open_reader(path):
            pass


async def test_waiting_for_a_lock_does_not_hold_up_the_loop(db: Database, path: Path) -> None:
    """The writer may wait for another process; whoever only reads does not."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(db.write(partial(put, "word")))
        started = time.monotonic()
        assert await db.read(all_words) == []
        assert not writing.done() or time.monotonic() - started > 5
        other.execute("ROLLBACK")
    assert await writing == "word"
