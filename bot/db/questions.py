"""The questions table: what an agent asked, and the one answer to it."""

from __future__ import annotations

import json
import sqlite3
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
    question: str
    options: tuple[str, ...]
    state: Literal["open", "answered"]
    expires_at: int

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> QuestionRecord:
        return cls(
            id=row["id"],
            session=row["session"],
            route=Route(channel=row["channel"], platform_id=row["platform_id"], thread_id=row["thread_id"]),
            question=row["question"],
            options=tuple(json.loads(row["options"])),
            state=row["state"],
            expires_at=row["expires_at"],
        )


def ask(
    db: sqlite3.Connection, session_id: str, out_id: str, route: Route, asked: AskQuestion, *, now: int
) -> None:
    """Keeps the question; asked twice it is the same question."""
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
