"""Attacks through the outbox. Each is first seen to do its damage to a reader that trusts the file."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from signal import SIGBUS

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.protocol import snapshot
from agent.protocol.snapshot import Bounds, Busy, Costly, HotJournal, Snapshot, SnapshotError, Violation
from agent.protocol.snapshot.bounds import Deadline
from agent.protocol.snapshot.errors import translating
from agent.protocol.snapshot.rows import in_memory, parse
from tests.fakes import hostile
from tests.fakes.hostile import PATIENCE_SECONDS, child, message_row, write_outbound

MIB = 2**20
SECRET = "the token of another session"  # noqa: S105


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of the host with a secret file, and another session's outbound.db."""
    path = tmp_path / "elsewhere"
    path.mkdir()
    (path / "secret").write_text(SECRET)
    write_outbound(path, [message_row(1, id=SECRET)])
    return path


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open() -> Iterator[None]:
    before = os.listdir("/proc/self/fd")
    yield
    assert len(os.listdir("/proc/self/fd")) == len(before)


def read(outbox: Path, *, bounds: Bounds = Bounds()) -> Snapshot:  # noqa: B008
    return snapshot.read(outbox, bounds=bounds, deadline_seconds=PATIENCE_SECONDS)


def ids_that_sqlite_reads(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT id FROM messages_out NOT INDEXED")]


# ---------------------------------------------------------------- journals and shared memory


def test_a_planted_super_journal_deletes_nothing(outbox: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    hostile.plant_super_journal(outbox, victim)
    assert ids_that_sqlite_reads(outbox / "outbound.db") == ["out-1"]
    assert not victim.exists()

    victim.write_text("precious")
    (outbox / "outbound.db").unlink()
    hostile.plant_super_journal(outbox, victim)
    planted = (outbox / "outbound.db-journal").read_bytes()

    with pytest.raises(HotJournal):
        read(outbox)

    assert victim.read_text() == "precious"
    assert (outbox / "outbound.db-journal").read_bytes() == planted


def test_a_truncated_shm_kills_nobody(outbox: Path) -> None:
    hostile.plant_wal(outbox)
    shm = outbox / "outbound.db-shm"
    with child(hostile.plain_reader, f"file:{outbox}/outbound.db?mode=ro") as reader:
        assert [reader.hear(), reader.hear()] == ["opening", "opened"]
        reader.tell()
        assert reader.hear().startswith("2 rows")
        os.truncate(shm, 0)
        reader.tell()
        assert reader.hear() == ""
        assert reader.process.wait() == -SIGBUS

    with pytest.raises(Violation, match="rollback journal"):
        read(outbox)
    assert shm.stat().st_size == 0


def test_wal_in_one_of_the_two_header_bytes_is_refused(outbox: Path) -> None:
    for place in (18, 19):
        path = write_outbound(outbox)
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\2")
        with pytest.raises(Violation, match="rollback journal"):
            read(outbox)
        path.unlink()


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_journal_that_is_no_file_is_refused(outbox: Path, elsewhere: Path, kind: str) -> None:
    write_outbound(outbox)
    plant(outbox / "outbound.db-journal", kind, elsewhere / "secret")
    with pytest.raises(Violation):
        read(outbox)


# ---------------------------------------------------------------- what the name leads to


def plant(path: Path, kind: str, target: Path) -> None:
    """Something at `path` that is no plain file of its own."""
    match kind:
        case "link":
            path.symlink_to(target)
        case "dangling link":
            path.symlink_to(target.with_name("none"))
        case "endless link":
            path.symlink_to("/dev/zero")
        case "hard link":
            path.hardlink_to(target)
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                folder = os.open(path.parent, os.O_PATH)
                server.bind(f"/proc/self/fd/{folder}/{path.name}")
                os.close(folder)


# Only a privileged process can make a device, which is why no container can.
NOT_A_FILE = ["link", "dangling link", "endless link", "hard link", "fifo", "folder", "socket"] + (
    ["device"] if os.geteuid() == 0 else []
)


@pytest.mark.parametrize("kind", NOT_A_FILE)
def test_a_database_that_is_no_file_of_its_own_is_refused(outbox: Path, elsewhere: Path, kind: str) -> None:
    path = outbox / "outbound.db"
    plant(path, kind, elsewhere / "outbound.db")
    if kind in {"link", "hard link"}:
        assert ids_that_sqlite_reads(path) == [SECRET]
    with pytest.raises(Violation):
        read(outbox)


def test_a_fifo_does_not_hold_the_reader(outbox: Path) -> None:
    fifo = outbox / "outbound.db"
    os.mkfifo(fifo)
    with child(hostile.plain_reader, f"file:{fifo}?mode=ro") as reader:
        assert reader.hear() == "opening"
        other_end = first_writer_of(fifo)
        # Only now did its open return: a FIFO's reader waits for a writer, for ever if need be.
        assert reader.hear().startswith("failed")
        os.close(other_end)

    with pytest.raises(Violation, match="regular"):
        read(outbox)


def first_writer_of(fifo: Path) -> int:
    """The writing end of a FIFO, as soon as somebody waits for one."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.001)


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_an_outbox_that_is_no_folder_is_refused(tmp_path: Path, elsewhere: Path, kind: str) -> None:
    plant(tmp_path / "out", kind, elsewhere)
    with pytest.raises(Violation):
        read(tmp_path / "out")


def test_a_name_that_is_swapped_for_a_link_after_a_check_leads_nowhere(outbox: Path, elsewhere: Path) -> None:
    path = write_outbound(outbox, [message_row(1)])
    assert not path.is_symlink()
    honest = path.rename(outbox / "honest.db")
    path.symlink_to(elsewhere / "outbound.db")
    assert ids_that_sqlite_reads(path) == [SECRET]

    seen: set[str] = set()
    until = time.monotonic() + PATIENCE_SECONDS
    with child(hostile.swapper, path, honest, elsewhere / "outbound.db") as swapper:
        assert swapper.hear() == "swapping"
        while not {"out-1", "Violation"} <= seen and time.monotonic() < until:
            for _ in range(200):
                try:
                    seen.update(message.id for message in snapshot.read(outbox).messages)
                except SnapshotError as exc:
                    seen.add(type(exc).__name__)
    assert {"out-1", "Violation"} <= seen <= {"out-1", "Violation", "Busy"}


# ---------------------------------------------------------------- locks and leases


def test_an_eternal_lock_holds_nobody_longer_than_the_deadline(outbox: Path) -> None:
    path = write_outbound(outbox, [message_row(1)])
    with child(hostile.lock_holder, path, "BEGIN EXCLUSIVE") as holder:
        assert holder.hear() == "locked"
        with (
            closing(sqlite3.connect(path, timeout=0)) as db,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            db.execute("SELECT * FROM messages_out")
        with pytest.raises(Busy, match="waiting"):
            snapshot.read(outbox, deadline_seconds=0.05)
        assert holder.silent()


def test_a_write_lease_does_not_hold_the_reader(outbox: Path) -> None:
    path = write_outbound(outbox, [message_row(1)])
    path.chmod(0o666)
    with child(hostile.lease_holder, path) as holder:
        assert holder.hear() == "leased"
        with child(hostile.plain_reader, f"file:{path}?mode=ro") as reader:
            assert reader.hear() == "opening"
            assert holder.hear() == "asked"
            assert reader.silent()

            with pytest.raises(Busy, match="lease"):
                read(outbox)

            assert reader.silent()
            holder.kill()
            assert reader.hear() == "opened"
    assert len(read(outbox).messages) == 1


def test_a_file_that_is_written_against_the_lock_is_not_read(outbox: Path) -> None:
    path = write_outbound(outbox, [message_row(1, content='{"text": "' + "x" * MIB + '"}')])
    outcomes: set[str] = set()
    until = time.monotonic() + PATIENCE_SECONDS
    with child(hostile.scribbler, path) as scribbler:
        assert scribbler.hear() == "scribbling"
        while "Busy" not in outcomes and time.monotonic() < until:
            try:
                read(outbox)
            except SnapshotError as exc:
                outcomes.add(type(exc).__name__)
    assert outcomes == {"Busy"}


# ---------------------------------------------------------------- sizes and counts


def test_a_view_without_an_end_is_never_run(outbox: Path) -> None:
    hostile.plant_endless_view(outbox)
    path = outbox / "outbound.db"
    assert path.stat().st_size < MIB
    with closing(sqlite3.connect(path)) as db:
        assert sum(1 for _ in islice(db.execute("SELECT id FROM messages_out"), 100_000)) == 100_000

    with pytest.raises(Violation, match="schema"):
        read(outbox)


def test_a_row_of_300_mb_takes_no_memory(outbox: Path) -> None:
    claimed = hostile.plant_huge_cells(outbox, claimed_bytes=300_000_000)
    path = outbox / "outbound.db"
    assert path.stat().st_blocks * 512 < MIB
    with child(hostile.plain_reader, f"file:{path}") as reader:
        assert [reader.hear(), reader.hear()] == ["opening", "opened"]
        reader.tell()
        rows, characters = reader.hear().split(", ")
        assert rows == "1 rows"
        assert int(characters.split()[0]) > claimed - 100

    with pytest.raises(Violation, match="allowed"):
        read(outbox)


def test_a_cell_larger_than_a_message_can_be_is_refused(outbox: Path) -> None:
    hostile.plant_huge_cells(outbox, claimed_bytes=20_000_000)
    with pytest.raises(Violation, match="too big"):
        read(outbox)


def test_rows_that_share_their_pages_do_not_add_up(outbox: Path) -> None:
    claimed = hostile.plant_huge_cells(outbox, claimed_bytes=9_000_000, cells=7)
    path = outbox / "outbound.db"
    with closing(sqlite3.connect(path)) as db:
        contents = db.execute("SELECT content FROM messages_out NOT INDEXED").fetchall()
    assert sum(len(content) for (content,) in contents) > 6 * claimed > 6 * 0.9 * path.stat().st_size

    with pytest.raises(Violation, match="add up"):
        read(outbox)


def test_a_text_that_is_none_counts_with_all_that_it_claims(outbox: Path) -> None:
    hostile.plant_huge_cells(outbox, claimed_bytes=9_000_000, cells=7, filled_with=b"\xff")
    with pytest.raises(Violation, match="add up"):
        read(outbox)


def test_more_rows_that_do_not_validate_than_a_few_are_a_violation(outbox: Path) -> None:
    write_outbound(outbox, [message_row(2 * number + 1, kind="bad") for number in range(100)])
    assert len(read(outbox).rejected) == 100
    insert = "INSERT INTO processing_ack VALUES ('a', 'bogus', 1, NULL)"
    with closing(sqlite3.connect(outbox / "outbound.db")) as db, db:
        db.execute(insert)
    with pytest.raises(Violation, match="more than 100 rows do not validate, at first: unknown kind 'bad'"):
        read(outbox)


def test_a_million_rows_are_counted_no_further_than_the_bound(outbox: Path) -> None:
    hostile.plant_million_rows(outbox)
    path = outbox / "outbound.db"
    assert path.stat().st_size < MIB
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(id) FROM messages_out NOT INDEXED").fetchone()[0] > 1_000_000

    with pytest.raises(Violation, match="more than 2000 rows"):
        read(outbox, bounds=Bounds(rejected=10_000))


def test_rows_without_an_end_are_read_until_the_deadline(outbox: Path) -> None:
    hostile.plant_million_rows(outbox)
    with pytest.raises(Costly):
        snapshot.read(outbox, bounds=Bounds(messages=10**7, rejected=10**7), deadline_seconds=0.05)


def test_rows_that_are_slow_to_validate_are_read_until_the_deadline(honest: bytes) -> None:
    with pytest.raises(Costly, match="validating"):
        parse(honest, Bounds(), Deadline(0))


def test_a_query_without_an_end_is_ended_by_the_deadline(honest: bytes) -> None:
    endless = "WITH RECURSIVE endless (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless) SELECT max(n) FROM endless"
    with (
        closing(in_memory(honest, Bounds(), Deadline(0.01))) as db,
        pytest.raises(Costly, match="too long"),
        translating("outbound.db"),
    ):
        db.execute(endless).fetchone()


def test_a_sparse_terabyte_is_refused(outbox: Path) -> None:
    path = write_outbound(outbox, [message_row(1)])
    hostile.make_sparse(path, 10**12)
    with child(hostile.plain_file_reader, path) as reader:
        assert reader.hear() == "MemoryError"

    with pytest.raises(Violation, match="allowed"):
        read(outbox)


# ---------------------------------------------------------------- schemas


def test_the_copy_in_memory_trusts_nothing_and_cannot_be_written(honest: bytes) -> None:
    with closing(in_memory(honest, Bounds(), Deadline(PATIENCE_SECONDS))) as db:
        assert db.execute("PRAGMA trusted_schema").fetchone()[0] == 0
        assert db.execute("PRAGMA cell_size_check").fetchone()[0] == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM messages_out")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE messages_out ADD COLUMN more TEXT",
        "CREATE TRIGGER t AFTER INSERT ON messages_out BEGIN DELETE FROM processing_ack; END",
        "CREATE INDEX i ON messages_out (abs(seq))",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE more (id)",
        "CREATE VIRTUAL TABLE more USING fts5 (text)",
        "DROP TABLE processing_ack",
        "ANALYZE",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 2000000000",
        "PRAGMA user_version = -1",
    ],
)
def test_a_schema_that_is_not_the_agents_is_refused(outbox: Path, statement: str) -> None:
    path = write_outbound(outbox, [message_row(1)], statements=[statement])
    assert ids_that_sqlite_reads(path) == ["out-1"]
    with pytest.raises(Violation, match="schema"):
        read(outbox)


def test_a_column_that_is_made_while_it_is_read_is_never_made(outbox: Path) -> None:
    path = write_outbound(
        outbox,
        [message_row(1)],
        statements=["ALTER TABLE messages_out ADD COLUMN more AS (zeroblob(500000000))"],
    )
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT length(more) FROM messages_out").fetchone()[0] == 500_000_000
    with pytest.raises(Violation, match="schema"):
        read(outbox)


def test_an_index_that_is_listed_twice_is_refused(outbox: Path) -> None:
    twice = (
        "INSERT INTO sqlite_schema SELECT * FROM sqlite_schema WHERE name LIKE '%autoindex_messages_out_2'"
    )
    path = write_outbound(outbox, [message_row(1)], statements=["PRAGMA writable_schema = ON", twice])
    assert ids_that_sqlite_reads(path) == ["out-1"]
    with pytest.raises(Violation, match="schema"):
        read(outbox)


def test_an_index_that_lost_its_name_is_refused(outbox: Path) -> None:
    tampering = ["PRAGMA writable_schema = ON", "DELETE FROM sqlite_schema WHERE name LIKE '%autoindex%'"]
    write_outbound(outbox, [message_row(1)], statements=tampering)
    with pytest.raises(Violation):
        read(outbox)


def test_a_database_in_utf16_is_refused(outbox: Path) -> None:
    path = outbox / "outbound.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA encoding = 'UTF-16'")
        db.execute("CREATE TABLE t (x)")
    with pytest.raises(Violation, match="UTF-8"):
        read(outbox)


# ---------------------------------------------------------------- corruption


@pytest.fixture(scope="module")
def honest() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        rows = [message_row(seq, content='{"text": "' + "x" * (seq * 97) + '"}') for seq in range(1, 61, 2)]
        statements = [
            "INSERT INTO processing_ack VALUES ('in-2', 'completed', 1, NULL)",
            """INSERT INTO session_state VALUES ('tool', '{"name": "bash", "deadline": 1}', 1)""",
        ]
        return write_outbound(Path(folder), rows, statements=statements, page_bytes=1024).read_bytes()


def test_a_page_of_garbage_is_not_an_error_of_sqlite(outbox: Path, honest: bytes) -> None:
    path = outbox / "outbound.db"
    path.write_bytes(honest[:1024] + b"\xff" * 1024 + honest[2048:])
    with pytest.raises(sqlite3.DatabaseError):
        ids_that_sqlite_reads(path)
    with pytest.raises(Violation):
        read(outbox)


@pytest.mark.parametrize(
    "content", [b"\0", b"x" * 99, b"SQLite format 3\0", b"\0" * 4096, b"not a database" * 400]
)
def test_a_file_that_is_no_database_is_refused(outbox: Path, content: bytes) -> None:
    (outbox / "outbound.db").write_bytes(content)
    with pytest.raises(Violation, match=r"^outbound.db is (not a|too short for a) database$"):
        read(outbox)


@pytest.mark.parametrize("change", [-1, -1024, 1, 1024])
def test_a_size_that_the_header_does_not_say_is_refused(outbox: Path, honest: bytes, change: int) -> None:
    path = outbox / "outbound.db"
    path.write_bytes(honest.ljust(len(honest) + change, b"\0")[: len(honest) + change])
    with pytest.raises(Violation, match="size"):
        read(outbox)


@pytest.mark.parametrize("page_bytes", [0, 256, 768, 32767])
def test_a_page_size_that_sqlite_does_not_have_is_refused(
    outbox: Path, honest: bytes, page_bytes: int
) -> None:
    pages = len(honest) // max(page_bytes, 1)
    image = bytearray(honest[: pages * page_bytes] or honest)
    image[16:18] = page_bytes.to_bytes(2, "big")
    image[28:32] = pages.to_bytes(4, "big")
    (outbox / "outbound.db").write_bytes(image)
    with pytest.raises(Violation, match="size"):
        read(outbox)


PAGES = 100
"""More than the file has: a place beyond its end is taken from its start again."""
places = st.one_of(
    st.integers(0, PAGES * 1024),
    st.builds(lambda page, place: page * 1024 + place, st.integers(0, PAGES), st.integers(0, 40)),
    st.integers(16, 99),
)


@settings(
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=12))
def test_no_corruption_gets_past(outbox: Path, honest: bytes, damage: list[tuple[int, int]]) -> None:
    image = bytearray(honest)
    for place, value in damage:
        image[place % len(image)] = value
    (outbox / "outbound.db").write_bytes(image)
    with suppress(SnapshotError):
        assert isinstance(snapshot.read(outbox), Snapshot)


# ---------------------------------------------------------------- files beside it


@pytest.fixture
def sent(outbox: Path) -> Path:
    path = outbox / "files" / "out-1"
    path.mkdir(parents=True)
    return path


@pytest.mark.parametrize("kind", NOT_A_FILE)
def test_an_attachment_that_is_no_file_of_its_own_is_refused(
    outbox: Path, sent: Path, elsewhere: Path, kind: str
) -> None:
    plant(sent / "a.txt", kind, elsewhere / "secret")
    if kind in {"link", "hard link"}:
        assert (sent / "a.txt").read_text() == SECRET
    with pytest.raises(Violation):
        snapshot.read_file(outbox, "out-1", "a.txt", max_bytes=MIB)


@pytest.mark.parametrize("step", ["files", "files/out-1"])
def test_no_folder_on_the_way_may_be_a_link(outbox: Path, sent: Path, elsewhere: Path, step: str) -> None:
    (elsewhere / "out-1").mkdir()
    for folder in (elsewhere, elsewhere / "out-1"):
        (folder / "a.txt").write_text(SECRET)
    sent.rmdir()
    if step == "files":
        sent.parent.rmdir()
    (outbox / step).symlink_to(elsewhere)
    assert (sent / "a.txt").read_text() == SECRET
    with pytest.raises(Violation):
        snapshot.read_file(outbox, "out-1", "a.txt", max_bytes=MIB)


BAD_NAMES = [
    "",
    ".",
    "..",
    "../secret",
    "../../../elsewhere/secret",
    "/etc/passwd",
    "a/b",
    "a/",
    "a\0b",
    "x" * 256,
    "é" * 128,
    "\ud800",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_a_name_that_is_more_than_a_name_is_refused(
    outbox: Path, sent: Path, elsewhere: Path, name: str
) -> None:
    (outbox / "files" / "a.txt").write_text("not yours to name")
    with pytest.raises(Violation):
        snapshot.read_file(outbox, "out-1", name, max_bytes=MIB)
    with pytest.raises(Violation):
        snapshot.read_file(outbox, name, "a.txt", max_bytes=MIB)


def test_an_attachment_of_a_sparse_terabyte_is_refused(outbox: Path, sent: Path) -> None:
    hostile.make_sparse(sent / "a.txt", 10**12)
    with pytest.raises(Violation, match="allowed"):
        snapshot.read_file(outbox, "out-1", "a.txt", max_bytes=25 * MIB)


def test_a_lease_on_an_attachment_does_not_hold_the_reader(outbox: Path, sent: Path) -> None:
    path = sent / "a.txt"
    path.write_text("leased")
    path.chmod(0o666)
    with child(hostile.lease_holder, path) as holder:
        assert holder.hear() == "leased"
        with pytest.raises(Busy, match="lease"):
            snapshot.read_file(outbox, "out-1", "a.txt", max_bytes=MIB)


def test_an_attachment_that_grows_is_read_within_its_bound(outbox: Path, sent: Path) -> None:
    path = sent / "a.txt"
    with child(hostile.grower, path) as grower:
        assert grower.hear() == "growing"
        for _ in range(100):
            with suppress(Busy, Violation):
                content = snapshot.read_file(outbox, "out-1", "a.txt", max_bytes=MIB)
                assert len(content) <= MIB


def test_an_attachment_swapped_for_a_link_leads_nowhere(outbox: Path, sent: Path, elsewhere: Path) -> None:
    path = sent / "a.txt"
    honest = outbox / "honest.txt"
    honest.write_text("honest")
    seen: set[bytes] = set()
    with child(hostile.swapper, path, honest, elsewhere / "secret") as swapper:
        assert swapper.hear() == "swapping"
        for _ in range(1_000):
            with suppress(Busy, Violation):
                seen.add(snapshot.read_file(outbox, "out-1", "a.txt", max_bytes=MIB))
    assert seen == {b"honest"}
