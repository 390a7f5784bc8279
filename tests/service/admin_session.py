"""The same administration session, as data: what an admin of a server does in the chat from the first agent on, and
what stands in bot.db when it is done. Given on any surface it comes to the same.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

Step = tuple[str, dict[str, str]]
"""The words of a command, and its options by their names."""

PERSON: Final = "{person}"
PLACE: Final = "{place}"
OTHER: Final = "{other}"
"""What stands in a step for an id of the platform: `session` puts it there."""

SESSION: Final[Sequence[Step]] = (
    ("agent create", {"name": "reviewer", "instructions": "You review changes.\nBe exact."}),
    ("agent create", {"name": "twin", "like": "reviewer"}),
    ("agent set", {"name": "reviewer", "key": "assistant_name", "value": "Rita"}),
    ("agent set", {"name": "reviewer", "key": "model", "value": "small"}),
    ("agent set", {"name": "reviewer", "key": "model", "value": "large"}),
    ("agent set", {"name": "reviewer", "key": "max_turns", "value": "20"}),
    ("agent set", {"name": "reviewer", "key": "memory_mb", "value": "2048"}),
    ("agent set", {"name": "reviewer", "key": "disallowed_tools", "value": "WebFetch, Bash(git push)"}),
    ("agent set", {"name": "twin", "key": "instructions", "value": "none"}),
    ("agent unset", {"name": "reviewer", "key": "max_turns"}),
    ("agent egress", {"name": "reviewer", "action": "add", "host": "api.github.com"}),
    ("agent egress", {"name": "reviewer", "action": "add", "host": "*.example.org:8443"}),
    ("agent egress", {"name": "reviewer", "action": "remove", "host": "*.example.org:8443"}),
    ("agent packages", {"name": "reviewer", "action": "add", "kind": "pip", "package": "pandas==2.3.0"}),
    (
        "agent mcp",
        {
            "name": "reviewer",
            "action": "add",
            "server": "time",
            "definition": '{"command": "uvx", "args": ["mcp-server-time"], "env": {"TOKEN": "made-up"}}',
        },
    ),
    ("channel wire", {"place": PLACE, "agent": "reviewer", "engage": "all"}),
    ("channel wire", {"place": PLACE, "agent": "twin", "engage": "mention", "priority": "3"}),
    ("channel wire", {"place": OTHER, "agent": "reviewer"}),
    ("wiring set", {"place": PLACE, "agent": "reviewer", "strangers": "refuse", "threads": "false"}),
    ("wiring set", {"place": PLACE, "agent": "twin", "engage": "pattern", "pattern": "^deploy"}),
    ("channel unwire", {"place": PLACE, "agent": "twin"}),
    ("channel set", {"place": PLACE, "key": "retention_messages_days", "value": "30"}),
    ("channel set", {"place": PLACE, "key": "forget_deleted", "value": "on"}),
    ("channel set", {"place": OTHER, "key": "strangers", "value": "answer"}),
    ("role grant", {"who": PERSON, "role": "admin", "agent": "reviewer"}),
    ("destination add", {"agent": "reviewer", "name": "news", "place": OTHER}),
    ("destination add", {"agent": "reviewer", "name": "log", "place": PLACE}),
    ("destination remove", {"agent": "reviewer", "name": "log"}),
    ("budget set", {"subject": "agent:reviewer", "period": "day", "usd": "2.5"}),
    ("budget set", {"subject": "agent:reviewer", "period": "day", "usd": "3"}),
    ("budget set", {"subject": "bot", "period": "month", "usd": "40"}),
    ("budget extend", {"subject": "bot", "period": "month", "usd": "10"}),
    ("budget set", {"subject": "person:*", "period": "day", "usd": "1"}),
    ("budget unset", {"subject": "person:*", "period": "day", "yes": "true"}),
    ("agent delete", {"name": "twin", "yes": "true"}),
    ("agent restore", {"name": "twin"}),
    ("agent create", {"name": "gone"}),
    ("agent delete", {"name": "gone", "yes": "true"}),
)

TABLES: Final = (
    "agents",
    "destinations",
    "places",
    "wirings",
    "roles",
    "group_roles",
    "denied",
    "budgets",
    "budget_periods",
    "egress",
    "audit",
)
NOT_COMPARED: Final = frozenset(
    {
        "at", "number", "changed_at", "wired_at", "granted_at", "granted_by", "actor", "actor_name", "surface",
        "thread_id",
    }
)  # fmt: skip
"""Times, numbers, and who has done it from where: that is what differs between surfaces."""


def session(*, person: str, place: str, other: str) -> list[Step]:
    """The steps for one platform. A `person` is somebody who has no role yet; `place` and `other` are two channels that
    nobody has wired. All are as that surface takes them: `slack:C123`, `<#C123>`."""
    ids = {PERSON: person, PLACE: place, OTHER: other}
    return [
        (words, {name: ids.get(value, value) for name, value in given.items()}) for words, given in SESSION
    ]


def state(
    db: sqlite3.Connection, *, person: str, place: str, other: str, channel: str
) -> dict[str, list[Any]]:
    """What all tables of what admins decide hold, without times and numbers; the bare ids of the platform are `PERSON`,
    `PLACE` and `OTHER` again, and `channel` is "{channel}". Roles that were there before are those of others."""
    db.row_factory = sqlite3.Row
    found: dict[str, list[Any]] = {}
    names = {person: PERSON, place: PLACE, other: OTHER, channel: "{channel}"}
    for table in TABLES:
        rows = [_row(dict(row), table, names) for row in db.execute(f"SELECT * FROM {table}")]
        kept = [row for row in rows if table != "roles" or row["user_id"] == PERSON]
        found[table] = (
            kept if table == "audit" else sorted(kept, key=lambda row: json.dumps(row, sort_keys=True))
        )
    return found


def _row(row: dict[str, Any], table: str, names: dict[str, str]) -> dict[str, Any]:
    if "deleted_at" in row:
        row["deleted_at"] = row["deleted_at"] is not None
    # Where a command was given is not where it is about.
    left_out = NOT_COMPARED | ({"platform_id"} if table == "audit" else set())
    return {name: _neutral(value, names) for name, value in row.items() if name not in left_out}


def _neutral(value: Any, names: dict[str, str]) -> Any:
    if not isinstance(value, str):
        return value
    if value in names:
        return names[value]
    for text, name in names.items():
        for mark in ("/", ":", '"'):
            value = value.replace(f"{mark}{text}", f"{mark}{name}").replace(f"{text}{mark}", f"{name}{mark}")
    return value
