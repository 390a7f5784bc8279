"""Copying the three kinds of database, and telling whether a copy is sound.

A file that SQLite may have open in this process is never opened in any other way: closing a descriptor on it
would drop the locks that the connection believes to hold.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from agent.protocol import schema, snapshot
from agent.protocol.snapshot import Bounds, Violation
from agent.protocol.snapshot.bounds import Deadline
from agent.protocol.snapshot.errors import translating
from agent.protocol.snapshot.image import copy
from agent.protocol.snapshot.rows import in_memory, parse
from bot.backup import layout
from bot.backup.errors import ArchiveRefused
from bot.db import dead_letters, reader
from bot.db.migrations import MIGRATIONS
from bot.db.soundness import is_ours

INBOUND_TIMEOUT_MS: Final = 250
OUTBOX_SECONDS: Final = 0.5
"""How long a container can hold up the copying of its outbox, at most."""
VERIFY_SECONDS: Final = 10.0
LETTERS_SINCE: Final = 3
"""The version of bot.db that began to have dead letters."""
_SCHEMA: Final = "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('table', 'view', 'trigger')"
_WRONG_IDS: Final = "SELECT 1 FROM inbox WHERE typeof(id) != 'text' OR id IN ('', '.', '..') OR id GLOB '*/*'"
_UNFINISHED: Final = "state IN ('accepted', 'posted')"


@dataclass(frozen=True)
class Facts:
    """What a copy of bot.db says."""

    version: int
    sessions: tuple[str, ...]
    messages: int
    unfinished: tuple[str, ...]
    letters: tuple[str, ...]
    """The dead letters that are alive."""


def copy_bot(source: Path, target: Path) -> Facts:
    """Copies bot.db as of one moment, beside its writer and without holding it up. Raises sqlite3.Error,
    NewerDatabase, ArchiveRefused when the copy is not sound."""
    with closing(_connect(source, "rw")) as live, closing(sqlite3.connect(target)) as kept:
        reader.version(live, source)
        # One step is one read transaction: with more of them every write in between would begin it anew.
        live.backup(kept, pages=-1)
        kept.execute("PRAGMA journal_mode = DELETE")
    return check_bot(target)


def copy_inbound(source: Path, target: Path) -> None:
    """Copies an inbound.db, if its writer lets go of it soon. Raises sqlite3.Error."""
    with closing(_connect(source, "ro")) as live, closing(sqlite3.connect(target)) as kept:
        live.execute(f"PRAGMA busy_timeout = {INBOUND_TIMEOUT_MS}")
        live.backup(kept, pages=-1)


def copy_outbound(outbox: Path) -> bytes:
    """The bytes of the outbound.db in `outbox`, which a container wrote: sound, and what an agent writes.
    Raises SnapshotError."""
    bounds, deadline = Bounds(), Deadline(OUTBOX_SECONDS)
    with translating("outbound.db"):
        image = copy(outbox, bounds, deadline)
        parse(image, bounds, deadline)
        with closing(in_memory(image, bounds, deadline)) as db:
            _check_integrity(db)
    return image


def read_outbound(outbox: Path) -> snapshot.Snapshot:
    """What is in the outbound.db of a backup. Raises SnapshotError."""
    return snapshot.read(outbox, deadline_seconds=VERIFY_SECONDS)


def check_bot(path: Path) -> Facts:
    """Whether a copy of bot.db is sound and of our making, and what it says. Raises ArchiveRefused."""
    try:
        with closing(_untrusted(path)) as db:
            version = _version(db, "bot.db", len(MIGRATIONS))
            # Nothing of somebody else's may ever run, and a table less would only show much later.
            if not is_ours(db, version):
                raise ArchiveRefused(f"its bot.db does not have the schema of version {version}.")
            _check_integrity(db)
            sessions = tuple(row[0] for row in db.execute("SELECT id FROM sessions ORDER BY id"))
            # Ids become the names of folders.
            letters = tuple(sorted(dead_letters.alive(db))) if version >= LETTERS_SINCE else ()
            ids = (*sessions, *letters)
            if db.execute(_WRONG_IDS).fetchone() or not all(layout.is_id(each) for each in ids):
                raise ArchiveRefused("its bot.db holds an id that cannot be one.")
            return Facts(
                version=version,
                sessions=sessions,
                messages=db.execute("SELECT count(*) FROM inbox").fetchone()[0],
                unfinished=tuple(row[0] for row in db.execute(f"SELECT id FROM inbox WHERE {_UNFINISHED}")),
                letters=letters,
            )
    except (sqlite3.Error, Violation) as exc:
        raise ArchiveRefused(f"its bot.db is damaged: {exc}.") from exc


def check_inbound(path: Path) -> None:
    """Whether a copy of an inbound.db is sound. Raises ArchiveRefused."""
    try:
        with closing(_untrusted(path)) as db:
            version = _version(db, "inbound.db", schema.VERSION)
            if frozenset(db.execute(_SCHEMA)) != _inbound_schema(version):
                raise ArchiveRefused(f"an inbound.db does not have the schema of version {version}.")
            _check_integrity(db)
    except (sqlite3.Error, Violation) as exc:
        raise ArchiveRefused(f"an inbound.db is damaged: {exc}.") from exc


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)


def _untrusted(path: Path) -> sqlite3.Connection:
    # A lone file in a folder of ours: there is no journal, no -wal and no writer, now or later.
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    try:
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
            db.execute(f"PRAGMA {pragma}")
    except BaseException:
        db.close()
        raise
    return db


def _version(db: sqlite3.Connection, name: str, newest: int) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > newest:
        raise ArchiveRefused(
            f"its {name} was made by a newer Roost (version {version}, this one knows {newest})."
        )
    if version < 1:
        raise ArchiveRefused(f"its {name} has no version.")
    return version


def _check_integrity(db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise Violation(str(found)[:200])


@cache
def _inbound_schema(version: int) -> frozenset[tuple[str, str, str]]:
    versions: Mapping[int, tuple[str, ...]] = schema.INBOUND
    return _schema([statement for number in range(1, version + 1) for statement in versions[number]])


def _schema(statements: list[str]) -> frozenset[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in statements:
            db.execute(statement)
        return frozenset(db.execute(_SCHEMA))
