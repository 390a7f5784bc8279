"""Archives that may be anybody's: what is whole is unpacked, and nothing else ever leaves its folder."""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import random
import sqlite3
import tarfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from bot.backup.archive import unpack
from bot.backup.errors import ArchiveRefused
from bot.backup.layout import MAX_MTIME, Bounds, mtime
from bot.backup.manifest import Manifest
from bot.backup.restore import verify
from bot.backup.tree import Sighting
from bot.backup.writer import _like
from bot.db.migrations import MIGRATIONS
from tests.fakes.hostile import message_row, write_outbound

MIB = 2**20
BOUNDS = Bounds(file_bytes=MIB, session_bytes=4 * MIB, total_bytes=8 * MIB, session_members=100, members=200)
Member = tuple[tarfile.TarInfo, bytes]


def bot_db(folder: Path, *statements: str) -> bytes:
    path = folder / "made.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for group in MIGRATIONS:
            for statement in group:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute(
            "INSERT INTO sessions (id, agent, channel, platform_id, created_at, last_active)"
            " VALUES ('s1', 'assistant', 'fake', 'p1', 1, 1)"
        )
        for statement in statements:
            db.execute(statement)
    return path.read_bytes()


def outbound_db(folder: Path) -> bytes:
    outbox = folder / "outbox"
    outbox.mkdir()
    return write_outbound(outbox, [message_row(1)]).read_bytes()


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    return info, content


def manifest(members: Iterable[Member]) -> Manifest:
    files = {info.name: hashlib.sha256(content).hexdigest() for info, content in members if info.isreg()}
    return Manifest(
        roost="1", created_at=1, database=1, protocol=1, sessions=1, messages=0, unfinished=0, bytes=0,
        skipped={}, refused={}, sha256=files,
    )  # fmt: skip


def told(said: Manifest) -> Member:
    return member("manifest.json", said.model_dump_json().encode())


def pack(path: Path, members: Iterable[Member]) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def whole(folder: Path) -> list[Member]:
    folder.mkdir(exist_ok=True)
    script = member("sessions/s1/work/run.sh", b"#!/bin/sh\n")
    script[0].mode = 0o4755
    members = [
        member("bot.db", bot_db(folder)),
        member("sessions/s1/out/outbound.db", outbound_db(folder)),
        member("sessions/s1/work/empty", kind=tarfile.DIRTYPE),
        script,
        member("sessions/s1/in/files/m1/1-a.txt", b"from a person"),
    ]
    return [*members, told(manifest(members))]


@pytest.fixture
def members(tmp_path: Path) -> list[Member]:
    return whole(tmp_path / "sources")


def refused(tmp_path: Path, members: Iterable[Member], bounds: Bounds = BOUNDS) -> str:
    """Why the archive was refused; nothing but its own folder has changed."""
    return refused_file(tmp_path, pack(tmp_path / "a.tar.gz", members), bounds)


def refused_file(tmp_path: Path, archive: Path, bounds: Bounds = BOUNDS) -> str:
    into = tmp_path / "deep" / "down" / "into"
    into.mkdir(parents=True)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(ArchiveRefused) as caught:
        unpack(archive, into, bounds)
    assert {path for path in tmp_path.rglob("*") if into not in path.parents} == before
    assert all(path.is_dir() or path.is_file() for path in into.rglob("*"))
    assert not any(path.is_symlink() for path in into.rglob("*"))
    return str(caught.value)


# ---------------------------------------------------------------- what is whole


@pytest.mark.parametrize(
    ("claimed", "kept"),
    [(2.0**63, MAX_MTIME), (-5, 0), (1_700_000_000.9, 1_700_000_000)],
)
def test_a_file_of_any_time_can_be_put_back(
    tmp_path: Path, members: list[Member], claimed: float, kept: int
) -> None:
    into = tmp_path / "into"
    into.mkdir()
    members[-2][0].mtime = claimed
    unpack(pack(tmp_path / "a.tar.gz", members), into, BOUNDS)
    assert (into / members[-2][0].name).stat().st_mtime == kept


def test_a_time_that_no_tar_holds_is_not_written() -> None:
    found = os.stat_result([0o600, 1, 1, 1, 1, 1, 0, 0, 2**63 - 1, 0])
    assert (mtime(math.inf), mtime(math.nan)) == (MAX_MTIME, 0)
    assert _like(Sighting("home/x", found), tarfile.REGTYPE).mtime == MAX_MTIME


def test_a_whole_archive_is_unpacked_as_it_should_lie(tmp_path: Path, members: list[Member]) -> None:
    into = tmp_path / "into"
    into.mkdir()
    said = unpack(pack(tmp_path / "a.tar.gz", members), into, BOUNDS)
    assert said == manifest(members[:-1])
    modes = {str(path.relative_to(into)): path.stat().st_mode & 0o7777 for path in into.rglob("*")}
    assert modes == {
        "bot.db": 0o600,
        "sessions": 0o700,
        "sessions/s1": 0o700,
        "sessions/s1/in": 0o755,
        "sessions/s1/in/files": 0o755,
        "sessions/s1/in/files/m1": 0o755,
        "sessions/s1/in/files/m1/1-a.txt": 0o644,
        "sessions/s1/out": 0o777,
        "sessions/s1/out/outbound.db": 0o666,
        "sessions/s1/work": 0o777,
        "sessions/s1/work/empty": 0o777,
        "sessions/s1/work/run.sh": 0o777,
    }
    verify(tmp_path / "a.tar.gz", BOUNDS)


# ---------------------------------------------------------------- names and kinds


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../x",
        "..",
        "sessions/../../x",
        "sessions/s1/work/../../../../x",
        "sessions/s1/work/./x",
        "sessions//s1/work/x",
        "sessions/../bot.db",
        "sessions/s 1/work/x",
        "sessions/s1/x",
        "sessions/s1/bell/bell.sock",
        "sessions/s1/in/inbound.db-journal",
        "sessions/s1/out/outbound.db-journal",
        "sessions/s1/out/outbound.db/x",
        "sessions/s1/work/" + "x" * 256,
        "sessions/s1/work/" + "x/" * 1600 + "x",
        "incoming/../x",
        "incoming/x",
        "deadletters/x",
        "deadletters/../1",
        "deadletters/x/a.txt",
        "deadletters/x/1/1",
        "roost.lock",
        "config.toml",
        "bot.db-wal",
    ],
)
def test_a_name_that_does_not_belong_there_is_refused(
    tmp_path: Path, members: list[Member], name: str
) -> None:
    bad = [*members[:-1], member(name, b"x")]
    assert "which" in refused(tmp_path, [*bad, told(manifest(bad))])


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_links_and_devices_are_refused(tmp_path: Path, members: list[Member], kind: bytes) -> None:
    link, _ = member("sessions/s1/work/link", kind=kind)
    link.linkname = str(tmp_path / "victim")
    bad = [(link, b""), member("sessions/s1/work/link/x", b"through it"), *members]
    assert "neither file nor folder" in refused(tmp_path, bad)


def test_a_sparse_file_is_refused(tmp_path: Path, members: list[Member]) -> None:
    sparse, _ = member("sessions/s1/work/sparse")
    sparse.pax_headers = {
        "GNU.sparse.size": "1000000000000",
        "GNU.sparse.numblocks": "0",
        "GNU.sparse.map": "",
        "GNU.sparse.name": "sessions/s1/work/sparse",
    }
    assert refused(tmp_path, [(sparse, b""), *members])


# ---------------------------------------------------------------- too much


def test_a_file_beyond_the_bound_is_refused(tmp_path: Path, members: list[Member]) -> None:
    big = member("sessions/s1/work/big", bytes(MIB + 1))
    assert "too large" in refused(tmp_path, [big, *members])


def test_files_beyond_the_bound_together_are_refused(tmp_path: Path, members: list[Member]) -> None:
    bounds = Bounds(MIB, MIB, MIB)
    many = [member(f"sessions/s1/work/{n}", bytes(MIB)) for n in range(2)]
    assert "too large" in refused(tmp_path, [*many, *members], bounds)


def test_more_files_than_the_bound_are_refused(tmp_path: Path, members: list[Member]) -> None:
    many = [member(f"sessions/s1/work/{n}", kind=tarfile.DIRTYPE) for n in range(500)]
    assert "too many" in refused(tmp_path, [*many, *members])


def test_a_size_that_is_only_claimed_is_refused(tmp_path: Path, members: list[Member]) -> None:
    claimed, _ = member("sessions/s1/work/claimed")
    claimed.size = 2**62
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(claimed.tobuf(tarfile.GNU_FORMAT) + bytes(10240)))
    assert "too large" in refused_file(tmp_path, archive)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, kind: bytes) -> None:
    header, _ = member("bomb", kind=kind)
    header.size = 20 * MIB
    archive = tmp_path / "a.tar.gz"
    with gzip.open(archive, "wb", 1) as packed:
        packed.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(20):
            packed.write(bytes(MIB))
    assert "memory" in refused_file(tmp_path, archive)


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    header, _ = member("././@LongLink", kind=tarfile.GNUTYPE_LONGNAME)
    header.size = 1
    one = header.tobuf(tarfile.GNU_FORMAT) + b"x".ljust(512, b"\0")
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(one * 20_000))
    assert refused_file(tmp_path, archive)


# ---------------------------------------------------------------- damaged


def test_an_archive_that_is_cut_anywhere_is_refused(tmp_path: Path, members: list[Member]) -> None:
    content = pack(tmp_path / "a.tar.gz", members).read_bytes()
    for number, end in enumerate(
        [0, 1, 10, 30, *range(100, len(content), len(content) // 40), len(content) - 1]
    ):
        cut = tmp_path / "cut.tar.gz"
        cut.write_bytes(content[:end])
        into = tmp_path / str(number)
        into.mkdir()
        with pytest.raises(ArchiveRefused):
            unpack(cut, into, BOUNDS)


def test_a_tar_that_is_cut_before_it_was_packed_is_refused(tmp_path: Path, members: list[Member]) -> None:
    content = gzip.decompress(pack(tmp_path / "a.tar.gz", members).read_bytes())
    for number, end in enumerate(range(0, content.rindex(b"manifest.json"), 512 * 7)):
        cut = tmp_path / "cut.tar.gz"
        cut.write_bytes(gzip.compress(content[:end], 1))
        into = tmp_path / str(number)
        into.mkdir()
        with pytest.raises(ArchiveRefused):
            unpack(cut, into, BOUNDS)


def test_a_changed_byte_is_found_wherever_it_is(tmp_path: Path, members: list[Member]) -> None:
    content = pack(tmp_path / "a.tar.gz", members).read_bytes()
    name_end = content.index(b"\0", 10) + 1
    chance = random.Random(1)
    for number in range(60):
        changed = bytearray(content)
        changed[chance.randrange(name_end, len(content))] ^= 1 << chance.randrange(8)
        if means_the_same(changed, content):
            continue
        broken = tmp_path / "broken.tar.gz"
        broken.write_bytes(changed)
        into = tmp_path / str(number)
        into.mkdir()
        with pytest.raises(ArchiveRefused):
            unpack(broken, into, BOUNDS)


def means_the_same(changed: bytearray, content: bytes) -> bool:
    """Between two blocks of deflate lie bits that no block uses (RFC 1951, section 3.2.4)."""
    try:
        return gzip.decompress(changed) == gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return False


def wrong_checksum(members: list[Member]) -> list[Member]:
    said = manifest(members[:-1])
    sums = {**said.sha256, "sessions/s1/work/run.sh": "0" * 64}
    return [*members[:-1], told(said.model_copy(update={"sha256": sums}))]


def missing_file(members: list[Member]) -> list[Member]:
    return [each for each in members if each[0].name != "sessions/s1/work/run.sh"]


def more_files(members: list[Member]) -> list[Member]:
    return [member("sessions/s1/work/more", b"x"), *members]


def a_file_twice(members: list[Member]) -> list[Member]:
    return [members[3], *members]


def a_file_as_folder(members: list[Member]) -> list[Member]:
    return [member("sessions/s1/work/run.sh/x", b"x"), *members]


def after_the_manifest(members: list[Member]) -> list[Member]:
    return [*members, member("sessions/s1/work/late", b"x")]


def two_manifests(members: list[Member]) -> list[Member]:
    return [*members, members[-1]]


def no_manifest(members: list[Member]) -> list[Member]:
    return members[:-1]


def no_database(members: list[Member]) -> list[Member]:
    return [*members[1:-1], told(manifest(members[1:-1]))]


def manifest_of_another_kind(members: list[Member]) -> list[Member]:
    return [*members[:-1], member("manifest.json", b'{"version": 2}')]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (wrong_checksum, "has changed"),
        (missing_file, "is missing"),
        (more_files, "does not name"),
        (a_file_twice, "twice"),
        (a_file_as_folder, "twice"),
        (after_the_manifest, "after its manifest"),
        (two_manifests, "after its manifest"),
        (no_manifest, "its end is missing"),
        (no_database, "no bot.db"),
        (manifest_of_another_kind, "manifest"),
    ],
)
def test_what_the_manifest_does_not_say_is_refused(
    tmp_path: Path, members: list[Member], change: Callable[[list[Member]], list[Member]], says: str
) -> None:
    assert says in refused(tmp_path, change(members))


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b", b"hello", gzip.compress(b"", mtime=0), gzip.compress(b"x" * 2000, mtime=0)]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(content)
    assert refused_file(tmp_path, archive)


def test_a_fifo_in_place_of_an_archive_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tar.gz")
    assert "not a file" in refused_file(tmp_path, tmp_path / "a.tar.gz")
    with pytest.raises(ArchiveRefused, match="No such file"):
        verify(tmp_path / "none.tar.gz", BOUNDS)


# ---------------------------------------------------------------- the databases in it


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (f"PRAGMA user_version = {len(MIGRATIONS) + 1}", "newer Roost"),
        ("PRAGMA user_version = 0", "no version"),
        ("CREATE TRIGGER evil AFTER UPDATE ON sessions BEGIN DELETE FROM inbox; END", "schema"),
        ("CREATE VIEW evil AS SELECT 1", "schema"),
        ("DROP TABLE deliveries", "schema"),
        ("UPDATE sessions SET id = '../../victim'", "id"),
        ("UPDATE sessions SET id = ''", "id"),
        (
            "INSERT INTO inbox (id, event_id, session, seq, kind, trigger, state, created_at, accepted_at,"
            " channel, platform_id, content) VALUES ('../x', 'e', 's1', 2, 'chat', 1, 'accepted', 1, 1, 'c',"
            " 'p', '{}')",
            "id",
        ),
    ],
)
def test_a_bot_db_that_is_not_ours_is_refused(tmp_path: Path, statement: str, says: str) -> None:
    forged = [member("bot.db", bot_db(tmp_path, statement))]
    with pytest.raises(ArchiveRefused, match=says):
        verify(pack(tmp_path / "a.tar.gz", [*forged, told(manifest(forged))]), BOUNDS)


def test_a_bot_db_with_a_damaged_page_is_refused(tmp_path: Path) -> None:
    content = bytearray(bot_db(tmp_path))
    content[4096 * 3 : 4096 * 3 + 64] = b"\xff" * 64
    forged = [member("bot.db", bytes(content))]
    with pytest.raises(ArchiveRefused, match=r"bot\.db"):
        verify(pack(tmp_path / "a.tar.gz", [*forged, told(manifest(forged))]), BOUNDS)


@pytest.mark.parametrize("name", ["out/outbound.db", "in/inbound.db"])
def test_any_other_database_that_is_none_is_refused(tmp_path: Path, members: list[Member], name: str) -> None:
    path = f"sessions/s1/{name}"
    bad = [each for each in members[:-1] if each[0].name != path] + [member(path, b"garbage" * 1000)]
    with pytest.raises(ArchiveRefused, match=name.partition("/")[2]):
        verify(pack(tmp_path / "a.tar.gz", [*bad, told(manifest(bad))]), BOUNDS)
