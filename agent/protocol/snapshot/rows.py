"""From the bytes of outbound.db to validated values.

SQLite works on a copy in memory, with its limits set low. The schema must be the agent's own to the letter,
so that no view, trigger, index or generated column of somebody else's ever runs. Rows are validated one
at a time: a forged one costs only itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field, ValidationError

from agent.protocol.messages import USED_KEY, USED_TURNS, Ack, Frozen, MessageOut, Millis, Used
from agent.protocol.schema import OUTBOUND, complete
from agent.protocol.snapshot.bounds import Bounds, Deadline
from agent.protocol.snapshot.errors import SnapshotError, Violation, printable
from agent.protocol.stored import STORED, as_stored

_T = TypeVar("_T")
_Schema = frozenset[tuple[str, str, str, str | None]]

_STEPS_BETWEEN_LOOKS: Final = 1_000
_LIMITS: Final[Mapping[int, int]] = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 20_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 64,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 32,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 2,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 8,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_MAX_QUOTES: Final = 2_000
_MAX_STRUCTURE_CHARS: Final = 65_536
_MAX_ERRORS_LOOKED_AT: Final = 20
_MAX_STATE_ROWS: Final = 1_000
_MAX_THOROUGH_BYTES: Final = 2**20
"""A larger file could not be checked before the deadline."""
_INVALID: Final = (ValueError, TypeError, RecursionError)
_UNREADABLE: Final = (sqlite3.Error, MemoryError, *_INVALID)


@dataclass(frozen=True)
class Rejected:
    """A row that does not validate. `reason` is short and printable, and so is `id`."""

    id: str | None
    seq: int | None
    reason: str


@dataclass(frozen=True)
class Snapshot:
    """What outbound.db held at one moment.

    `messages` are in the order of seq; `tool_deadline` is until when, in epoch milliseconds, a tool in flight
    may keep the turn quiet; `size` is the file's, in bytes; `used` is what the runner says of its latest turns.
    """

    messages: tuple[MessageOut, ...]
    acks: tuple[Ack, ...]
    tool_deadline: int | None
    rejected: tuple[Rejected, ...]
    size: int
    used: tuple[Used, ...] = ()


class _NotUtf8(bytes):
    """A text that is none. Going on behind its first wrong byte would cost more than all the rest."""


class _Tool(Frozen):
    name: str
    deadline: Millis


class _Turns(Frozen):
    turns: Annotated[list[Used], Field(max_length=USED_TURNS)]


def parse(image: bytes, bounds: Bounds, deadline: Deadline, *, thorough: bool = False) -> Snapshot:
    """Raises sqlite3.Error and every SnapshotError; a row that does not validate is only `rejected`."""
    with closing(in_memory(image, bounds, deadline)) as db:
        _check_schema(db)
        if thorough and len(image) <= _MAX_THOROUGH_BYTES:
            _check_integrity(db)
        reader = _Reader(db, bounds, deadline, cell_bytes_left=len(image))
        messages = reader.values("messages_out", bounds.messages, _message, lambda m: {m.id, m.seq})
        acks = reader.values("processing_ack", bounds.acks, Ack.model_validate, lambda a: {a.message_id})
        tool_deadline, used = reader.state()
    messages.sort(key=lambda message: message.seq)
    return Snapshot(tuple(messages), tuple(acks), tool_deadline, tuple(reader.rejected), len(image), used)


def rescue(image: bytes, bounds: Bounds, deadline: Deadline) -> Snapshot:
    """What still reads well of a file that is not used any more: the rows up to the first that cannot be read,
    and no more than the bounds allow. Then an ack counts only with a reply of its turn: the others may be lost.
    Raises sqlite3.Error and every SnapshotError."""
    with closing(in_memory(image, bounds, deadline)) as db:
        _check_schema(db)
        reader = _Reader(db, bounds, deadline, cell_bytes_left=len(image))
        acks, _ = _as_far(
            reader.each("processing_ack", bounds.acks, Ack.model_validate, lambda a: {a.message_id})
        )
        messages, whole = _as_far(
            reader.each("messages_out", bounds.messages, _message, lambda m: {m.id, m.seq})
        )
    if not whole:
        turns = {message.turn_id for message in messages}
        acks = [ack for ack in acks if ack.turn_id in turns]
    messages.sort(key=lambda message: message.seq)
    return Snapshot(tuple(messages), tuple(acks), None, tuple(reader.rejected), len(image))


def _as_far(values: Iterator[_T]) -> tuple[list[_T], bool]:
    """What comes before the first that cannot be read, and whether that was everything."""
    found: list[_T] = []
    try:
        for value in values:
            found.append(value)  # noqa: PERF402 - what was found is kept when the next one fails
    except (SnapshotError, *_UNREADABLE):
        return found, False
    return found, True


def in_memory(image: bytes, bounds: Bounds, deadline: Deadline) -> sqlite3.Connection:
    """A database in memory with the bytes `image`, from which little can be asked. Raises sqlite3.Error."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for limit, value in _LIMITS.items():
            db.setlimit(limit, value)
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, bounds.cell_bytes)
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
            db.execute(f"PRAGMA {pragma}")
        db.set_progress_handler(deadline.passed, _STEPS_BETWEEN_LOOKS)
        db.text_factory = _decoded
        db.deserialize(image)
    except BaseException:
        db.close()
        raise
    return db


def _decoded(cell: bytes) -> str | bytes:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return _NotUtf8(cell)


def _check_integrity(db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise Violation(f"outbound.db is damaged: {printable(str(found))}")


def _check_schema(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version not in OUTBOUND:
        raise Violation(f"outbound.db has schema version {version}; known are {sorted(OUTBOUND)}")
    expected = _schema(version)
    found = db.execute(STORED).fetchmany(len(expected) + 1)
    if len(found) != len(expected) or frozenset(found) != expected:
        raise Violation(f"outbound.db does not have the schema of version {version}")


@cache
def _schema(version: int) -> _Schema:
    return as_stored(complete(OUTBOUND, version))


class _Reader:
    """Reads one table after the other, and keeps count of what it was made to read."""

    def __init__(
        self, db: sqlite3.Connection, bounds: Bounds, deadline: Deadline, *, cell_bytes_left: int
    ) -> None:
        self.rejected: list[Rejected] = []
        self._db = db
        self._max_rejected = bounds.rejected
        self._deadline = deadline
        self._cell_bytes_left = cell_bytes_left

    def values(
        self,
        table: str,
        limit: int,
        validate: Callable[[dict[str, Any]], _T],
        keys: Callable[[_T], set[str | int]],
    ) -> list[_T]:
        """The rows of `table` that validate and repeat no key. More than `limit` rows are a Violation."""
        return list(self.each(table, limit, validate, keys))

    def each(
        self,
        table: str,
        limit: int,
        validate: Callable[[dict[str, Any]], _T],
        keys: Callable[[_T], set[str | int]],
    ) -> Iterator[_T]:
        """The same one after the other, for whoever can use what comes before a Violation."""
        seen: set[str | int] = set()
        for row in self._rows(table, limit):
            self._deadline.check(f"validating {table}")
            try:
                value = validate(_typed(row))
                if not seen.isdisjoint(keys(value)):
                    raise ValueError("repeats the id or seq of another row")
            except _INVALID as exc:
                self._reject(row, exc)
            else:
                seen |= keys(value)
                yield value

    def state(self) -> tuple[int | None, tuple[Used, ...]]:
        """Until when the tool in flight may take, None when there is none, which is also what "" says; and what the
        latest turns are said to have used."""
        deadline: int | None = None
        used: tuple[Used, ...] = ()
        for row in self._rows("session_state", _MAX_STATE_ROWS):
            try:
                if row["key"] == "tool" and row["value"] != "" and deadline is None:
                    deadline = _tool(_typed(row)).deadline
                elif row["key"] == USED_KEY and row["value"] != "" and not used:
                    used = tuple(_turns(_typed(row)).turns)
            except _INVALID as exc:
                self._reject(row, exc)
        return deadline, used

    def _reject(self, row: Mapping[str, Any], exc: Exception) -> None:
        """A few forged rows cost only themselves; each more costs the host as much as an honest one."""
        self.rejected.append(_rejected(row, exc))
        if len(self.rejected) > self._max_rejected:
            raise Violation(
                f"more than {self._max_rejected} rows do not validate, at first: {self.rejected[0].reason}"
            )

    def _rows(self, table: str, limit: int) -> Iterator[dict[str, Any]]:
        # Not in an order: that would be an index's, and the index of a forged file may say anything.
        cursor = self._db.execute(f"SELECT * FROM {table} LIMIT ?", (limit + 1,))
        names = [column[0] for column in cursor.description]
        for count, cells in enumerate(cursor):
            if count == limit:
                raise Violation(f"{table} has more than {limit} rows")
            # Rows may claim the same overflow pages, and so be together far larger than the file.
            self._cell_bytes_left -= sum([len(cell) for cell in cells if isinstance(cell, str | bytes)])
            if self._cell_bytes_left < 0:
                raise Violation("the rows add up to more than the file that holds them")
            yield dict(zip(names, cells, strict=True))


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    for name, cell in row.items():
        if isinstance(cell, _NotUtf8):
            raise ValueError(f"{name} is not in UTF-8")
        if isinstance(cell, bytes):
            raise ValueError(f"{name} is a BLOB")
    return row


def _message(row: dict[str, Any]) -> MessageOut:
    _check_parts(row["content"])
    message = MessageOut.from_row(row)
    if message.seq % 2 == 0:
        raise ValueError(f"seq {message.seq} is even, and even ones are the host's")
    return message


def _tool(row: dict[str, Any]) -> _Tool:
    _check_parts(row["value"])
    return _Tool.model_validate_json(row["value"])


def _turns(row: dict[str, Any]) -> _Turns:
    _check_parts(row["value"])
    return _Turns.model_validate_json(row["value"])


def _check_parts(document: str) -> None:
    """Raises ValueError for JSON text of far more parts than an honest one has.

    Parsing some megabytes of `1,1,1` takes a second and hundreds of megabytes, and no other thread of the
    host runs meanwhile. A long text in one string is no such burden.
    """
    if len(document) <= _MAX_STRUCTURE_CHARS:
        return
    unescaped = document.replace("\\\\", "").replace('\\"', "")
    if unescaped.count('"') > _MAX_QUOTES:
        raise ValueError("the JSON has too many parts")
    if sum(len(outside) for outside in unescaped.split('"')[::2]) > _MAX_STRUCTURE_CHARS:
        raise ValueError("the JSON has too many parts")


def _rejected(row: Mapping[str, Any], exc: Exception) -> Rejected:
    name = row.get("id", row.get("message_id", row.get("key")))
    seq = row.get("seq")
    return Rejected(
        id=printable(name) if isinstance(name, str) else None,
        seq=seq if isinstance(seq, int) else None,
        reason=printable(_reason(exc)),
    )


def _reason(exc: Exception) -> str:
    if not isinstance(exc, ValidationError):
        return str(exc)
    if exc.error_count() > _MAX_ERRORS_LOOKED_AT:
        return f"{exc.error_count()} fields are wrong"
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"
