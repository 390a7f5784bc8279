"""What may be forgotten: rows that came to their end long ago and that nothing will ask for any more.

inbox         but for those with a trace, a living dead letter, a notice or a reply that waits
deliveries    what was sent; what failed stays as long as the message that it answers, whose account it decides
questions     answered or over
dead_letters  replayed or dropped
runs          of schedules, that have ended

Of a conversation the newest NUMBERS_KEPT stay however old they are: its outbound.db may still hold these replies, and
one that bot.db does not know is sent.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

NUMBERS_KEPT: Final = 4_000
"""Host and agent have every other one each: as many replies as a snapshot may hold."""
NUMBERS_AHEAD: Final = 20_000
"""Of a restored bot.db an outbox can be ahead. What is further ahead than this was refused, and would be again."""
BATCH_ROWS: Final = 500

_LIVING: Final = "d.state IN ('kept', 'replaying') AND d.session = r.session"
_OVER: Final[Mapping[str, str]] = {
    "inbox": f"""r.state IN ('done', 'failed') AND r.settled_at < :before
        AND r.seq <= (SELECT last_in_seq FROM sessions WHERE id = r.session) - {NUMBERS_KEPT}
        AND NOT EXISTS (SELECT 1 FROM traces WHERE message_id = r.id)
        AND NOT EXISTS (SELECT 1 FROM notices WHERE id = r.notice)
        AND NOT EXISTS (SELECT 1 FROM dead_letters AS d WHERE {_LIVING}
            AND (d.turn_id = r.turn_id OR d.answers = r.event_id OR d.out_id = r.notice))
        AND NOT EXISTS (SELECT 1 FROM deliveries AS w INDEXED BY deliveries_waiting
            WHERE w.state = 'waiting' AND w.session = r.session AND w.turn_id = r.turn_id)
        AND NOT EXISTS (SELECT 1 FROM runs AS n WHERE n.message_id = r.id AND n.state = 'running')""",
    "deliveries": f"""r.state != 'waiting' AND r.at < :before
        AND r.seq NOT BETWEEN (SELECT last_out_seq FROM sessions WHERE id = r.session) - {NUMBERS_KEPT} + 1
            AND (SELECT max(last_in_seq, last_out_seq) FROM sessions WHERE id = r.session) + {NUMBERS_AHEAD}
        AND NOT EXISTS (SELECT 1 FROM dead_letters AS d WHERE {_LIVING} AND d.out_id = r.out_id)
        AND (r.state = 'sent' OR r.turn_id IS NULL OR (r.session, r.turn_id) NOT IN (
            SELECT m.session, m.turn_id FROM inbox AS m WHERE m.turn_id IS NOT NULL AND m.session IN (
                SELECT session FROM deliveries WHERE rowid > :after AND rowid <= :last AND state = 'failed')))""",
    "questions": "r.asked_at < :before AND (r.state = 'answered' OR r.expires_at < :before)",
    "dead_letters": "r.state IN ('replayed', 'dropped') AND coalesce(r.changed_at, r.created_at) < :before",
    "runs": "r.state != 'running' AND r.started_at < :before AND r.settled_at < :before",
}
TABLES: Final = tuple(_OVER)
_BEGUN: Final[Mapping[str, str]] = {
    "inbox": "accepted_at",
    "deliveries": "at",
    "questions": "asked_at",
    "dead_letters": "created_at",
    "runs": "started_at",
}


@dataclass(frozen=True)
class Batch:
    """Some rows of a table, in the order in which they were written: those that may go, and where to go on; None
    when all that are older than the time were looked at."""

    rows: Sequence[int]
    next: int | None


def over(db: sqlite3.Connection, table: str, *, after: int, before: int) -> Batch:
    """What may go of the BATCH_ROWS rows behind the row `after`; `before` is in epoch milliseconds."""
    looked_at = db.execute(
        f"SELECT rowid, {_BEGUN[table]} AS begun FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?",
        (after, BATCH_ROWS),
    ).fetchall()
    if not looked_at:
        return Batch((), None)
    last = looked_at[-1]
    rows = db.execute(
        f"SELECT r.rowid FROM {table} AS r WHERE r.rowid > :after AND r.rowid <= :last AND {_OVER[table]}",
        {"after": after, "last": last["rowid"], "before": before},
    )
    done = len(looked_at) < BATCH_ROWS or all(row["begun"] >= before for row in looked_at)
    return Batch([row["rowid"] for row in rows], None if done else last["rowid"])


def forget(db: sqlite3.Connection, table: str, rows: Sequence[int]) -> int:
    """Removes them, and returns how many there were."""
    if table not in _OVER:
        raise ValueError(f"{table} is kept")
    gone = db.execute(
        f"DELETE FROM {table} WHERE rowid IN (SELECT value FROM json_each(?))", (json.dumps(list(rows)),)
    )
    return gone.rowcount
