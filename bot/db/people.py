"""The roles and owner_codes tables: who is who, by platform id and never by name."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from typing import Final, Literal

Role = Literal["owner", "admin", "member"]
CODE_BYTES: Final = 6


def role_of(db: sqlite3.Connection, channel: str, user_id: str) -> Role | None:
    """The role of a person on a channel adapter; None for a stranger."""
    row = db.execute(
        "SELECT role FROM roles WHERE channel = ? AND user_id = ?", (channel, user_id)
    ).fetchone()
    return None if row is None else row["role"]


def grant(db: sqlite3.Connection, channel: str, user_id: str, role: Role, *, now: int) -> None:
    """Gives a person a role in place of the one they had."""
    db.execute("INSERT OR REPLACE INTO roles VALUES (?, ?, ?, ?)", (channel, user_id, role, now))


def has_owner(db: sqlite3.Connection, channel: str) -> bool:
    """Whether somebody owns the bot on this channel adapter."""
    found = db.execute(
        "SELECT 1 FROM roles WHERE channel = ? AND role = 'owner' LIMIT 1", (channel,)
    ).fetchone()
    return found is not None


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


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
