"""The cards table: buttons of the service's own. Each stands for a command, which whoever presses it gives."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from adapters.base import CARD
from agent.protocol.messages import Route


@dataclass(frozen=True)
class Option:
    """A button: what it says, and the command that it stands for with its arguments by name. `after` is the text that
    takes the place of the buttons for all to see when the command was carried out, None: the card stays open, or is
    closed by what the command does."""

    label: str
    command: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    after: str | None = None


@dataclass(frozen=True)
class CardRecord:
    """A row of cards. `subject` is what it is about, such as "approval:<id>"."""

    id: str
    subject: str
    session: str
    notice: str
    route: Route
    text: str
    options: Sequence[Option]
    state: Literal["open", "closed"]
    outcome: str | None
    expires_at: int

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> CardRecord:
        return cls(
            id=row["id"],
            subject=row["subject"],
            session=row["session"],
            notice=row["notice"],
            route=Route(channel=row["channel"], platform_id=row["platform_id"], thread_id=row["thread_id"]),
            text=row["text"],
            options=tuple(Option(**each) for each in json.loads(row["options"])),
            state=row["state"],
            outcome=row["outcome"],
            expires_at=row["expires_at"],
        )


def new_id() -> str:
    """Short enough for every platform, and nobody's to guess."""
    return f"{CARD}{secrets.token_urlsafe(12)}"


def add(db: sqlite3.Connection, card: CardRecord, *, now: int) -> None:
    """Keeps a card that is about to be shown."""
    options = [{**vars(each), "arguments": dict(each.arguments)} for each in card.options]
    db.execute(
        "INSERT INTO cards (id, subject, session, notice, channel, platform_id, thread_id, text, options, state,"
        " created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?)",
        (
            *(card.id, card.subject, card.session, card.notice),
            *(card.route.channel, card.route.platform_id, card.route.thread_id),
            *(card.text, json.dumps(options), now, card.expires_at),
        ),
    )


def get(db: sqlite3.Connection, card_id: str) -> CardRecord | None:
    """The card of this id, if there is one."""
    row = db.execute("SELECT * FROM cards WHERE id = ?", (card_id,)).fetchone()
    return None if row is None else CardRecord.from_row(row)


def open_about(db: sqlite3.Connection, subject: str) -> list[CardRecord]:
    """Those about a subject that can still be pressed."""
    rows = db.execute("SELECT * FROM cards WHERE subject = ? AND state = 'open' ORDER BY id", (subject,))
    return [CardRecord.from_row(row) for row in rows]


def close(db: sqlite3.Connection, subject: str, outcome: str) -> list[CardRecord]:
    """Nothing about this subject can be pressed any more; returns those that could until now."""
    rows = db.execute(
        "UPDATE cards SET state = 'closed', outcome = ? WHERE subject = ? AND state = 'open' RETURNING *",
        (outcome, subject),
    ).fetchall()
    return [CardRecord.from_row(row) for row in rows]


def overdue(db: sqlite3.Connection, now: int) -> list[CardRecord]:
    """The open cards whose time is over."""
    rows = db.execute("SELECT * FROM cards WHERE state = 'open' AND expires_at <= ?", (now,))
    return [CardRecord.from_row(row) for row in rows]


def forget(db: sqlite3.Connection, before: int) -> None:
    """Removes the closed ones that were made before that time, in epoch milliseconds."""
    db.execute("DELETE FROM cards WHERE state = 'closed' AND created_at < ?", (before,))
