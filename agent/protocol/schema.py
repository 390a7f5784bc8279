"""The only DDL of inbound.db and outbound.db.

`PRAGMA user_version` is VERSION in both. The host migrates inbound, the agent migrates outbound, and
the snapshot reader accepts an outbound only when its schema is, to the letter, that of a version in OUTBOUND.

Each version holds what is new in it. It rises as well when there are new kinds of rows, which older runners could
not read: 2 has edited, withdrawn and reacted, 3 what was said in a thread before a chat, 4 chats of other agents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VERSION: Final = 4

INBOUND: Final[Mapping[int, tuple[str, ...]]] = {
    1: (
        """CREATE TABLE messages_in (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL UNIQUE,
    event_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    process_after INTEGER,
    status TEXT NOT NULL,
    tries INTEGER NOT NULL,
    trigger INTEGER NOT NULL,
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    content TEXT NOT NULL
)""",
        """CREATE TABLE delivered (
    message_out_id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    status TEXT NOT NULL,
    platform_message_id TEXT,
    error TEXT,
    at INTEGER NOT NULL
)""",
        """CREATE TABLE destinations (
    name TEXT PRIMARY KEY,
    display_name TEXT NOT NULL,
    type TEXT NOT NULL,
    channel TEXT,
    platform_id TEXT,
    thread_id TEXT,
    agent_id TEXT
)""",
        """CREATE TABLE session_routing (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT
)""",
        """CREATE TABLE schedules (
    series_id TEXT PRIMARY KEY,
    prompt TEXT NOT NULL,
    recurrence TEXT,
    timezone TEXT,
    status TEXT NOT NULL,
    next_at INTEGER
)""",
        "CREATE INDEX messages_in_pending ON messages_in (seq) WHERE status = 'pending'",
    ),
    2: (),
    3: (),
    4: (),
}

OUTBOUND: Final[Mapping[int, tuple[str, ...]]] = {
    1: (
        """CREATE TABLE messages_out (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL UNIQUE,
    in_reply_to TEXT,
    kind TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deliver_after INTEGER,
    turn_id TEXT,
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    content TEXT NOT NULL
)""",
        """CREATE TABLE processing_ack (
    message_id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    status_changed INTEGER NOT NULL,
    turn_id TEXT
)""",
        """CREATE TABLE session_state (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL
)""",
    ),
    2: (),
    3: (),
    4: (),
}


def complete(versions: Mapping[int, tuple[str, ...]], version: int) -> tuple[str, ...]:
    """All the statements that make a file of this version."""
    return tuple(statement for each in range(1, version + 1) for statement in versions[each])
