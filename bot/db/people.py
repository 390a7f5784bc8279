"""The roles, group_roles, denied and owner_codes tables: who is who, by platform id and never by name."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Role = Literal["owner", "admin", "member"]
EVERYWHERE: Final = ""
"""In the place of an agent: a role that holds for all of them."""
CODE_BYTES: Final = 6
_RANK: Final[Mapping[Role | None, int]] = {None: 0, "member": 1, "admin": 2, "owner": 3}


@dataclass(frozen=True)
class Standing:
    """The roles of somebody: one that holds everywhere, and those for single agents. `denied` are the agents of which
    an admin has said that they are not to be asked about this person again."""

    everywhere: Role | None = None
    agents: Mapping[str, Role] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()

    def of(self, agent: str | None) -> Role | None:
        """The role that counts for an agent; None stands for the service as a whole."""
        own = None if agent is None else self.agents.get(agent)
        return _highest(self.everywhere, own)

    @property
    def anywhere(self) -> Role | None:
        """The highest of them."""
        return _highest(self.everywhere, *self.agents.values())

    @property
    def known(self) -> bool:
        """Whether there is any."""
        return self.anywhere is not None


OWNER: Final = Standing("owner")
"""Of whoever may open the control socket."""


@dataclass(frozen=True)
class Grant:
    """A row of roles or of group_roles: `of` is a person's id or a group's; `agent` is EVERYWHERE for all."""

    channel: str
    of: str
    agent: str
    role: Role
    is_group: bool = False


def standing(db: sqlite3.Connection, channel: str, user_id: str, groups: Sequence[str] = ()) -> Standing:
    """The roles of a person on a channel adapter, their own and those of their groups."""
    rows = db.execute(
        "SELECT agent, role FROM roles WHERE channel = ?1 AND user_id = ?2", (channel, user_id)
    ).fetchall()
    if groups:
        rows += db.execute(
            "SELECT agent, role FROM group_roles WHERE channel = ? AND group_id IN (SELECT value FROM json_each(?))",
            (channel, json.dumps(list(groups))),
        ).fetchall()
    found: dict[str, Role] = {}
    for row in rows:
        highest = _highest(row["role"], found.get(row["agent"]))
        found[row["agent"]] = highest or row["role"]
    denied = db.execute("SELECT agent FROM denied WHERE channel = ? AND user_id = ?", (channel, user_id))
    return Standing(found.pop(EVERYWHERE, None), found, frozenset(row["agent"] for row in denied))


def role_of(db: sqlite3.Connection, channel: str, user_id: str) -> Role | None:
    """The role that a person was given everywhere on a channel adapter; None for a stranger."""
    return standing(db, channel, user_id).everywhere


def grant(
    db: sqlite3.Connection,
    channel: str,
    user_id: str,
    role: Role,
    *,
    now: int,
    agent: str = EVERYWHERE,
    by: str | None = None,
) -> None:
    """Gives a person a role in place of the one they had there; whoever was denied is not any more."""
    db.execute(
        "INSERT OR REPLACE INTO roles VALUES (?, ?, ?, ?, ?, ?)", (channel, user_id, agent, role, now, by)
    )
    undeny(db, channel, user_id, agent)


def revoke(db: sqlite3.Connection, channel: str, user_id: str, *, agent: str = EVERYWHERE) -> Role | None:
    """Takes the role away that they have there, and returns it."""
    row = db.execute(
        "DELETE FROM roles WHERE channel = ? AND user_id = ? AND agent = ? RETURNING role",
        (channel, user_id, agent),
    ).fetchone()
    return None if row is None else row["role"]


def grant_group(
    db: sqlite3.Connection,
    channel: str,
    group_id: str,
    role: Literal["admin", "member"],
    *,
    now: int,
    agent: str = EVERYWHERE,
    by: str | None = None,
) -> None:
    """Has a Discord role or a Slack user group stand for a role."""
    db.execute(
        "INSERT OR REPLACE INTO group_roles VALUES (?, ?, ?, ?, ?, ?)",
        (channel, group_id, agent, role, now, by),
    )


def revoke_group(
    db: sqlite3.Connection, channel: str, group_id: str, *, agent: str = EVERYWHERE
) -> Role | None:
    """It stands for nothing any more; returns what it stood for."""
    row = db.execute(
        "DELETE FROM group_roles WHERE channel = ? AND group_id = ? AND agent = ? RETURNING role",
        (channel, group_id, agent),
    ).fetchone()
    return None if row is None else row["role"]


def deny(db: sqlite3.Connection, channel: str, user_id: str, *, agent: str = EVERYWHERE, now: int) -> None:
    """Nobody is asked about this stranger again."""
    db.execute("INSERT OR REPLACE INTO denied VALUES (?, ?, ?, ?)", (channel, user_id, agent, now))


def undeny(db: sqlite3.Connection, channel: str, user_id: str, agent: str = EVERYWHERE) -> None:
    """Takes that back. Absent is success."""
    db.execute(
        "DELETE FROM denied WHERE channel = ? AND user_id = ? AND agent = ?", (channel, user_id, agent)
    )


def grants(db: sqlite3.Connection) -> list[Grant]:
    """All roles, people's first, by channel and id."""
    people = db.execute("SELECT * FROM roles ORDER BY channel, user_id, agent")
    groups = db.execute("SELECT * FROM group_roles ORDER BY channel, group_id, agent")
    return [
        *(Grant(row["channel"], row["user_id"], row["agent"], row["role"]) for row in people),
        *(Grant(row["channel"], row["group_id"], row["agent"], row["role"], is_group=True) for row in groups),
    ]


def entitled(db: sqlite3.Connection, channel: str, agent: str | None, level: Role) -> list[str]:
    """The people of a channel adapter who have at least this role for an agent (None: for the service), those first who
    have it for the agent alone. Members of groups are not among them: nobody knows who they are."""
    rows = db.execute(
        "SELECT user_id, agent, role FROM roles WHERE channel = ?1 AND agent IN ('', ?2)"
        " ORDER BY agent = '', user_id",
        (channel, agent or EVERYWHERE),
    )
    found = [row["user_id"] for row in rows if _RANK[row["role"]] >= _RANK[level]]
    return list(dict.fromkeys(found))


def has_owner(db: sqlite3.Connection, channel: str) -> bool:
    """Whether somebody owns the bot on this channel adapter."""
    found = db.execute(
        "SELECT 1 FROM roles WHERE channel = ? AND role = 'owner' LIMIT 1", (channel,)
    ).fetchone()
    return found is not None


def owners(db: sqlite3.Connection, channel: str) -> list[str]:
    """Who owns the bot on this channel adapter."""
    rows = db.execute(
        "SELECT user_id FROM roles WHERE channel = ? AND role = 'owner' ORDER BY granted_at", (channel,)
    )
    return [row["user_id"] for row in rows]


def new_code(db: sqlite3.Connection, channel: str, *, now: int) -> str:
    """A fresh one-time code with which the first owner claims the bot; an older one is void. Only its
    digest is kept."""
    code = secrets.token_hex(CODE_BYTES)
    db.execute(
        "INSERT OR REPLACE INTO owner_codes (channel, digest, created_at) VALUES (?, ?, ?)",
        (channel, _digest(code), now),
    )
    return code


def claim(db: sqlite3.Connection, channel: str, user_id: str, code: str, *, now: int) -> bool:
    """Makes the person the owner if the code is the right one, which is then used up. A wrong one is none of the
    others' business: the code stays."""
    row = db.execute("SELECT digest FROM owner_codes WHERE channel = ?", (channel,)).fetchone()
    if row is None or not hmac.compare_digest(row["digest"], _digest(code.strip())):
        return False
    db.execute("DELETE FROM owner_codes WHERE channel = ?", (channel,))
    grant(db, channel, user_id, "owner", now=now)
    return True


def _highest(*roles: Role | None) -> Role | None:
    return max(roles, key=_RANK.__getitem__)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
