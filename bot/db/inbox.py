"""The inbox table: every accepted event, from acceptance to its one terminal state."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.protocol.messages import ChatIn, ContentIn, Edited, InKind, MessageIn, Route, SystemIn, Withdrawn
from bot.db import series, sessions, tallies
from bot.db.sessions import SessionRecord

_UNFINISHED = "state IN ('accepted', 'posted')"


@dataclass(frozen=True)
class Entry:
    """A row of inbox: the message as it crosses the wall, and what the host knows besides. `sender_id` is the
    platform's own; None for what nobody has said, or from before it was kept."""

    message: MessageIn
    session: str
    state: str
    accepted_at: int
    settled_at: int | None
    turn_id: str | None
    error: str | None
    sender_id: str | None = None

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Entry:
        unfinished = row["state"] in ("accepted", "posted")
        status = "pending" if unfinished else ("failed" if row["state"] == "failed" else "completed")
        return cls(
            message=MessageIn.from_row({**dict(row), "status": status}),
            session=row["session"],
            state=row["state"],
            accepted_at=row["accepted_at"],
            settled_at=row["settled_at"],
            turn_id=row["turn_id"],
            error=row["error"],
            sender_id=row["sender_id"],
        )


@dataclass(frozen=True)
class Accepted:
    """An event has become a row of this session."""

    record: SessionRecord
    message: MessageIn


def new_id() -> str:
    """An id for a message, before it is accepted: its files are named by it."""
    # Not from the kernel: each time the event loop lets go of the interpreter it waits to get it back.
    return f"{random.getrandbits(128):032x}"


def known(db: sqlite3.Connection, event_id: str) -> bool:
    """Whether this event was accepted before, for whichever session: it is accepted for all of them at once."""
    return db.execute("SELECT 1 FROM inbox WHERE event_id = ?", (event_id,)).fetchone() is not None


def known_in(db: sqlite3.Connection, session_id: str, event_id: str) -> bool:
    """Whether this event was accepted before for this session."""
    found = db.execute("SELECT 1 FROM inbox WHERE event_id = ? AND session = ?", (event_id, session_id))
    return found.fetchone() is not None


def accept(
    db: sqlite3.Connection,
    record: SessionRecord,
    *,
    message_id: str,
    event_id: str,
    kind: InKind,
    content: ContentIn,
    route: Route,
    created_at: int,
    now: int,
    trigger: bool = True,
    sender_id: str | None = None,
    about: int | None = None,
) -> MessageIn:
    """Writes the complete row; once this is committed the platform may be told that we have it. `sender_id` is the
    platform's own, `about` the number of the message that this one tells of."""
    message = MessageIn(
        id=message_id,
        seq=sessions.next_seq(db, record, now),
        event_id=event_id,
        kind=kind,
        created_at=created_at,
        trigger=trigger,
        route=route,
        content=content,
    )
    row = message.to_row()
    del row["status"]
    db.execute(
        "INSERT INTO inbox (id, event_id, session, seq, kind, trigger, state, created_at, accepted_at, tries,"
        " process_after, channel, platform_id, thread_id, content, sender_id, about, by_bot) VALUES (:id, :event_id,"
        " :session, :seq, :kind, :trigger, 'accepted', :created_at, :now, :tries, :process_after, :channel,"
        " :platform_id, :thread_id, :content, :sender_id, :about, :by_bot)",
        {
            **row,
            "session": record.id,
            "now": now,
            "sender_id": sender_id,
            "about": about,
            "by_bot": isinstance(content, ChatIn) and content.bot,
        },
    )
    return message


def posted(db: sqlite3.Connection, ids: Iterable[str]) -> None:
    """They are in inbound.db now."""
    db.executemany(
        "UPDATE inbox SET state = 'posted' WHERE id = ? AND state = 'accepted'", [(i,) for i in ids]
    )


def settle(
    db: sqlite3.Connection, session_id: str, ids: Sequence[str], *, turn_id: str | None, now: int
) -> None:
    """The agent is done with them. Only an unfinished row can be: terminal stays terminal."""
    db.executemany(
        f"UPDATE inbox SET state = 'done', turn_id = ?, settled_at = ?, process_after = NULL"
        f" WHERE id = ? AND session = ? AND {_UNFINISHED}",
        [(turn_id, now, message_id, session_id) for message_id in ids],
    )
    series.runs_done(db, ids, now=now)


def fail(
    db: sqlite3.Connection,
    session_id: str,
    ids: Sequence[str],
    *,
    error: str,
    now: int,
    notice: str | None = None,
) -> None:
    """They are given up; the notice of that id says so where they came from."""
    db.executemany(
        f"UPDATE inbox SET state = 'failed', error = ?, settled_at = ?, process_after = NULL, notice = ?"
        f" WHERE id = ? AND session = ? AND {_UNFINISHED}",
        [(error, now, notice, message_id, session_id) for message_id in ids],
    )
    series.runs_failed(db, ids, now=now)


def retry(db: sqlite3.Connection, message_id: str, *, tries: int, process_after: int | None) -> None:
    """The message has used up so many tries and waits until `process_after`."""
    db.execute(
        "UPDATE inbox SET tries = ?, process_after = ? WHERE id = ?", (tries, process_after, message_id)
    )


def unfinished(db: sqlite3.Connection, session_id: str) -> list[Entry]:
    """What was accepted and has no terminal state yet, in order."""
    rows = db.execute(f"SELECT * FROM inbox WHERE session = ? AND {_UNFINISHED} ORDER BY seq", (session_id,))
    return [Entry.from_row(row) for row in rows]


def unfinished_ids(db: sqlite3.Connection) -> set[str]:
    """The ids of all messages that have no terminal state yet, and of those that wait for a budget: their files may
    still be asked for."""
    rows = db.execute(
        f"SELECT id FROM inbox WHERE {_UNFINISHED} UNION ALL SELECT message_id FROM budget_kept"
    )
    return {row[0] for row in rows}


def sessions_with_work(db: sqlite3.Connection) -> list[str]:
    """The sessions in which an unfinished message asks for a turn, the one that has waited longest first."""
    rows = db.execute(
        f"SELECT session FROM inbox WHERE {_UNFINISHED} AND trigger = 1 GROUP BY session ORDER BY min(accepted_at)"
    )
    return [row[0] for row in rows]


def latest(db: sqlite3.Connection, session_id: str, limit: int) -> list[Entry]:
    """The newest rows of a session, oldest of them first."""
    rows = db.execute("SELECT * FROM inbox WHERE session = ? ORDER BY seq DESC LIMIT ?", (session_id, limit))
    return [Entry.from_row(row) for row in rows][::-1]


def found(db: sqlite3.Connection, key: str, limit: int) -> list[Entry]:
    """The rows of this id or event id; else those whose ids begin with it, `limit` at most."""
    rows = db.execute("SELECT * FROM inbox WHERE id = ?1 OR event_id = ?1", (key,)).fetchall()
    if not rows:
        rows = db.execute(
            "SELECT * FROM inbox WHERE id >= ?1 AND id < ?1 || char(1114111) ORDER BY id LIMIT ?2",
            (key, limit),
        ).fetchall()
    return [Entry.from_row(row) for row in rows]


def first_of(
    db: sqlite3.Connection, session_id: str, channel: str, sender_id: str, limit: int
) -> list[Entry]:
    """The first messages of one person in a session, in order."""
    rows = db.execute(
        "SELECT * FROM inbox WHERE channel = ? AND sender_id = ? AND session = ? AND kind = 'chat'"
        " ORDER BY seq LIMIT ?",
        (channel, sender_id, session_id, limit),
    )
    return [Entry.from_row(row) for row in rows]


def last_said(db: sqlite3.Connection, channel: str, sender_id: str) -> int | None:
    """When a person has last said something that was accepted, in epoch milliseconds."""
    row = db.execute(
        "SELECT max(accepted_at) FROM inbox WHERE channel = ? AND sender_id = ? AND kind = 'chat'",
        (channel, sender_id),
    ).fetchone()
    at: int | None = row[0]
    return at


def numbered(db: sqlite3.Connection, session_id: str, seq: int) -> Entry | None:
    """The row of this number in its session."""
    row = db.execute("SELECT * FROM inbox WHERE session = ? AND seq = ?", (session_id, seq)).fetchone()
    return None if row is None else Entry.from_row(row)


def place(db: sqlite3.Connection, session_id: str, seq: int) -> int:
    """Which place the message has among the unfinished ones of its session that ask for a turn, from 1."""
    row = db.execute(
        f"SELECT count(*) FROM inbox WHERE session = ? AND trigger = 1 AND seq < ? AND {_UNFINISHED}",
        (session_id, seq),
    ).fetchone()
    return int(row[0]) + 1


def only_bots_spoke(db: sqlite3.Connection, session_id: str, count: int) -> bool:
    """Whether the newest `count` messages that a session was asked are all from bots."""
    row = db.execute(
        "SELECT count(*) FROM (SELECT by_bot FROM inbox WHERE session = ? AND kind = 'chat' AND trigger = 1"
        " ORDER BY seq DESC LIMIT ?) WHERE by_bot = 1",
        (session_id, count),
    ).fetchone()
    return bool(row[0] >= count)


def bots_said(db: sqlite3.Connection, route: Route, *, since: int) -> int:
    """How many messages of bots were accepted in a place and all its threads since then."""
    row = db.execute(
        "SELECT count(*) FROM inbox WHERE channel = ? AND platform_id = ? AND accepted_at >= ? AND by_bot = 1",
        (route.channel, route.platform_id, since),
    ).fetchone()
    return int(row[0])


def model(db: sqlite3.Connection, session_id: str) -> str | None:
    """The model that was chosen for a session last; None: the configured one."""
    row = db.execute(
        "SELECT json_extract(content, '$.system.model') FROM inbox WHERE session = ? AND kind = 'system'"
        " AND state != 'failed' AND json_extract(content, '$.system.type') = 'model' ORDER BY seq DESC LIMIT 1",
        (session_id,),
    ).fetchone()
    return None if row is None else row[0]


def event_of(db: sqlite3.Connection, session_id: str, message_id: str | None) -> str | None:
    """The event that became this message of this session."""
    row = db.execute(
        "SELECT event_id FROM inbox WHERE id = ? AND session = ?", (message_id, session_id)
    ).fetchone()
    return None if row is None else str(row["event_id"])


def sender_of(db: sqlite3.Connection, session_id: str, message_id: str) -> str | None:
    """The name of whoever has said this message of this session; None for what nobody has said."""
    row = db.execute(
        "SELECT content FROM inbox WHERE id = ? AND session = ? AND kind = 'chat'", (message_id, session_id)
    ).fetchone()
    return None if row is None else ChatIn.model_validate_json(row["content"]).sender


def of_event(db: sqlite3.Connection, session_id: str, event_id: str) -> Entry | None:
    """The message of this session that an event became."""
    row = db.execute(
        "SELECT * FROM inbox WHERE event_id = ? AND session = ?", (event_id, session_id)
    ).fetchone()
    return None if row is None else Entry.from_row(row)


def said_in(db: sqlite3.Connection, channel: str, event_id: str) -> list[Entry]:
    """The messages that an event of this channel became: one in each session that it was for, or was told to."""
    rows = db.execute(
        "SELECT * FROM inbox WHERE event_id = ? AND channel = ? AND kind = 'chat' ORDER BY rowid",
        (event_id, channel),
    )
    return [Entry.from_row(row) for row in rows]


def asked_at(db: sqlite3.Connection, session_id: str, message_id: str | None = None) -> Route | None:
    """Where this message of a session was asked; without one its newest that asks for a turn."""
    row = db.execute(
        "SELECT channel, platform_id, thread_id FROM inbox WHERE session = ?1 AND trigger = 1"
        " AND (?2 IS NULL OR id = ?2) ORDER BY seq DESC LIMIT 1",
        (session_id, message_id),
    ).fetchone()
    return None if row is None else Route(**dict(row))


def revised(db: sqlite3.Connection, session_id: str, seq: int) -> Edited | Withdrawn | None:
    """What was told last of how the message of this number reads now; None when it was never changed."""
    rows = db.execute(
        "SELECT content FROM inbox WHERE session = ? AND about = ? ORDER BY seq DESC", (session_id, seq)
    )
    found = (SystemIn.model_validate_json(row["content"]).system for row in rows)
    return next((each for each in found if isinstance(each, Edited | Withdrawn)), None)


def counts(db: sqlite3.Connection, session_id: str | None = None) -> dict[str, int]:
    """How many rows are in each state, of one session or of all."""
    states = ("accepted", "posted", "done", "failed")
    if session_id is None:
        return {state: tallies.of(db, f"inbox {state}") for state in states}
    found = dict(
        db.execute(
            "SELECT state, count(*) FROM inbox WHERE session = ? AND NOT (kind = 'chat' AND trigger = 0)"
            " GROUP BY state",
            (session_id,),
        ).fetchall()
    )
    return {state: found.get(state, 0) for state in states}
