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
    closed by what the command does. One without a command only takes the buttons away."""

    label: str
    command: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    after: str | None = None


@dataclass(frozen=True)
class CardRecord:
    """A row of cards. `subject` is what it is about, such as "approval:<id>". `notice` is the id of the notice that
    shows it, "" where the answer to a command does; `edits` is how often that was changed since."""

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
    edits: int = 0

    @property
    def shown_by(self) -> tuple[str, ...]:
        """The ids of the notices that have shown it and changed it, in their order."""
        return (self.notice, *(f"{self.notice}-{number}" for number in range(1, self.edits + 1)))

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
            edits=row["edits"],
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


def edited(db: sqlite3.Connection, card: CardRecord) -> str:
    """It is changed once more where it is shown; returns the id that the notice is to have which does that."""
    row = db.execute("UPDATE cards SET edits = edits + 1 WHERE id = ? RETURNING *", (card.id,)).fetchone()
    return CardRecord.from_row(row).shown_by[-1]


def take(db: sqlite3.Connection, card_id: str, outcome: str) -> CardRecord | None:
    """Closes one card that can be pressed, for the first who does so; None for whoever comes after."""
    row = db.execute(
        "UPDATE cards SET state = 'closed', outcome = ? WHERE id = ? AND state = 'open' RETURNING *",
        (outcome, card_id),
    ).fetchone()
    return None if row is None else CardRecord.from_row(row)


def about(db: sqlite3.Connection, subject: str) -> list[CardRecord]:
    """All cards about a subject, the first one first."""
    rows = db.execute("SELECT * FROM cards WHERE subject = ? ORDER BY created_at, id", (subject,))
    return [CardRecord.from_row(row) for row in rows]


def put(db: sqlite3.Connection, card: CardRecord, outcome: str) -> None:
    """Gives a closed card another outcome."""
    db.execute("UPDATE cards SET outcome = ? WHERE id = ? AND state = 'closed'", (outcome, card.id))


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


def forgotten(db: sqlite3.Connection, before: int) -> bool:
    """Whether there is something to forget."""
    found = db.execute("SELECT 1 FROM cards WHERE state = 'closed' AND created_at < ? LIMIT 1", (before,))
    return found.fetchone() is not None


def forget(db: sqlite3.Connection, before: int) -> None:
    """Removes the closed ones that were made before that time, in epoch milliseconds."""
    db.execute("DELETE FROM cards WHERE state = 'closed' AND created_at < ?", (before,))
