"""What is taken out of bot.db for good: a conversation, what a person has said, what is older than its place keeps.

A row of the inbox whose words are struck stays: it has been counted, and nothing is answered twice. What is left says
that there was something.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.protocol.messages import ChatIn, SystemIn, Withdrawn
from bot.db import inbox, overheard
from bot.db.sessions import HOUSE

STRUCK: Final = ChatIn(sender="(removed)", text="(removed)").model_dump_json()
"""The content of a message whose words are gone."""
NOBODY: Final = "(removed)"
GIVEN_UP: Final = "it was removed"
BATCH_ROWS: Final = 500

# Rows of the host's own tell of a message (an edit, an emoji): what they say of it goes with it.
_TOLD: Final = "session = ? AND about = ?"


@dataclass(frozen=True)
class Erased:
    """How much of a person's was removed: messages, kept requests to be let in, schedules, roles."""

    messages: int
    held: int
    schedules: int
    roles: int


@dataclass(frozen=True)
class Message:
    """A message whose words are to go: its session, "" where it has none yet, and its id, by which its files are
    named."""

    session: str
    id: str


def session(db: sqlite3.Connection, session_id: str) -> list[str]:
    """Removes a conversation with everything that belongs to it; returns the ids of its dead letters, whose files are
    to go as well. What it has cost stays in the books."""
    letters = [
        row["id"] for row in db.execute("SELECT id FROM dead_letters WHERE session = ?", (session_id,))
    ]
    db.execute(
        "DELETE FROM traces WHERE message_id IN (SELECT id FROM inbox WHERE session = ?)", (session_id,)
    )
    db.execute("DELETE FROM runs WHERE series_id IN (SELECT id FROM series WHERE session = ?)", (session_id,))
    db.execute(
        "DELETE FROM held WHERE approval IN (SELECT id FROM approvals WHERE session = ?)", (session_id,)
    )
    for table in ("notices", "questions", "cards", "approvals", "series", "dead_letters", "problems"):
        db.execute(f"DELETE FROM {table} WHERE session = ?", (session_id,))
    for table in ("egress", "budget_kept"):
        db.execute(f"DELETE FROM {table} WHERE session = ?", (session_id,))
    db.execute("DELETE FROM errands WHERE ? IN (sender, receiver)", (session_id,))
    for table in ("deliveries", "inbox"):
        db.execute(f"DELETE FROM {table} WHERE session = ?", (session_id,))
    db.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
    return letters


def asked_in(db: sqlite3.Connection, session_id: str) -> list[str]:
    """The ids of the approvals that a conversation has asked for."""
    return [row["id"] for row in db.execute("SELECT id FROM approvals WHERE session = ?", (session_id,))]


def strike_cards(db: sqlite3.Connection, approval: str) -> None:
    """Takes the words of the cards about an approval away; what closes them says nothing else any more."""
    db.execute("UPDATE cards SET text = ? WHERE subject = ?", (NOBODY, f"approval:{approval}"))


def strike(db: sqlite3.Connection, message_ids: Sequence[str], *, now: int) -> list[Message]:
    """Takes the words of these messages away, and what was told of them later; one that still waits is given up.
    Returns those whose files are to go."""
    struck = []
    for message_id in message_ids:
        row = db.execute("SELECT session, seq FROM inbox WHERE id = ?", (message_id,)).fetchone()
        if row is None:
            continue
        inbox.fail(db, row["session"], [message_id], error=GIVEN_UP, now=now)
        db.execute("UPDATE inbox SET content = ?, error = NULL WHERE id = ?", (STRUCK, message_id))
        gone = SystemIn(system=Withdrawn(seq=row["seq"])).model_dump_json()
        db.execute(f"UPDATE inbox SET content = ? WHERE {_TOLD}", (gone, row["session"], row["seq"]))
        struck.append(Message(row["session"], message_id))
    return struck


def older(
    db: sqlite3.Connection, channel: str, platform_id: str, before: int, limit: int = BATCH_ROWS
) -> list[Message]:
    """Messages of people in a place that have ended, came before that time, and still have their words; the oldest
    first."""
    rows = db.execute(
        "SELECT session, id FROM inbox WHERE channel = ? AND platform_id = ? AND accepted_at < ? AND kind = 'chat'"
        " AND state IN ('done', 'failed') AND content != ? ORDER BY accepted_at LIMIT ?",
        (channel, platform_id, before, STRUCK, limit),
    )
    return [Message(row["session"], row["id"]) for row in rows]


def with_files(db: sqlite3.Connection, channel: str, platform_id: str, before: int) -> list[Message]:
    """The messages of people in a place that have ended, came before that time, and brought files."""
    rows = db.execute(
        "SELECT session, id FROM inbox WHERE channel = ? AND platform_id = ? AND accepted_at < ? AND kind = 'chat'"
        " AND state IN ('done', 'failed') AND json_array_length(content, '$.attachments') > 0",
        (channel, platform_id, before),
    )
    return [Message(row["session"], row["id"]) for row in rows]


def quiet(db: sqlite3.Connection, channel: str, platform_id: str, before: int) -> list[str]:
    """The conversations of a place in which nothing has happened since then."""
    rows = db.execute(
        "SELECT id FROM sessions WHERE channel = ? AND platform_id = ? AND last_active < ? AND agent != ?",
        (channel, platform_id, before, HOUSE),
    )
    return [row["id"] for row in rows]


def of_event(db: sqlite3.Connection, channel: str, event_id: str) -> list[str]:
    """The messages that an event of a channel became."""
    return [entry.message.id for entry in inbox.said_in(db, channel, event_id)]


def said_by(db: sqlite3.Connection, channel: str, person: str) -> list[str]:
    """The ids of all messages of a person."""
    rows = db.execute("SELECT id FROM inbox WHERE channel = ? AND sender_id = ?", (channel, person))
    return [row["id"] for row in rows]


def sessions_of(db: sqlite3.Connection, channel: str, person: str) -> tuple[list[str], list[str]]:
    """The conversations in which a person has spoken: those in which nobody else has, and the others."""
    rows = db.execute(
        "SELECT session, max(EXISTS (SELECT 1 FROM inbox AS o WHERE o.session = i.session AND o.kind = 'chat'"
        " AND (o.sender_id IS NOT ?2 OR o.channel != ?1))) AS shared"
        " FROM inbox AS i WHERE channel = ?1 AND sender_id = ?2 GROUP BY session ORDER BY session",
        (channel, person),
    ).fetchall()
    alone = [row["session"] for row in rows if not row["shared"]]
    return alone, [row["session"] for row in rows if row["shared"]]


def person(
    db: sqlite3.Connection, channel: str, user_id: str, *, bounds_too: bool, now: int
) -> tuple[Erased, list[Message]]:
    """Removes what is kept of a person, but for what the audit says; returns how much that was, and the messages whose
    files are to go. Roles of owners stay: a bot has one. With `bounds_too` it is also what admins have set against
    them: that they were denied, their budgets, and how much of those is spent."""
    who = f"{channel}:{user_id}"
    messages = strike(db, said_by(db, channel, user_id), now=now)
    said = len(messages)
    db.execute("UPDATE inbox SET sender_id = NULL WHERE channel = ? AND sender_id = ?", (channel, user_id))
    overheard.forget_of(db, channel, user_id)
    held = db.execute(
        "DELETE FROM held WHERE channel = ? AND sender_id = ? RETURNING message_id", (channel, user_id)
    ).fetchall()
    messages += [Message("", row["message_id"]) for row in held]
    db.execute(
        "UPDATE questions SET answer = ?, answered_by = NULL WHERE channel = ? AND answered_by = ?",
        (NOBODY, channel, user_id),
    )
    schedules = db.execute(
        "UPDATE series SET status = 'cancelled', next_at = NULL, prompt = ?1, script = NULL, created_by = ?1"
        " WHERE created_by = ?2",
        (NOBODY, who),
    ).rowcount
    roles = db.execute(
        "DELETE FROM roles WHERE channel = ? AND user_id = ? AND role != 'owner'", (channel, user_id)
    ).rowcount
    db.execute("DELETE FROM people WHERE channel = ? AND user_id = ?", (channel, user_id))
    db.execute("UPDATE errands SET person = NULL WHERE person IN (?, ?)", (user_id, who))
    db.execute("UPDATE usage SET person = '' WHERE person = ?", (who,))
    waiting = db.execute("DELETE FROM budget_kept WHERE person = ? RETURNING message_id", (who,)).fetchall()
    messages += [Message("", row["message_id"]) for row in waiting]
    if bounds_too:
        db.execute("DELETE FROM denied WHERE channel = ? AND user_id = ?", (channel, user_id))
        db.execute("DELETE FROM budgets WHERE subject = ?", (f"person:{who}",))
        db.execute("DELETE FROM budget_periods WHERE subject = ?", (f"person:{who}",))
    _forget_requests(db, channel, user_id)
    return Erased(said, len(held), schedules, roles), messages


def _forget_requests(db: sqlite3.Connection, channel: str, user_id: str) -> None:
    """Requests to be let in hold what they said, and so do the cards about them."""
    asked = [
        row["id"]
        for row in db.execute(
            "SELECT id FROM approvals WHERE asked_by IN (?, ?) AND state != 'open'",
            (user_id, f"{channel}:{user_id}"),
        )
    ]
    for approval in asked:
        strike_cards(db, approval)
        db.execute(
            "UPDATE approvals SET summary = ?1, details = ?1, effect = '{}', asked_by = ?1 WHERE id = ?2",
            (NOBODY, approval),
        )


def everything_of(db: sqlite3.Connection, channel: str, user_id: str) -> dict[str, Any]:
    """All rows about a person, by their tables, as JSON can hold them."""
    who = f"{channel}:{user_id}"
    queries: dict[str, tuple[str, tuple[Any, ...]]] = {
        "roles": ("SELECT * FROM roles WHERE channel = ? AND user_id = ?", (channel, user_id)),
        "denied": ("SELECT * FROM denied WHERE channel = ? AND user_id = ?", (channel, user_id)),
        "messages": (
            "SELECT id, event_id, session, platform_id, thread_id, created_at, state, content FROM inbox"
            " WHERE channel = ? AND sender_id = ? ORDER BY accepted_at",
            (channel, user_id),
        ),
        "names": ("SELECT * FROM people WHERE channel = ? AND user_id = ?", (channel, user_id)),
        "overheard": ("SELECT * FROM overheard WHERE channel = ? AND sender_id = ?", (channel, user_id)),
        "held": ("SELECT * FROM held WHERE channel = ? AND sender_id = ?", (channel, user_id)),
        "answers": (
            "SELECT id, session, question, answer FROM questions WHERE channel = ? AND answered_by = ?",
            (channel, user_id),
        ),
        "schedules": (
            "SELECT id, session, prompt, recurrence, status FROM series WHERE created_by = ?",
            (who,),
        ),
        "usage": ("SELECT * FROM usage WHERE person = ?", (who,)),
        "budget_kept": ("SELECT * FROM budget_kept WHERE person = ?", (who,)),
        "budgets": ("SELECT * FROM budgets WHERE subject = ?", (f"person:{who}",)),
        "audit": (
            "SELECT * FROM audit WHERE (surface = ? AND actor = ?) OR subject = ? ORDER BY number",
            (channel, user_id, f"person:{who}"),
        ),
    }
    found: dict[str, Any] = {}
    for name, (sql, values) in queries.items():
        found[name] = [dict(row) for row in db.execute(sql, values)]
    for message in found["messages"]:
        message["content"] = json.loads(message["content"])
    return found
