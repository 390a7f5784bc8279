"""The dead_letters table: what could not be delivered, kept until an admin sends it again or drops it.

A letter is alive while it is kept or being replayed; only then does its content lie here and its files in the
folder of its id. What became of the others stays on record.
"""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from adapters.base import Outgoing
from agent.protocol.messages import Route

Kind = Literal["reply", "notice"]
State = Literal["kept", "replaying", "replayed", "dropped"]

MAX_ALIVE: Final = 2_000
MAX_BYTES: Final = 256 * 2**20
"""How many letters a session may have, and how many bytes they may be with their files: an agent that writes what
no platform takes must not fill the disk. The newest is kept in any case."""
BEYOND_BOUND: Final = "the bound of its session"
PREVIEW_CHARS: Final = 200

_ALIVE: Final = "state IN ('kept', 'replaying')"
_COLUMNS: Final = (
    "id, session, out_id, seq, kind, channel, platform_id, thread_id, answers, turn_id, files, part, reason,"
    " attempts, next_at, state, created_at, changed_at, changed_by,"
    " substr(coalesce(nullif(json_extract(content, '$.text'), ''), json_extract(content, '$.question.question'),"
    f" json_extract(content, '$.reaction.emoji'), ''), 1, {PREVIEW_CHARS}) AS preview"
)


@dataclass(frozen=True)
class LetterFile:
    """A file of a letter; on disk its name is its place in the row of them, from 1."""

    name: str
    media_type: str
    size: int


_FILES: Final = TypeAdapter(tuple[LetterFile, ...])
_CONTENT: Final = TypeAdapter(Outgoing)


@dataclass(frozen=True)
class Letter:
    """A row of dead_letters without its content. `part` is the first part that was not sent, `attempts` how often
    that was tried; `answers` is the event that it answers, or of which a notice tells. Times are epoch
    milliseconds."""

    id: str
    session: str
    out_id: str
    seq: int
    kind: Kind
    route: Route
    answers: str | None
    turn_id: str | None
    files: tuple[LetterFile, ...]
    part: int
    reason: str
    attempts: int
    created_at: int
    next_at: int | None = None
    state: State = "kept"
    changed_at: int | None = None
    changed_by: str | None = None
    preview: str = ""

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Letter:
        known = dict(row)
        place = {name: known.pop(name) for name in ("channel", "platform_id", "thread_id")}
        return cls(**{**known, "route": Route(**place), "files": _FILES.validate_json(row["files"])})


def new_id() -> str:
    """Short enough to be typed."""
    return secrets.token_hex(5)


def notice_id(letter_id: str) -> str:
    """The id of the notice that tells of this letter."""
    return f"notice-of-{letter_id}"


def keep(db: sqlite3.Connection, letter: Letter, reply: Outgoing) -> list[str]:
    """Keeps a letter; `reply` is its content, with its files left out. Returns the older letters of its session
    that had to be dropped for it."""
    content = _CONTENT.dump_json(reply).decode()
    db.execute(
        "INSERT INTO dead_letters (id, session, out_id, seq, kind, channel, platform_id, thread_id, answers, turn_id,"
        " content, files, bytes, part, reason, attempts, state, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'kept', ?)",
        (
            letter.id,
            letter.session,
            letter.out_id,
            letter.seq,
            letter.kind,
            letter.route.channel,
            letter.route.platform_id,
            letter.route.thread_id,
            letter.answers,
            letter.turn_id,
            content,
            _FILES.dump_json(letter.files).decode(),
            len(content.encode()) + sum(file.size for file in letter.files),
            letter.part,
            letter.reason,
            letter.attempts,
            letter.created_at,
        ),
    )
    beyond = _beyond_bound(db, letter.session)
    for letter_id in beyond:
        drop(db, letter_id, now=letter.created_at, by=BEYOND_BOUND)
    return beyond


def by_prefix(db: sqlite3.Connection, prefix: str) -> list[Letter]:
    """The letters whose ids begin with `prefix`; two at most, which is enough to see that it is ambiguous."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM dead_letters WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 2",
        (len(prefix), prefix),
    )
    return [Letter.from_row(row) for row in rows]


def content(db: sqlite3.Connection, letter_id: str) -> Outgoing | None:
    """What a living letter says, without its files."""
    row = db.execute("SELECT content FROM dead_letters WHERE id = ?", (letter_id,)).fetchone()
    if row is None or row["content"] is None:
        return None
    return replace(_CONTENT.validate_json(row["content"]), files=())


def as_data(said: Outgoing) -> dict[str, Any]:
    """A content as data for a program."""
    data: dict[str, Any] = _CONTENT.dump_python(said, mode="json", exclude={"files"})
    return data


def kept(db: sqlite3.Connection) -> int:
    """How many letters wait for somebody to do something about them."""
    count: int = db.execute(
        f"SELECT count(*) FROM dead_letters WHERE {_ALIVE} AND state = 'kept'"
    ).fetchone()[0]
    return count


def listed(db: sqlite3.Connection, session_id: str | None, *, everything: bool, limit: int) -> list[Letter]:
    """The newest letters on top, of one session or of all; those that are over only with `everything`."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM dead_letters WHERE (? OR {_ALIVE}) AND session = coalesce(?, session)"
        " ORDER BY rowid DESC LIMIT ?",
        (everything, session_id, limit),
    )
    return [Letter.from_row(row) for row in rows]


def alive(db: sqlite3.Connection) -> set[str]:
    """The ids of all letters whose files may still be asked for."""
    return {row[0] for row in db.execute(f"SELECT id FROM dead_letters WHERE {_ALIVE}")}


def replaying(db: sqlite3.Connection, session_id: str) -> list[Letter]:
    """The letters of a session that are to be sent again, oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM dead_letters WHERE session = ? AND {_ALIVE} AND state = 'replaying' ORDER BY rowid",
        (session_id,),
    )
    return [Letter.from_row(row) for row in rows]


def sessions_with_replays(db: sqlite3.Connection) -> list[str]:
    """The sessions that have a letter to send again."""
    rows = db.execute(
        f"SELECT DISTINCT session FROM dead_letters WHERE {_ALIVE} AND state = 'replaying' ORDER BY session"
    )
    return [row["session"] for row in rows]


def replay(db: sqlite3.Connection, letter_id: str, *, now: int, by: str) -> bool:
    """The letter is to be sent again; False when it is not kept, or not any more."""
    changed = db.execute(
        "UPDATE dead_letters SET state = 'replaying', attempts = 0, next_at = NULL, changed_at = ?, changed_by = ?"
        " WHERE id = ? AND state = 'kept'",
        (now, by, letter_id),
    )
    return changed.rowcount == 1


def replay_oldest(db: sqlite3.Connection, limit: int, *, now: int, by: str) -> list[Letter]:
    """The oldest kept letters are to be sent again, `limit` at most; returns them."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM dead_letters WHERE {_ALIVE} AND state = 'kept' ORDER BY rowid LIMIT ?",
        (limit,),
    )
    letters = [Letter.from_row(row) for row in rows]
    return [letter for letter in letters if replay(db, letter.id, now=now, by=by)]


def went_on(db: sqlite3.Connection, letter_id: str, part: int) -> None:
    """One more part of it was sent: `part` is the next one."""
    db.execute(
        "UPDATE dead_letters SET part = ?, attempts = 0, next_at = NULL WHERE id = ? AND state = 'replaying'",
        (part, letter_id),
    )


def wait(
    db: sqlite3.Connection, letter_id: str, *, attempts: int, next_at: int, reason: str, now: int
) -> None:
    """It was refused and will be sent again at `next_at`."""
    db.execute(
        "UPDATE dead_letters SET attempts = ?, next_at = ?, reason = ?, changed_at = ?"
        " WHERE id = ? AND state = 'replaying'",
        (attempts, next_at, reason, now, letter_id),
    )


def keep_again(db: sqlite3.Connection, letter_id: str, *, attempts: int, reason: str, now: int) -> None:
    """It could not be sent this time either."""
    db.execute(
        "UPDATE dead_letters SET state = 'kept', attempts = ?, next_at = NULL, reason = ?, changed_at = ?"
        " WHERE id = ? AND state = 'replaying'",
        (attempts, reason, now, letter_id),
    )


def replayed(db: sqlite3.Connection, letter: Letter, *, now: int) -> None:
    """All of it was sent. A notice that tells of it and could not be said itself is not true any more, and is
    dropped."""
    db.execute(
        "UPDATE dead_letters SET state = 'replayed', content = NULL, bytes = 0, next_at = NULL, changed_at = ?"
        " WHERE id = ? AND state = 'replaying'",
        (now, letter.id),
    )
    notices = db.execute(
        f"SELECT id FROM dead_letters WHERE session = ? AND out_id = ? AND {_ALIVE}",
        (letter.session, notice_id(letter.id)),
    ).fetchall()
    for row in notices:
        drop(db, row["id"], now=now, by=f"the replay of {letter.id}")


def drop(db: sqlite3.Connection, letter_id: str, *, now: int, by: str) -> bool:
    """Nobody wants it any more; False when it is over already."""
    changed = db.execute(
        "UPDATE dead_letters SET state = 'dropped', content = NULL, bytes = 0, next_at = NULL, changed_at = ?,"
        f" changed_by = ? WHERE id = ? AND {_ALIVE}",
        (now, by, letter_id),
    )
    return changed.rowcount == 1


def _beyond_bound(db: sqlite3.Connection, session_id: str) -> list[str]:
    count, held = db.execute(
        f"SELECT count(*), sum(bytes) FROM dead_letters WHERE session = ? AND {_ALIVE}", (session_id,)
    ).fetchone()
    if count <= MAX_ALIVE and held <= MAX_BYTES:
        return []
    rows = db.execute(
        "SELECT id FROM (SELECT id, state, row_number() OVER newest AS place, sum(bytes) OVER newest AS held"
        f" FROM dead_letters WHERE session = ? AND {_ALIVE} WINDOW newest AS (ORDER BY rowid DESC))"
        " WHERE state = 'kept' AND place > 1 AND (place > ? OR held > ?)",
        (session_id, MAX_ALIVE, MAX_BYTES),
    )
    return [row["id"] for row in rows]
