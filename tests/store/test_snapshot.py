"""Reading outbound.db and its files: honest writers, dead writers, and rows that do not validate."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.protocol import snapshot
from agent.protocol.messages import Ack, MessageOut
from agent.protocol.schema import VERSION
from agent.protocol.snapshot import Bounds, Busy, HotJournal, Missing, Snapshot, SnapshotError, Violation
from agent.protocol.snapshot.bounds import Deadline
from agent.protocol.snapshot.errors import translating
from agent.protocol.snapshot.files import opened_file, opened_folder, read_bytes
from agent.protocol.snapshot.image import shared_lock
from tests.fakes import hostile
from tests.fakes.hostile import PATIENCE_SECONDS, child, message_row, write_outbound

MIB = 2**20


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


def read(outbox: Path, *, bounds: Bounds = Bounds()) -> Snapshot:  # noqa: B008
    return snapshot.read(outbox, bounds=bounds, deadline_seconds=PATIENCE_SECONDS)


def journal(outbox: Path) -> Path:
    return outbox / "outbound.db-journal"


# ---------------------------------------------------------------- what is there


def test_everything_that_the_agent_wrote_comes_back(outbox: Path) -> None:
    rows = [message_row(seq, in_reply_to="in-2", thread_id="7", deliver_after=5) for seq in (5, 1, 3)]
    path = write_outbound(
        outbox,
        rows,
        statements=[
            "INSERT INTO processing_ack VALUES ('in-2', 'completed', 1700, 'turn-1')",
            "INSERT INTO processing_ack VALUES ('in-4', 'processing', 1701, NULL)",
            """INSERT INTO session_state VALUES ('tool', '{"name": "bash", "deadline": 1800}', 1), ('seq', '5', 1)""",
        ],
    )

    found = read(outbox)

    assert found.messages == tuple(MessageOut.from_row(rows[place]) for place in (1, 2, 0))
    assert found.acks == (
        Ack(message_id="in-2", status="completed", status_changed=1700, turn_id="turn-1"),
        Ack(message_id="in-4", status="processing", status_changed=1701),
    )
    assert found.tool_deadline == 1800
    assert found.rejected == ()
    assert found.size == path.stat().st_size


def test_an_outbox_without_a_database_is_missing(outbox: Path, tmp_path: Path) -> None:
    with pytest.raises(Missing):
        read(outbox)
    with pytest.raises(Missing):
        read(tmp_path / "none")


def test_a_database_that_was_only_created_is_missing(outbox: Path) -> None:
    (outbox / "outbound.db").touch()
    with pytest.raises(Missing):
        read(outbox)


@pytest.mark.parametrize("statements", [[], ["INSERT INTO session_state VALUES ('tool', '', 1)"]])
def test_no_tool_is_in_flight(outbox: Path, statements: list[str]) -> None:
    write_outbound(outbox, statements=statements)
    found = read(outbox)
    assert (found.tool_deadline, found.rejected) == (None, ())


@pytest.mark.parametrize("page_bytes", [512, 65536])
def test_every_page_size_is_read(outbox: Path, page_bytes: int) -> None:
    rows = [message_row(1, content=json.dumps({"text": "long " * 50_000}))]
    write_outbound(outbox, rows, page_bytes=page_bytes)
    assert read(outbox).messages == (MessageOut.from_row(rows[0]),)


def test_the_longest_text_of_a_message_is_read_even_when_all_of_it_is_escaped(outbox: Path) -> None:
    text = '\x01"' * MIB
    write_outbound(outbox, [message_row(1, content=json.dumps({"text": text}))])
    (message,) = read(outbox).messages
    assert message.content.model_dump()["text"] == text


def test_a_backslash_at_the_end_of_a_name_does_not_turn_text_into_structure(outbox: Path) -> None:
    content = {"attachments": [{"name": "back\\", "size": 1, "path": "a"}], "text": "x" * 100_000}
    write_outbound(outbox, [message_row(1, content=json.dumps(content))])
    assert len(read(outbox).messages) == 1


def test_a_file_that_was_vacuumed_is_read(outbox: Path) -> None:
    rows = [message_row(seq) for seq in range(1, 400, 2)]
    write_outbound(outbox, rows, statements=["DELETE FROM messages_out WHERE seq > 1", "VACUUM"])
    assert [message.seq for message in read(outbox).messages] == [1]


# ---------------------------------------------------------------- rows that do not validate


def wide(length: int) -> str:
    return '{"text": [' + "1," * length + "1]}"


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"seq": 8}, "even"),
        ({"seq": 2**63 - 1}, "seq"),
        ({"seq": 1.5}, "seq"),
        ({"seq": -7}, "seq"),
        ({"seq": b"\0\xff"}, "seq is a BLOB"),
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"id": b"out"}, "id is a BLOB"),
        ({"id": "x" * 201}, "id"),
        ({"kind": "root"}, "unknown kind"),
        ({"kind": "x" * MIB}, "unknown kind"),
        ({"created_at": -1}, "created_at"),
        ({"created_at": 1e300}, "created_at"),
        ({"channel": "x" * MIB}, "channel"),
        ({"platform_id": b"100"}, "platform_id is a BLOB"),
        ({"thread_id": ""}, "thread_id"),
        ({"content": "not JSON"}, "JSON"),
        ({"content": b'{"text": "a BLOB passes a typed column"}'}, "content is a BLOB"),
        ({"content": '{"text": "\\ud800"}'}, "JSON"),
        ({"content": "[" * 60_000}, "recursion"),
        ({"content": '{"text": ' + '{"a":' * 50_000}, "parts"),
        ({"content": wide(100_000)}, "parts"),
        ({"content": "{" + ",".join(f'"{n}":1' for n in range(100_000)) + "}"}, "parts"),
        ({"content": "{" + ",".join(f'"{n}":1' for n in range(5_000)) + "}"}, "5000 fields"),
        ({"content": '{"text": "x", "extra": 1}'}, "extra"),
        ({"content": '{"text": 1}'}, "text"),
        ({"content": json.dumps({"text": "x" * (2 * MIB + 1)})}, "text"),
        ({"content": '{"attachments": [{"name": "a", "size": 1, "path": "../a"}]}'}, "path"),
    ],
)
def test_one_bad_row_does_not_hide_the_good_ones(outbox: Path, columns: dict[str, Any], reason: str) -> None:
    write_outbound(outbox, [message_row(1), message_row(3, **columns), message_row(5)])

    found = read(outbox)

    assert [message.seq for message in found.messages] == [1, 5]
    (rejected,) = found.rejected
    assert reason in rejected.reason
    assert len(rejected.reason) <= 200
    assert rejected.reason.isprintable()


def test_a_row_that_is_not_utf8_is_rejected_alone(outbox: Path) -> None:
    write_outbound(
        outbox,
        [message_row(1), message_row(3), message_row(5)],
        statements=[
            "UPDATE messages_out SET platform_id = CAST(x'ff' AS TEXT) WHERE seq = 1",
            """UPDATE messages_out SET content = '{"text":"' || CAST(x'c3' AS TEXT) || '"}' WHERE seq = 3""",
        ],
    )
    found = read(outbox)
    assert [message.seq for message in found.messages] == [5]
    assert [rejected.id for rejected in found.rejected] == ["out-1", "out-3"]


def test_a_rejected_row_says_which_one_it_is_in_printable_text(outbox: Path) -> None:
    write_outbound(outbox, [message_row(3, id="\x1b[31mred", kind="\n\x1b[2J")])
    (rejected,) = read(outbox).rejected
    assert (rejected.id, rejected.seq) == ("?[31mred", 3)
    assert rejected.reason.isprintable()


def test_rows_that_repeat_an_id_or_a_seq_are_rejected(outbox: Path) -> None:
    rows = [
        message_row(1),
        message_row(3, id="out-1"),
        message_row(1, id="other", created_at=1),
        message_row(5),
    ]
    hostile.plant_forged_rows(outbox, rows)
    found = read(outbox)
    assert [message.id for message in found.messages] == ["out-1", "out-5"]
    assert [rejected.id for rejected in found.rejected] == ["out-1", "other"]


def test_text_in_a_column_of_numbers_is_rejected(outbox: Path) -> None:
    hostile.plant_forged_rows(
        outbox, [message_row(1, seq="1"), message_row(3, created_at=None), message_row(5)]
    )
    found = read(outbox)
    assert [message.seq for message in found.messages] == [5]
    assert len(found.rejected) == 2


@pytest.mark.parametrize(
    "values",
    [
        "'in-2', 'done', 1, NULL",
        "x'00', 'failed', 1, NULL",
        "'in-2', 'failed', 1.5, NULL",
        "NULL, 'failed', 1, NULL",
    ],
)
def test_an_ack_that_does_not_validate_is_rejected_alone(outbox: Path, values: str) -> None:
    write_outbound(
        outbox,
        statements=[
            "INSERT INTO processing_ack VALUES ('in-4', 'failed', 1, NULL)",
            f"INSERT INTO processing_ack VALUES ({values})",
        ],
    )
    found = read(outbox)
    assert [ack.message_id for ack in found.acks] == ["in-4"]
    assert len(found.rejected) == 1


@pytest.mark.parametrize(
    "value",
    ["'not JSON'", "x'7b7d'", "'{}'", "'" + "[" * 60_000 + "'", """'{"name": "x", "deadline": 1e400}'"""],
)
def test_a_tool_that_does_not_validate_is_none(outbox: Path, value: str) -> None:
    write_outbound(
        outbox, [message_row(1)], statements=[f"INSERT INTO session_state VALUES ('tool', {value}, 1)"]
    )
    found = read(outbox)
    assert found.tool_deadline is None
    assert [rejected.id for rejected in found.rejected] == ["tool"]
    assert len(found.messages) == 1


# ---------------------------------------------------------------- bounds


def test_as_many_rows_as_the_bounds_allow_are_read(outbox: Path) -> None:
    acks = [f"INSERT INTO processing_ack VALUES ('in-{n}', 'failed', 1, NULL)" for n in range(2)]
    write_outbound(outbox, [message_row(seq) for seq in (1, 3, 5)], statements=acks)
    found = read(outbox, bounds=Bounds(messages=3, acks=2))
    assert (len(found.messages), len(found.acks)) == (3, 2)


@pytest.mark.parametrize(
    ("bounds", "what"),
    [
        (Bounds(messages=2), "messages_out"),
        (Bounds(acks=1), "processing_ack"),
        (Bounds(file_bytes=4096), "bytes"),
        (Bounds(cell_bytes=900), "too big"),
    ],
)
def test_more_than_the_bounds_allow_is_a_violation(outbox: Path, bounds: Bounds, what: str) -> None:
    acks = [f"INSERT INTO processing_ack VALUES ('in-{n}', 'failed', 1, NULL)" for n in range(2)]
    rows = [message_row(seq, content=json.dumps({"text": "x" * 1000})) for seq in (1, 3, 5)]
    write_outbound(outbox, rows, statements=acks)
    with pytest.raises(Violation, match=what):
        read(outbox, bounds=bounds)


def test_a_tool_of_too_many_parts_is_not_parsed(outbox: Path) -> None:
    write_outbound(outbox, statements=[f"INSERT INTO session_state VALUES ('tool', '{wide(100_000)}', 1)"])
    (rejected,) = read(outbox).rejected
    assert "parts" in rejected.reason


def test_more_state_than_an_agent_keeps_is_a_violation(outbox: Path) -> None:
    numbers = (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1001) SELECT i, '', 1 FROM n"
    )
    write_outbound(outbox, statements=[f"INSERT INTO session_state {numbers}"])
    with pytest.raises(Violation, match="session_state"):
        read(outbox)


def test_no_time_left_is_busy(outbox: Path) -> None:
    write_outbound(outbox, [message_row(1)])
    with pytest.raises(Busy):
        snapshot.read(outbox, deadline_seconds=0)


# ---------------------------------------------------------------- living writers


@pytest.mark.parametrize("synchronous", ["FULL", "OFF"])
def test_a_writer_that_has_not_begun_its_commit_does_not_disturb(outbox: Path, synchronous: str) -> None:
    path = write_outbound(outbox, [message_row(1)])
    with child(hostile.waiting_writer, path, synchronous) as writer:
        assert writer.hear() == "written"
        assert journal(outbox).stat().st_size > 0
        assert (journal(outbox).read_bytes()[0] != 0) is (synchronous == "OFF")

        assert [message.seq for message in read(outbox).messages] == [1]

        writer.tell()
        assert writer.hear() == "committed"
    assert [message.seq for message in read(outbox).messages] == [1, 101]


def test_a_writer_that_waits_for_its_readers_is_let_past(outbox: Path) -> None:
    path = write_outbound(outbox, [message_row(1)])
    with (
        child(hostile.lock_holder, path, "BEGIN") as other_reader,
        child(hostile.waiting_writer, path, "FULL") as writer,
    ):
        assert other_reader.hear() == "locked"
        assert writer.hear() == "written"
        writer.tell()
        assert writer.hear() == "database is locked"

        with pytest.raises(Busy, match="waiting"):
            snapshot.read(outbox, deadline_seconds=0.05)

        other_reader.tell()
        assert other_reader.hear() == "released"
        writer.tell()
        assert writer.hear() == "committed"
    assert [message.seq for message in read(outbox).messages] == [1, 101]


def test_no_commit_passes_a_copy_and_no_copy_passes_a_waiting_commit(outbox: Path) -> None:
    path = write_outbound(outbox, [message_row(1)])
    with child(hostile.waiting_writer, path, "FULL") as writer:
        assert writer.hear() == "written"
        with (
            opened_folder(outbox) as folder,
            opened_file("outbound.db", folder) as db,
            shared_lock(db, Deadline(PATIENCE_SECONDS)),
        ):
            writer.tell()
            assert writer.hear() == "database is locked"
            with pytest.raises(Busy, match="waiting"):
                snapshot.read(outbox, deadline_seconds=0.05)
        writer.tell()
        assert writer.hear() == "committed"


def test_a_writer_that_takes_everything_back_never_looks_dead(outbox: Path) -> None:
    path = write_outbound(outbox, [message_row(1)])
    with child(hostile.regretful_writer, path) as writer:
        assert writer.hear() == "writing"
        for _ in range(500):
            assert [message.seq for message in read(outbox).messages] == [1]


def test_a_snapshot_leaves_no_lock_behind(outbox: Path) -> None:
    path = write_outbound(outbox, [message_row(1)])
    read(outbox)
    with pytest.raises(Violation):
        read(outbox, bounds=Bounds(file_bytes=1))
    with child(hostile.lock_holder, path, "BEGIN EXCLUSIVE") as writer:
        assert writer.hear() == "locked"


def test_the_lock_is_waited_for_within_the_deadline(outbox: Path) -> None:
    path = write_outbound(outbox, [message_row(1)])
    with child(hostile.lock_holder, path, "BEGIN EXCLUSIVE") as writer:
        assert writer.hear() == "locked"
        writer.tell()
        assert len(read(outbox).messages) == 1


@pytest.mark.parametrize("synchronous", ["FULL", "OFF"])
def test_every_snapshot_of_a_busy_writer_is_one_of_its_commits(outbox: Path, synchronous: str) -> None:
    path = write_outbound(outbox)
    taken: list[tuple[str, ...]] = []
    until = time.monotonic() + PATIENCE_SECONDS
    with child(hostile.pair_writer, path, synchronous) as writer:
        assert writer.hear() == "writing"
        while len(taken) < 200 and time.monotonic() < until:
            try:
                found = snapshot.read(outbox)
            except Busy:
                continue
            assert found.rejected == ()
            taken.append(tuple(message.content.model_dump()["text"] for message in found.messages))

    assert len(taken) == 200
    assert {len(texts) for texts in taken} == {2}
    assert all(one == other for one, other in taken)
    assert len(set(taken)) > 10


# ---------------------------------------------------------------- dead writers


def test_a_writer_killed_in_mid_commit_leaves_a_hot_journal(outbox: Path) -> None:
    rows = [message_row(seq, content=json.dumps({"text": "old" + "x" * 3000})) for seq in range(1, 100, 2)]
    path = write_outbound(outbox, rows)
    with child(hostile.spilling_writer, path) as writer:
        assert writer.hear() == "spilled"
        with pytest.raises(Busy):
            snapshot.read(outbox, deadline_seconds=0.05)
        writer.kill()
    # Whoever reads the file without its journal reads what was never committed.
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
        assert db.execute("SELECT count(*) FROM messages_out WHERE content LIKE '%new%'").fetchone()[0] > 0
    before = path.read_bytes(), journal(outbox).read_bytes()

    with pytest.raises(HotJournal):
        read(outbox)

    assert (path.read_bytes(), journal(outbox).read_bytes()) == before
    with child(hostile.recoverer, path) as agent:
        assert agent.hear() == "50"
    assert read(outbox).messages == tuple(MessageOut.from_row(row) for row in rows)


@pytest.mark.parametrize("mode", ["PERSIST", "TRUNCATE"])
def test_a_journal_that_was_finished_with_is_not_hot(outbox: Path, mode: str) -> None:
    statements = [f"PRAGMA journal_mode = {mode}", "DELETE FROM messages_out WHERE seq = 1"]
    write_outbound(outbox, [message_row(1), message_row(3)], statements=statements)
    assert (journal(outbox).stat().st_size > 0) is (mode == "PERSIST")
    assert [message.seq for message in read(outbox).messages] == [3]


# ---------------------------------------------------------------- files


@pytest.fixture
def sent(outbox: Path) -> Path:
    path = outbox / "files" / "out-1"
    path.mkdir(parents=True)
    return path


def test_a_file_of_a_message_is_read(outbox: Path, sent: Path) -> None:
    content = os.urandom(3 * MIB)
    (sent / "a b.bin").write_bytes(content)
    assert snapshot.read_file(outbox, "out-1", "a b.bin", max_bytes=3 * MIB) == content
    with pytest.raises(Violation, match="allowed"):
        snapshot.read_file(outbox, "out-1", "a b.bin", max_bytes=3 * MIB - 1)


def test_an_empty_file_is_read(outbox: Path, sent: Path) -> None:
    (sent / "empty").touch()
    assert snapshot.read_file(outbox, "out-1", "empty", max_bytes=0) == b""


@pytest.mark.parametrize("name", [("out-1", "none"), ("out-2", "none")])
def test_a_file_that_is_not_there_is_missing(outbox: Path, sent: Path, name: tuple[str, str]) -> None:
    with pytest.raises(Missing):
        snapshot.read_file(outbox, *name, max_bytes=10)


def test_no_more_of_a_growing_file_is_read_than_was_asked_for(outbox: Path) -> None:
    path = outbox / "long"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        assert read_bytes(file.fileno(), 4) == b"0123"
        assert read_bytes(file.fileno(), 40) == b"0123456789"


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOENT, "gone"), Missing),
        (OSError(errno.EAGAIN, "leased"), Busy),
        (OSError(errno.EMFILE, "too many"), Busy),
        (OSError(errno.EIO, "disk"), Busy),
        (OSError("no number"), Busy),
        (OSError(errno.ELOOP, "link"), Violation),
        (OSError(errno.EACCES, "mode 0"), Violation),
        (MemoryError(), Busy),
        (RecursionError("deep"), Violation),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), Violation),
        (OverflowError("large"), Violation),
        (sqlite3.DatabaseError("malformed"), Violation),
        (Missing("already ours"), Missing),
    ],
)
def test_every_error_becomes_one_of_ours(error: Exception, kind: type[SnapshotError]) -> None:
    with pytest.raises(kind) as caught, translating("the file"):
        raise error
    assert type(caught.value) is kind
    assert str(caught.value).isprintable()


def test_versions_that_are_not_known_are_a_violation(outbox: Path) -> None:
    write_outbound(outbox, version=VERSION + 1)
    with pytest.raises(Violation, match=f"version {VERSION + 1}"):
        read(outbox)
