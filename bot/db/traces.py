"""The traces table: when each thing happened to a message on its way, as the host's own clock saw it.

One row for each of the newest messages. It only explains: nothing is decided by it, and a row that is missing
costs nobody anything but the explanation.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

KEPT: Final = 10_000
"""Messages; about 10 MB. Each new row makes room for itself."""
MAX_CHARS: Final = 64 * 1024
"""Of one row: an agent that answers one message for ever must not fill the disk."""

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode

Straight = Literal[
    "accepted",
    "posted",
    "woken",
    "claimed",
    "first delta",
    "answered",
    "seen",
    "sent",
    "acknowledged",
]
"""Of a message that nothing holds up, in the order in which they happen."""
Step = Straight | Literal["restarted", "try lost", "put off", "given up", "withdrawn"]


@dataclass(frozen=True)
class Mark:
    """Something that happened to a message, in epoch microseconds of the host. `out` is the reply that it is
    about; `says` is a time in epoch milliseconds that the container gave, which may be a lie; `until` is when
    the next try is due."""

    step: Step
    at_us: int
    what: str = ""
    out: str | None = None
    says: int | None = None
    until: int | None = None


def save(db: sqlite3.Connection, session_id: str, marks: Mapping[str, Iterable[Mark]]) -> None:
    """Adds to the traces of messages of this session, each named by its id or its event's. What is neither is
    left out, for a container may have named it."""
    # The + keeps the planner from walking through all that was ever said in the session.
    db.executemany(
        "INSERT INTO traces (message_id, marks)"
        " SELECT id, ?1 FROM inbox WHERE (id = ?2 OR event_id = ?2) AND +session = ?3"
        " ON CONFLICT (message_id) DO UPDATE SET marks = traces.marks || char(10) || excluded.marks"
        f" WHERE length(traces.marks) < {MAX_CHARS}",
        [(_written(of_one), key, session_id) for key, of_one in marks.items()],
    )
    db.execute("DELETE FROM traces WHERE number <= (SELECT max(number) FROM traces) - ?", (KEPT,))


def of(db: sqlite3.Connection, message_id: str) -> list[Mark]:
    """What is known of a message, in the order in which it happened."""
    row = db.execute("SELECT marks FROM traces WHERE message_id = ?", (message_id,)).fetchone()
    lines = [] if row is None else row["marks"].splitlines()
    return [Mark(**mark) for line in lines for mark in json.loads(line)]


def answered_by(db: sqlite3.Connection, out_id: str) -> list[str]:
    """The ids of the messages that a reply answers, the first one first."""
    rows = db.execute(
        "SELECT message_id FROM traces WHERE instr(marks, ?) > 0 ORDER BY number",
        (f'"out":{_encode(out_id)}',),
    )
    return [row["message_id"] for row in rows]


def _written(marks: Iterable[Mark]) -> str:
    """What one commit adds, on a line."""
    return _encode([{name: value for name, value in vars(mark).items() if value} for mark in marks])


@dataclass(frozen=True)
class PartRecord:
    """A row of deliveries: how far one part of a reply has come."""

    out_id: str
    part: int
    seq: int
    state: Literal["waiting", "sent", "failed"]
    last: bool
    attempts: int
    next_at: int | None
    platform_id: str | None
    error: str | None
    at: int

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> PartRecord:
        known = {name: row[name] for name in cls.__dataclass_fields__ if name != "last"}
        return cls(**known, last=bool(row["last"]))


def parts(db: sqlite3.Connection, session_id: str, out_ids: Sequence[str]) -> list[PartRecord]:
    """What was recorded of these replies, part by part."""
    rows = db.execute(
        "SELECT * FROM deliveries WHERE session = ? AND out_id IN (SELECT value FROM json_each(?))"
        " ORDER BY out_id, part",
        (session_id, json.dumps(list(out_ids))),
    )
    return [PartRecord.from_row(row) for row in rows]


def reply_numbered(db: sqlite3.Connection, session_id: str, seq: int) -> str | None:
    """The id of the reply that the agent knows by this number."""
    row = db.execute(
        "SELECT out_id FROM deliveries WHERE session = ? AND seq = ? LIMIT 1", (session_id, seq)
    ).fetchone()
    return None if row is None else str(row["out_id"])
