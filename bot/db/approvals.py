"""The approvals table: what somebody wants to have done that an admin has to allow first."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agent.protocol.messages import Route

State = Literal["open", "approved", "denied", "expired", "withdrawn", "done", "failed"]


@dataclass(frozen=True)
class ApprovalRecord:
    """A row of approvals. `effect` is all that will be done, `details` the same for people, in Markdown; `choices` the
    ways in which it can be allowed, `level` the role that it takes for `agent`, "" being the service as a whole.
    `session` and `route` are where it came from; where it is `announced`, what becomes of it is said there. Times are
    epoch milliseconds."""

    id: str
    kind: str
    agent: str
    session: str | None
    route: Route | None
    asked_by: str
    summary: str
    details: str
    effect: Mapping[str, Any]
    choices: Sequence[str]
    level: Literal["admin", "owner"]
    announced: bool
    created_at: int
    expires_at: int
    state: State = "open"
    choice: str | None = None
    outcome: str | None = None
    decided_by: str | None = None
    decided_at: int | None = None
    decided_as: Mapping[str, Any] | None = None
    """The same person as `decided_by`, as `audit.Actor.remembered` has it."""

    @property
    def subject(self) -> str:
        """What its cards are about, and the audit."""
        return f"approval:{self.id}"

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> ApprovalRecord:
        found = dict(row)
        channel, platform_id, thread_id = (found.pop(key) for key in ("channel", "platform_id", "thread_id"))
        found["route"] = (
            None if channel is None else Route(channel=channel, platform_id=platform_id, thread_id=thread_id)
        )
        found["effect"], found["choices"] = json.loads(found["effect"]), tuple(json.loads(found["choices"]))
        found["decided_as"] = None if found["decided_as"] is None else json.loads(found["decided_as"])
        found["announced"] = bool(found["announced"])
        return cls(**found)


def new_id() -> str:
    """Short, for people to type."""
    return secrets.token_hex(5)


def add(db: sqlite3.Connection, approval: ApprovalRecord) -> None:
    """Keeps one that is asked for."""
    place = approval.route
    db.execute(
        "INSERT INTO approvals (id, kind, agent, session, channel, platform_id, thread_id, asked_by, summary, details,"
        " effect, announced, choices, level, state, created_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?)",
        (
            *(approval.id, approval.kind, approval.agent, approval.session),
            *((None, None, None) if place is None else (place.channel, place.platform_id, place.thread_id)),
            *(approval.asked_by, approval.summary, approval.details, json.dumps(dict(approval.effect))),
            *(
                approval.announced,
                json.dumps(list(approval.choices)),
                approval.level,
                approval.created_at,
                approval.expires_at,
            ),
        ),
    )


def describe(db: sqlite3.Connection, approval_id: str, details: str) -> None:
    """There is something else to be read about an open one now."""
    db.execute("UPDATE approvals SET details = ? WHERE id = ? AND state = 'open'", (details, approval_id))


def get(db: sqlite3.Connection, approval_id: str) -> ApprovalRecord | None:
    """The approval of this id, if there is one."""
    row = db.execute("SELECT * FROM approvals WHERE id = ?", (approval_id,)).fetchone()
    return None if row is None else ApprovalRecord.from_row(row)


def by_prefix(
    db: sqlite3.Connection, prefix: str, agents: Collection[str] | None = None
) -> list[ApprovalRecord]:
    """Those whose ids begin so: of these agents only, or of all; two at most, enough to see that it is ambiguous."""
    rows = db.execute(
        "SELECT * FROM approvals WHERE substr(id, 1, ?1) = ?2"
        " AND (?3 IS NULL OR agent IN (SELECT value FROM json_each(?3))) ORDER BY id LIMIT 2",
        (len(prefix), prefix, None if agents is None else json.dumps(sorted(agents))),
    )
    return [ApprovalRecord.from_row(row) for row in rows]


def listed(
    db: sqlite3.Connection,
    limit: int,
    *,
    agents: Collection[str] | None = None,
    state: State | None = None,
) -> list[ApprovalRecord]:
    """The open ones first, then the newest: of these agents only, or of all; in this state, or in any."""
    rows = db.execute(
        "SELECT * FROM approvals WHERE (?1 IS NULL OR agent IN (SELECT value FROM json_each(?1)))"
        " AND (?2 IS NULL OR state = ?2) ORDER BY state != 'open', created_at DESC, id LIMIT ?3",
        (None if agents is None else json.dumps(sorted(agents)), state, limit),
    )
    return [ApprovalRecord.from_row(row) for row in rows]


def open_ones(db: sqlite3.Connection) -> list[ApprovalRecord]:
    """All that wait for a decision."""
    rows = db.execute("SELECT * FROM approvals WHERE state = 'open' ORDER BY expires_at")
    return [ApprovalRecord.from_row(row) for row in rows]


def open_of(db: sqlite3.Connection, session_id: str) -> int:
    """How many a session has open."""
    row = db.execute(
        "SELECT count(*) FROM approvals WHERE session = ? AND state = 'open'", (session_id,)
    ).fetchone()
    return int(row[0])


def open_of_agent(db: sqlite3.Connection, agent: str) -> int:
    """How many an agent has asked for in its sessions that are open."""
    row = db.execute(
        "SELECT count(*) FROM approvals WHERE state = 'open' AND agent = ? AND asked_by = ?",
        (agent, f"agent:{agent}"),
    ).fetchone()
    return int(row[0])


def asked_since(db: sqlite3.Connection, session_id: str, since: int) -> int:
    """How many a session has asked for since then."""
    row = db.execute(
        "SELECT count(*) FROM approvals WHERE session = ? AND created_at >= ?", (session_id, since)
    ).fetchone()
    return int(row[0])


def denied_since(
    db: sqlite3.Connection, kind: str, agent: str, effect: Mapping[str, Any], since: int
) -> bool:
    """Whether just this was denied to an agent since then, and not allowed after that."""
    row = db.execute(
        "SELECT state FROM approvals WHERE kind = ? AND agent = ? AND effect = ? AND decided_at >= ?"
        " ORDER BY decided_at DESC LIMIT 1",
        (kind, agent, json.dumps(dict(effect)), since),
    ).fetchone()
    return row is not None and row["state"] == "denied"


def same_open(
    db: sqlite3.Connection, kind: str, agent: str, effect: Mapping[str, Any]
) -> ApprovalRecord | None:
    """The open one that asks for just this already."""
    row = db.execute(
        "SELECT * FROM approvals WHERE state = 'open' AND kind = ? AND agent = ? AND effect = ?",
        (kind, agent, json.dumps(dict(effect))),
    ).fetchone()
    return None if row is None else ApprovalRecord.from_row(row)


def settle(
    db: sqlite3.Connection,
    approval_id: str,
    state: State,
    *,
    choice: str | None,
    by: str,
    now: int,
    decided_as: Mapping[str, Any] | None = None,
) -> ApprovalRecord | None:
    """Decides an open one, once; None when somebody was faster, or its time is over, which only keeps it from being
    approved or denied."""
    row = db.execute(
        "UPDATE approvals SET state = ?, choice = ?, decided_by = ?, decided_as = ?, decided_at = ? WHERE id = ?"
        " AND state = 'open' AND (expires_at > ? OR ? IN ('expired', 'withdrawn')) RETURNING *",
        (
            *(state, choice, by, None if decided_as is None else json.dumps(dict(decided_as))),
            *(now, approval_id, now, state),
        ),
    ).fetchone()
    return None if row is None else ApprovalRecord.from_row(row)


def ended(
    db: sqlite3.Connection, approval_id: str, state: Literal["done", "failed"], outcome: str
) -> ApprovalRecord | None:
    """What has come of an approved one; None when that was written before."""
    row = db.execute(
        "UPDATE approvals SET state = ?, outcome = ? WHERE id = ? AND state = 'approved' RETURNING *",
        (state, outcome, approval_id),
    ).fetchone()
    return None if row is None else ApprovalRecord.from_row(row)


def approved(db: sqlite3.Connection) -> list[ApprovalRecord]:
    """Those that are to be carried out, the first one first."""
    rows = db.execute("SELECT * FROM approvals WHERE state = 'approved' ORDER BY decided_at, id")
    return [ApprovalRecord.from_row(row) for row in rows]
