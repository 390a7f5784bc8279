"""What a container can do to its outbox: honest files, hostile files, and processes that get in the way.

Run as a module (`python -m tests.fakes.hostile <role> <argument>...`) this is one of those processes. Each says
what it has reached, one line at a time, and goes on when it is told to, so that a test never has to wait by time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from agent.protocol.schema import OUTBOUND, VERSION, complete

PATIENCE_SECONDS: Final = 20.0
PAGE_BYTES: Final = 65536
NOBODY: Final = 65534
_ROOT: Final = Path(__file__).resolve().parents[2]
_JOURNAL_MAGIC: Final = bytes.fromhex("d9d505f920a163d7")

# ---------------------------------------------------------------- honest files


def message_row(seq: int, /, **columns: Any) -> dict[str, Any]:
    """A row of messages_out, valid unless `columns` says otherwise."""
    return {
        "id": f"out-{seq}",
        "seq": seq,
        "in_reply_to": None,
        "kind": "chat",
        "created_at": 1_700_000_000_000 + seq,
        "deliver_after": None,
        "turn_id": "turn-1",
        "channel": "discord",
        "platform_id": "100",
        "thread_id": None,
        "content": json.dumps({"text": f"text {seq}"}),
        **columns,
    }


def insert(db: sqlite3.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows into messages_out."""
    for row in rows:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        db.execute(f"INSERT INTO messages_out ({names}) VALUES ({marks})", tuple(row.values()))


def write_outbound(
    outbox: Path,
    rows: Iterable[Mapping[str, Any]] = (),
    *,
    statements: Iterable[str] = (),
    version: int = VERSION,
    page_bytes: int = 4096,
) -> Path:
    """An outbound.db as the agent makes it, and whatever `statements` do to it afterwards."""
    path = outbox / "outbound.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {page_bytes}")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        for statement in complete(OUTBOUND, VERSION):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
        insert(db, rows)
        db.execute("COMMIT")
        for statement in statements:
            db.execute(statement)
    return path


# ---------------------------------------------------------------- hostile files


def plant_super_journal(outbox: Path, victim: Path) -> None:
    """A hot journal that says it belongs to a transaction over several databases, whose list is `victim`.

    Who recovers it deletes the list at the end: that is how such a transaction commits.
    """
    db = write_outbound(outbox, [message_row(1)])
    pages = db.stat().st_size // 4096
    header = _JOURNAL_MAGIC + struct.pack(">IIIII", 0, 0, pages, 512, 4096)
    name = os.fsencode(victim)
    trailer = struct.pack(">II", len(name), sum(name)) + _JOURNAL_MAGIC
    locked_page = (0x40000000 // 4096 + 1).to_bytes(4, "big")
    (outbox / "outbound.db-journal").write_bytes(header.ljust(512, b"\0") + locked_page + name + trailer)


def plant_wal(outbox: Path) -> None:
    """outbound.db in WAL mode, with its -wal and -shm, as a living writer leaves them."""
    copies = outbox.parent / "wal"
    copies.mkdir()
    path = write_outbound(copies, [message_row(1)])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        insert(db, [message_row(3)])
        for name in ("outbound.db", "outbound.db-wal", "outbound.db-shm"):
            shutil.copy(copies / name, outbox / name)


def plant_forged_rows(outbox: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows that no constraint was asked about, under the agent's own schema."""
    path = write_outbound(outbox)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        genuine = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'messages_out'").fetchone()[0]
        names = ", ".join(message_row(1))
        db.execute("DROP TABLE messages_out")
        db.execute(f"CREATE TABLE messages_out ({names}, UNIQUE (id, created_at), UNIQUE (seq, created_at))")
        insert(db, rows)
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'messages_out'", (genuine,))


def plant_endless_view(outbox: Path) -> None:
    """A small file whose messages_out never ends."""
    path = write_outbound(outbox)
    columns = ", ".join(f"n AS {name}" for name in message_row(1))
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE messages_out")
        db.execute(
            "CREATE VIEW messages_out AS WITH RECURSIVE endless (n) AS"
            f" (SELECT 1 UNION ALL SELECT n + 1 FROM endless) SELECT {columns} FROM endless"
        )


def plant_huge_cells(outbox: Path, *, claimed_bytes: int, cells: int = 1, filled_with: bytes = b"A") -> int:
    """Rows of about `claimed_bytes` each, all from one page that names itself as its successor.

    The file is sparse and takes a few pages of disk. Returns the size that each row claims.
    """
    path = write_outbound(outbox, [message_row(1)], page_bytes=PAGE_BYTES)
    with path.open("r+b") as file:
        loop = path.stat().st_size // PAGE_BYTES + 1
        file.seek((loop - 1) * PAGE_BYTES)
        file.write(loop.to_bytes(4, "big").ljust(PAGE_BYTES, filled_with))
        local = (PAGE_BYTES - 12) * 32 // 255 - 23
        payload = local + claimed_bytes // (PAGE_BYTES - 4) * (PAGE_BYTES - 4)
        file.seek(PAGE_BYTES)
        file.write(_leaf([_cell(n, payload, local, loop) for n in range(cells)]))
        _set_pages(file.fileno(), payload // PAGE_BYTES + 2)
    return payload


def plant_million_rows(outbox: Path) -> None:
    """A file of half a megabyte whose messages_out has over a million rows: the same page, again and again."""
    path = write_outbound(outbox, [message_row(seq) for seq in range(1, 401, 2)], page_bytes=PAGE_BYTES)
    children = 6_000
    with path.open("r+b") as file:
        copy = path.stat().st_size // PAGE_BYTES + 1
        leaf = os.pread(file.fileno(), PAGE_BYTES, PAGE_BYTES)
        cell = copy.to_bytes(4, "big") + _varint(20_000)
        start = PAGE_BYTES - len(cell) * children
        header = struct.pack(">BHHHBI", 5, 0, children, start, 0, copy)
        pointers = b"".join((start + n * len(cell)).to_bytes(2, "big") for n in range(children))
        os.pwrite(file.fileno(), (header + pointers).ljust(start, b"\0") + cell * children, PAGE_BYTES)
        os.pwrite(file.fileno(), leaf, (copy - 1) * PAGE_BYTES)
        _set_pages(file.fileno(), copy)


def deepen(folder: Path, levels: int) -> None:
    """Folders within folders, far deeper than a path may be long."""
    home = os.getcwd()
    os.chdir(folder)
    try:
        for _ in range(levels):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(home)


def make_sparse(path: Path, size: int) -> None:
    """`path` grows to `size` bytes and takes no disk for it."""
    with path.open("ab") as file:
        file.truncate(size)


def _set_pages(file: int, pages: int) -> None:
    os.pwrite(file, pages.to_bytes(4, "big"), 28)
    os.ftruncate(file, pages * PAGE_BYTES)


def _leaf(cells: list[bytes]) -> bytes:
    page = bytearray(PAGE_BYTES)
    end = PAGE_BYTES
    for n, cell in enumerate(cells):
        end -= len(cell)
        page[end : end + len(cell)] = cell
        page[8 + 2 * n : 10 + 2 * n] = end.to_bytes(2, "big")
    page[:8] = struct.pack(">BHHHB", 13, 0, len(cells), end, 0)
    return bytes(page)


def _cell(n: int, payload: int, local: int, overflow_page: int) -> bytes:
    """A row of an id, nine NULLs and a content that fills the rest of `payload` bytes."""
    name = f"huge-{n}".encode()
    head = 1 + 1 + 9 + 5
    content_type = _varint(2 * (payload - head - len(name)) + 13, width=5)
    record = bytes([head, 2 * len(name) + 13]) + bytes(9) + content_type + name
    return _varint(payload) + _varint(n + 1) + record.ljust(local, b"A") + overflow_page.to_bytes(4, "big")


def _varint(number: int, width: int = 1) -> bytes:
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F)
    groups += [0] * (width - len(groups))
    return bytes([group | 0x80 for group in groups[:0:-1]] + [groups[0]])


# ---------------------------------------------------------------- processes


class Child:
    """One process of this module: `hear` waits for its next line, `tell` lets it go on."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._input = process.stdin
        self._output = process.stdout

    def hear(self, timeout: float = PATIENCE_SECONDS) -> str:
        """The next line; empty when the process has ended. Raises TimeoutError."""
        if not select.select([self._output], [], [], timeout)[0]:
            raise TimeoutError(f"nothing heard from {self.process.args!r}")
        return self._output.readline().decode().strip()

    def silent(self) -> bool:
        """Whether it has said nothing since it was last heard, and lives."""
        return self.process.poll() is None and not select.select([self._output], [], [], 0)[0]

    def tell(self) -> None:
        """Lets it go on."""
        self._input.write(b"\n")

    def kill(self) -> int:
        """Ends it with SIGKILL, if it lives; returns its exit status."""
        self.process.kill()
        return self.process.wait()


@contextmanager
def child(role: Callable[..., None], *arguments: object) -> Iterator[Child]:
    """A process that plays `role`, killed at the end of the block."""
    command = [sys.executable, "-m", __name__, role.__name__, *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def plain_reader(uri: str) -> None:
    """What a trusting host does. Says "opening", "opened" and, each time that it is told, how much it reads."""
    _say("opening")
    try:
        with closing(sqlite3.connect(uri, uri=True)) as db:
            _say("opened")
            while _told():
                rows = db.execute("SELECT id, content FROM messages_out NOT INDEXED").fetchall()
                _say(f"{len(rows)} rows, {sum(len(content) for _, content in rows)} characters")
    except sqlite3.Error as exc:
        _say(f"failed: {exc}")


def plain_file_reader(path: str) -> None:
    """What a trusting host does with an attachment, within 2 GiB of memory."""
    resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
    try:
        content = Path(path).read_bytes()
    except MemoryError:
        _say("MemoryError")
    else:
        _say(f"{len(content)} bytes")


def lock_holder(path: str, begin: str) -> None:
    """Holds the lock that `begin` takes until it is told to let go."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(begin)
        db.execute("SELECT count(*) FROM messages_out").fetchone()
        _say("locked")
        _told()
        db.execute("ROLLBACK")
        _say("released")


def waiting_writer(path: str, synchronous: str) -> None:
    """Writes a row and pauses before the commit, then commits; says each time what came of it."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute("BEGIN IMMEDIATE")
        insert(db, [message_row(101)])
        _say("written")
        while _told():
            try:
                db.execute("COMMIT")
            except sqlite3.OperationalError as exc:
                _say(str(exc))
            else:
                _say("committed")


def spilling_writer(path: str) -> None:
    """Is in the middle of a commit: a journal on disk and half of the new pages in the file already."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA cache_size = 2")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE messages_out SET content = replace(content, 'old', 'new')")
        _say("spilled")
        _told()


def recoverer(path: str) -> None:
    """Opens as the agent does, which recovers what a dead writer left."""
    with closing(sqlite3.connect(path)) as db:
        _say(str(db.execute("SELECT count(*) FROM messages_out").fetchone()[0]))


def pair_writer(path: str, synchronous: str) -> None:
    """Replaces two rows that say the same by two others, for ever, and takes back every third attempt."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE_SECONDS)) as db:
        db.execute(f"PRAGMA synchronous = {synchronous}")
        turn = 0
        while True:
            turn += 1
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM messages_out")
            text = f"{turn} " + "x" * (turn * 997 % 20_000)
            insert(db, [message_row(2 * turn + n, content=json.dumps({"text": text})) for n in (1, 3)])
            db.execute("ROLLBACK" if turn % 3 == 0 else "COMMIT")
            if turn == 1:
                _say("writing")


def regretful_writer(path: str) -> None:
    """Writes a row, with a journal that could be played back at once, and takes it back, for ever."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        for turn in range(sys.maxsize):
            db.execute("BEGIN IMMEDIATE")
            insert(db, [message_row(101)])
            db.execute("ROLLBACK")
            if turn == 0:
                _say("writing")


def scribbler(path: str) -> None:
    """Writes the first byte of a file over itself, for ever, whoever holds a lock on it."""
    with open(path, "r+b", buffering=0) as file:
        first = file.read(1)
        _say("scribbling")
        while True:
            os.pwrite(file.fileno(), first, 0)


def lease_holder(path: str) -> None:
    """Holds a write lease as the file's owner; says "asked" when the kernel wants it back, and keeps it."""
    file = os.open(path, os.O_RDWR)
    if os.geteuid() == 0:
        os.fchown(file, NOBODY, NOBODY)
        os.setuid(NOBODY)

    def asked(_signal: int, _frame: FrameType | None) -> None:
        _say("asked")

    signal.signal(signal.SIGIO, asked)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    _say("leased")
    _told()


def swapper(path: str, honest: str, secret: str) -> None:
    """Makes `path` a copy of `honest`, then a link to `secret`, then a copy, for ever."""
    spare = f"{path}-spare"
    for turn in range(sys.maxsize):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(spare)
        if turn % 2:
            os.symlink(secret, spare)
        else:
            shutil.copy(honest, spare)
        os.replace(spare, path)
        if turn == 1:
            _say("swapping")


def grower(path: str) -> None:
    """Makes a file longer and longer, up to 50 MB, then empties it and starts again."""
    with open(path, "wb", buffering=0) as file:
        _say("growing")
        while True:
            file.write(b"x" * 4096)
            if file.tell() > 50_000_000:
                file.seek(0)
                file.truncate()


_ROLES: Final[Mapping[str, Callable[..., None]]] = {
    role.__name__: role
    for role in (
        plain_reader,
        plain_file_reader,
        lock_holder,
        waiting_writer,
        spilling_writer,
        recoverer,
        pair_writer,
        regretful_writer,
        scribbler,
        lease_holder,
        swapper,
        grower,
    )
}


def _say(line: str) -> None:
    print(line, flush=True)


def _told() -> bool:
    return bool(sys.stdin.readline())


if __name__ == "__main__":
    _ROLES[sys.argv[1]](*sys.argv[2:])
