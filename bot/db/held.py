"""The held and quiet tables: what people have said of whom an admin is asked first, and where nobody is asked again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from adapters.base import Event, Sender
from agent.protocol.messages import Attachment, Quote, Route

_FILES = TypeAdapter(list[Attachment])
_QUOTES = TypeAdapter(list[Quote])


@dataclass(frozen=True)
class Held:
    """A row of held: a message that waits for the `approval` with this id, what its row of the inbox is going to have,
    and how often it was changed since. `left_out` names the files that were not kept. One that is `admitted` is to be
    accepted."""

    event: Event
    agent: str
    approval: str
    message_id: str
    attachments: Sequence[Attachment] = ()
    before: Sequence[Quote] = ()
    left_out: Sequence[str] = ()
    revised: int = 0
    admitted: bool = False

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Held:
        return cls(
            event=_event(json.loads(row["event"])),
            agent=row["agent"],
            approval=row["approval"],
            message_id=row["message_id"],
            attachments=_FILES.validate_json(row["attachments"]),
            before=_QUOTES.validate_json(row["before"]),
            left_out=json.loads(row["left_out"]),
            revised=row["revised"],
            admitted=bool(row["admitted"]),
        )

    @property
    def size(self) -> int:
        """Of its files, in bytes."""
        return sum(each.size for each in self.attachments)


def keep(db: sqlite3.Connection, held: Held, *, now: int) -> None:
    """Adds one."""
    event = held.event
    db.execute(
        "INSERT INTO held (event_id, agent, approval, channel, platform_id, sender_id, message_id, event, attachments,"
        " before, left_out, file_bytes, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(
                event.id,
                held.agent,
                held.approval,
                event.route.channel,
                event.route.platform_id,
                event.sender.id,
            ),
            *(held.message_id, json.dumps(_json(event)), _FILES.dump_json(list(held.attachments)).decode()),
            *(_QUOTES.dump_json(list(held.before)).decode(), json.dumps(list(held.left_out)), held.size, now),
        ),
    )


def of_event(db: sqlite3.Connection, event_id: str) -> list[Held]:
    """The rows of a message, one for each agent."""
    rows = db.execute("SELECT * FROM held WHERE event_id = ? ORDER BY agent", (event_id,))
    return [Held.from_row(row) for row in rows]


def is_held(db: sqlite3.Connection, event_id: str) -> bool:
    """Whether a message waits."""
    return db.execute("SELECT 1 FROM held WHERE event_id = ?", (event_id,)).fetchone() is not None


def is_admitted(db: sqlite3.Connection, event_id: str, agent: str) -> bool:
    """Whether an admin has let just this message through to an agent."""
    row = db.execute(
        "SELECT 1 FROM held WHERE event_id = ? AND agent = ? AND admitted = 1", (event_id, agent)
    ).fetchone()
    return row is not None


def waiting(db: sqlite3.Connection, approval_id: str) -> list[Held]:
    """What waits for an approval, in the order in which it was said."""
    rows = db.execute("SELECT * FROM held WHERE approval = ? ORDER BY at, rowid", (approval_id,))
    return [Held.from_row(row) for row in rows]


def open_for_person(db: sqlite3.Connection, channel: str, sender_id: str, agent: str) -> str | None:
    """The open approval of the kind "admit" for which something of theirs waits already."""
    row = db.execute(
        "SELECT approvals.id FROM held JOIN approvals ON approvals.id = held.approval WHERE held.channel = ?"
        " AND held.sender_id = ? AND held.agent = ? AND approvals.kind = 'admit' AND approvals.state = 'open' LIMIT 1",
        (channel, sender_id, agent),
    ).fetchone()
    return None if row is None else row[0]


def open_at_place(db: sqlite3.Connection, channel: str, platform_id: str) -> str | None:
    """The open approval of the kind "contact" that is about a place."""
    row = db.execute(
        "SELECT id FROM approvals WHERE state = 'open' AND kind = 'contact' AND channel = ? AND platform_id = ?",
        (channel, platform_id),
    ).fetchone()
    return None if row is None else row[0]


def asked_about(db: sqlite3.Connection) -> int:
    """How many approvals about strangers are open."""
    row = db.execute(
        "SELECT count(*) FROM approvals WHERE state = 'open' AND kind IN ('admit', 'contact')"
    ).fetchone()
    return int(row[0])


def admit(db: sqlite3.Connection, approval_id: str, *, sender_id: str | None = None) -> None:
    """All that waits for an approval is to be accepted, or that of one person."""
    db.execute(
        "UPDATE held SET admitted = 1 WHERE approval = ?1 AND (?2 IS NULL OR sender_id = ?2)",
        (approval_id, sender_id),
    )


def revise(db: sqlite3.Connection, event_id: str, text: str) -> None:
    """Gives a message that waits another text."""
    for each in of_event(db, event_id):
        db.execute(
            "UPDATE held SET event = ?, revised = revised + 1 WHERE event_id = ? AND agent = ?",
            (json.dumps(_json(replace(each.event, text=text))), event_id, each.agent),
        )


def drop(db: sqlite3.Connection, event_id: str, agent: str | None = None) -> None:
    """It does not wait any more. Absent is success."""
    db.execute("DELETE FROM held WHERE event_id = ?1 AND (?2 IS NULL OR agent = ?2)", (event_id, agent))


def drop_all(db: sqlite3.Connection, approval_id: str) -> list[Held]:
    """Nothing waits for this approval any more; returns what did."""
    found = waiting(db, approval_id)
    db.execute("DELETE FROM held WHERE approval = ?", (approval_id,))
    return found


def message_ids(db: sqlite3.Connection) -> set[str]:
    """By which the files of what waits are known."""
    return {row[0] for row in db.execute("SELECT message_id FROM held")}


def file_bytes(db: sqlite3.Connection) -> int:
    """How much of the disk the files take of all that waits."""
    row = db.execute("SELECT coalesce(sum(file_bytes), 0) FROM held").fetchone()
    return int(row[0])


def hush(db: sqlite3.Connection, channel: str, platform_id: str, *, until: int) -> None:
    """Nobody is asked about the place until then, in epoch milliseconds."""
    db.execute("INSERT OR REPLACE INTO quiet VALUES (?, ?, ?)", (channel, platform_id, until))


def is_quiet(db: sqlite3.Connection, channel: str, platform_id: str, *, now: int) -> bool:
    """Whether an owner has said so, and it still counts."""
    row = db.execute(
        "SELECT 1 FROM quiet WHERE channel = ? AND platform_id = ? AND until > ?", (channel, platform_id, now)
    ).fetchone()
    return row is not None


def _json(event: Event) -> dict[str, Any]:
    """What of an event is worth keeping: files are described beside it, and what reads a thread does not outlive the
    adapter."""
    return {
        "id": event.id,
        "route": event.route.model_dump(),
        "sender": asdict(event.sender),
        "created_at": event.created_at,
        "text": event.text,
        "direct": event.direct,
        "mentions_bot": event.mentions_bot,
        "mentions_others": event.mentions_others,
        "reply_to": event.reply_to,
    }


def _event(kept: dict[str, Any]) -> Event:
    """The same again: always a message."""
    sender, quoted = kept.pop("sender"), kept.pop("reply_to")
    return Event(
        kind="message",
        route=Route.model_validate(kept.pop("route")),
        sender=Sender(**{**sender, "groups": tuple(sender["groups"])}),
        reply_to=None if quoted is None else (quoted[0], quoted[1]),
        **kept,
    )
