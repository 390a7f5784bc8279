"""What lies in a data folder, read from outside."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TOKEN: Final = re.compile(r"\b[mt][0-9]+\b")
"""The word by which what was said is known again in its answer."""
_ROWS: Final = (
    "SELECT id, event_id, session, seq, kind, trigger, state,"
    " platform_id || coalesce('/' || thread_id, ''), content FROM inbox ORDER BY seq"
)
_WAITING: Final = (
    "SELECT (SELECT count(*) FROM notices) + (SELECT count(*) FROM deliveries WHERE state = 'waiting')"
)
_ONLY_TOLD: Final = "SELECT out_id FROM deliveries WHERE kind IN ('action', 'edit', 'reaction')"
"""What of it is refused or fails is told to the agent and nobody else."""
_GIVEN_UP: Final = (
    "SELECT out_id FROM deliveries WHERE state = 'failed' UNION SELECT out_id FROM dead_letters"
    f" EXCEPT {_ONLY_TOLD}"
)
_ACTIONS: Final = (
    "SELECT 'action:' || session || ':' || seq FROM deliveries WHERE last = 1 AND state != 'waiting' AND seq > 0"
    " AND (kind IN ('edit', 'reaction', 'action') OR edits IS NOT NULL)"
)
_SENT: Final = "SELECT out_id, part FROM deliveries WHERE state = 'sent' AND kind IS NOT 'action'"
_ENDED: Final = "SELECT out_id FROM deliveries WHERE last = 1 AND state != 'waiting'"


@dataclass(frozen=True)
class Row:
    """A message in bot.db."""

    id: str
    event_id: str
    session: str
    seq: int
    kind: str
    trigger: bool
    state: str
    place: str
    """The platform's id of it, and behind a slash that of the thread."""
    token: str | None


@dataclass(frozen=True)
class Books:
    """What bot.db says."""

    rows: Sequence[Row]
    waiting: int
    """Notices not said, and what is to be sent again."""
    given_up: Collection[str]
    """The message_outs that could not be delivered, at first or at all."""
    letters: Sequence[str]
    sent: set[tuple[str, int]]
    """The parts that the platform has taken."""
    ended: set[str]
    """The message_outs that were sent, or could not be."""
    runs: Sequence[tuple[str, int, str]]
    series: Sequence[tuple[str, str]]
    approvals: Sequence[tuple[str, str]]
    """Each with its state."""
    audit: Sequence[tuple[str, str]]
    """What was done, and to what."""
    actions: set[str]
    """The events by which the agents are told what became of the actions that were done."""

    @property
    def unfinished(self) -> list[Row]:
        return [row for row in self.rows if row.trigger and row.state in ("accepted", "posted")]


def books(data: Path) -> Books:
    """Reads bot.db, whoever else does. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"file:{data / 'bot.db'}?mode=ro", uri=True)) as db:
        db.execute("BEGIN")
        rows = db.execute(_ROWS).fetchall()
        return Books(
            rows=[_row(*row) for row in rows],
            waiting=db.execute(_WAITING).fetchone()[0],
            given_up={row[0] for row in db.execute(_GIVEN_UP)},
            letters=[row[0] for row in db.execute("SELECT id FROM dead_letters WHERE state = 'kept'")],
            sent=set(db.execute(_SENT)),
            ended={row[0] for row in db.execute(_ENDED)},
            runs=db.execute("SELECT series_id, due_at, state FROM runs").fetchall(),
            series=db.execute("SELECT id, status FROM series").fetchall(),
            approvals=db.execute("SELECT id, state FROM approvals ORDER BY created_at, id").fetchall(),
            audit=db.execute("SELECT action, subject FROM audit ORDER BY number").fetchall(),
            actions={row[0] for row in db.execute(_ACTIONS)},
        )


def written(data: Path) -> set[str]:
    """The message_outs that lie in the sessions. Raises sqlite3.Error."""
    return {out_id for file in (data / "sessions").glob("*/out/outbound.db") for out_id in ids(file)}


def ids(outbound: Path) -> set[str]:
    """The message_outs in a file. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"file:{outbound}?mode=ro", uri=True)) as db:
        return {row[0] for row in db.execute("SELECT id FROM messages_out")}


def _row(*columns: Any) -> Row:
    message_id, event_id, session, seq, kind, trigger, state, place, content = columns
    token = _token(kind, content)
    return Row(message_id, event_id, session, seq, kind, bool(trigger), state, place, token)


def _token(kind: str, content: str) -> str | None:
    """The word by which a message is known; the host's own rows have none."""
    found = TOKEN.search(content) if kind in ("chat", "task") else None
    return found[0] if found else None
