"""The people, roles, group_roles, denied and owner_codes tables: who is who, by platform id and never by name."""

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
    """A row of roles or of group_roles: `of` is a person's id or a group's; `agent` is EVERYWHERE for all. `at` is in
    epoch milliseconds; `by` is the id of whoever has given it, None: nobody but the service itself."""

    channel: str
    of: str
    agent: str
    role: Role
    is_group: bool = False
    at: int = 0
    by: str | None = None

    @property
    def told(self) -> str:
        """As it is told to people: "member for the agent helper, through the group discord:7"."""
        where = f"for the agent {self.agent}" if self.agent else "for all agents"
        return f"{self.role} {where}" + (
            f", through the group {self.channel}:{self.of}" if self.is_group else ""
        )


@dataclass(frozen=True)
class Seen:
    """What the platform has told of a person when they last said something that was taken. `name` decides nothing."""

    name: str
    groups: tuple[str, ...] = ()


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
    return [*map(_grant, people), *map(_grant, groups)]


def grants_to(db: sqlite3.Connection, channel: str, user_id: str, groups: Sequence[str] = ()) -> list[Grant]:
    """The rows that make up somebody's standing: their own, then those of their groups."""
    own = db.execute(
        "SELECT * FROM roles WHERE channel = ? AND user_id = ? ORDER BY agent", (channel, user_id)
    )
    theirs = db.execute(
        "SELECT * FROM group_roles WHERE channel = ? AND group_id IN (SELECT value FROM json_each(?))"
        " ORDER BY group_id, agent",
        (channel, json.dumps(list(groups))),
    )
    return [*map(_grant, own), *map(_grant, theirs)]


def granted(
    db: sqlite3.Connection, channel: str, of: str, agent: str, *, is_group: bool = False
) -> Grant | None:
    """What a person or a group itself was given for an agent, if anything."""
    table, column = ("group_roles", "group_id") if is_group else ("roles", "user_id")
    row = db.execute(
        f"SELECT * FROM {table} WHERE channel = ? AND {column} = ? AND agent = ?",
        (channel, of, agent),
    ).fetchone()
    return None if row is None else _grant(row)


def saw(db: sqlite3.Connection, channel: str, user_id: str, seen: Seen) -> None:
    """Remembers what a person is called and which groups they are in; written only where that has changed."""
    if sees(db, channel, user_id) != seen:
        db.execute(
            "INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?)",
            (channel, user_id, seen.name, json.dumps(list(seen.groups))),
        )


def sees(db: sqlite3.Connection, channel: str, user_id: str) -> Seen | None:
    """What was remembered of a person, if anything."""
    row = db.execute("SELECT * FROM people WHERE channel = ? AND user_id = ?", (channel, user_id)).fetchone()
    return None if row is None else Seen(row["name"], tuple(json.loads(row["groups"])))


def names(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """What everybody is called who has said something that was taken, by channel and id."""
    return {(row["channel"], row["user_id"]): row["name"] for row in db.execute("SELECT * FROM people")}


def suggested(db: sqlite3.Connection, typed: str, *, channel: str, limit: int) -> list[tuple[str, str, str]]:
    """Channel, id and name of people whose id or name has `typed` in it, those of `channel` first: everybody who has
    spoken, and everybody who has a role."""
    rows = db.execute(
        "SELECT channel, user_id, max(name) AS name FROM (SELECT channel, user_id, name FROM people"
        " UNION ALL SELECT channel, user_id, '' FROM roles) GROUP BY channel, user_id"
        " HAVING instr(lower(user_id || ' ' || name), ?1)"
        " ORDER BY channel != ?2, channel, user_id LIMIT ?3",
        (typed.lower(), channel, limit),
    )
    return [(row["channel"], row["user_id"], row["name"]) for row in rows]


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


def void_code(db: sqlite3.Connection, channel: str) -> None:
    """Nobody can claim the bot there any more: it has an owner. Absent is success."""
    db.execute("DELETE FROM owner_codes WHERE channel = ?", (channel,))


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


def _grant(row: sqlite3.Row) -> Grant:
    is_group = "group_id" in row.keys()  # noqa: SIM118 - a row has no membership of its own
    of = row["group_id" if is_group else "user_id"]
    return Grant(
        row["channel"], of, row["agent"], row["role"], is_group, row["granted_at"], row["granted_by"]
    )


def _highest(*roles: Role | None) -> Role | None:
    return max(roles, key=_RANK.__getitem__)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
