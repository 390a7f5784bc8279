"""The questions table: what an agent asked, and the one answer to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from agent.protocol.messages import AskQuestion, Route

MAX_OPEN_MS: Final = 30 * 86_400_000
"""Nobody waits longer for an answer, whatever an agent says."""


@dataclass(frozen=True)
class QuestionRecord:
    """A row of questions."""

    id: str
    session: str
    route: Route
    title: str
    question: str
    options: tuple[str, ...]
    state: Literal["open", "answered"]
    expires_at: int
    answer: str | None = None
    answered_by: str | None = None
    """The platform's id of who did it."""

    def option(self, number: int) -> str | None:
        """The text of an option, counted from 0; None where there is none of this number."""
        return self.options[number] if 0 <= number < len(self.options) else None

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> QuestionRecord:
        return cls(
            id=row["id"],
            session=row["session"],
            route=Route(channel=row["channel"], platform_id=row["platform_id"], thread_id=row["thread_id"]),
            title=row["title"],
            question=row["question"],
            options=tuple(json.loads(row["options"])),
            state=row["state"],
            expires_at=row["expires_at"],
            answer=row["answer"],
            answered_by=row["answered_by"],
        )


@dataclass(frozen=True)
class Open:
    """A question, and whose it is; `out_id` is the message that shows it."""

    question: QuestionRecord
    agent: str
    out_id: str


@dataclass(frozen=True)
class Seen:
    """Which questions somebody sees: those of these `agents` (None: of all), and those that were asked `here`."""

    agents: Collection[str] | None = None
    here: Route | None = None

    @property
    def bound(self) -> dict[str, str | None]:
        """What `_SEEN` is asked with."""
        return {
            "agents": None if self.agents is None else json.dumps(sorted(self.agents)),
            "channel": None if self.here is None else self.here.channel,
            "place": None if self.here is None else self.here.platform_id,
            "thread": None if self.here is None else self.here.thread_id,
        }


_SEEN: Final = (
    "SELECT questions.*, sessions.agent FROM questions JOIN sessions ON sessions.id = questions.session"
    " WHERE (:agents IS NULL OR sessions.agent IN (SELECT value FROM json_each(:agents))"
    " OR (questions.channel = :channel AND questions.platform_id = :place AND questions.thread_id IS :thread))"
)


def open_ones(db: sqlite3.Connection, seen: Seen, now: int, limit: int) -> list[Open]:
    """The questions that wait for an answer, the oldest first."""
    rows = db.execute(
        f"{_SEEN} AND questions.state = 'open' AND expires_at > :now ORDER BY asked_at, questions.id LIMIT :limit",
        {**seen.bound, "now": now, "limit": limit},
    )
    return [_open(row) for row in rows]


def by_prefix(db: sqlite3.Connection, seen: Seen, prefix: str, limit: int) -> list[Open]:
    """The questions whose ids begin so, the one that is called just so first, then the newest."""
    rows = db.execute(
        f"{_SEEN} AND substr(questions.id, 1, :length) = :prefix"
        " ORDER BY questions.id <> :prefix, asked_at DESC LIMIT :limit",
        {**seen.bound, "length": len(prefix), "prefix": prefix, "limit": limit},
    )
    return [_open(row) for row in rows]


def cancel(db: sqlite3.Connection, question_id: str, *, by: str) -> bool:
    """Nobody answers it; False when somebody has."""
    changed = db.execute(
        "UPDATE questions SET state = 'answered', answer = NULL, answered_by = ? WHERE id = ? AND state = 'open'",
        (by, question_id),
    )
    return changed.rowcount == 1


def _open(row: sqlite3.Row) -> Open:
    return Open(QuestionRecord.from_row(row), row["agent"], row["out_id"])


def ask(
    db: sqlite3.Connection, session_id: str, out_id: str, route: Route, asked: AskQuestion, *, now: int
) -> bool:
    """Keeps the question; asked twice it is the same question. False when the id is another one's."""
    db.execute(
        "INSERT OR IGNORE INTO questions (id, session, out_id, channel, platform_id, thread_id, title, question,"
        " options, state, asked_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?)",
        (
            asked.question_id,
            session_id,
            out_id,
            route.channel,
            route.platform_id,
            route.thread_id,
            asked.title,
            asked.question,
            json.dumps(asked.options),
            now,
            min(asked.expires_at, now + MAX_OPEN_MS),
        ),
    )
    row = db.execute("SELECT session, out_id FROM questions WHERE id = ?", (asked.question_id,)).fetchone()
    return (row["session"], row["out_id"]) == (session_id, out_id)


def get(db: sqlite3.Connection, question_id: str) -> QuestionRecord | None:
    """The question of this id, if there is one."""
    row = db.execute("SELECT * FROM questions WHERE id = ?", (question_id,)).fetchone()
    return None if row is None else QuestionRecord.from_row(row)


def answer(db: sqlite3.Connection, question_id: str, text: str, *, by: str) -> bool:
    """Keeps the answer; False when somebody was faster."""
    changed = db.execute(
        "UPDATE questions SET state = 'answered', answer = ?, answered_by = ? WHERE id = ? AND state = 'open'",
        (text, by, question_id),
    )
    return changed.rowcount == 1


def waiting(db: sqlite3.Connection, now: int) -> list[tuple[QuestionRecord, str]]:
    """The questions that were shown and are open, of turns that are not over, each with its turn."""
    rows = db.execute(
        "SELECT questions.*, deliveries.turn_id FROM questions"
        " JOIN deliveries USING (session, out_id) JOIN inbox ON inbox.id = deliveries.turn_id"
        " WHERE questions.state = 'open' AND questions.expires_at > ? AND deliveries.last = 1"
        " AND deliveries.state = 'sent' AND inbox.state IN ('accepted', 'posted') ORDER BY questions.asked_at",
        (now,),
    )
    return [(QuestionRecord.from_row(row), row["turn_id"]) for row in rows]
