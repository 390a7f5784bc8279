"""The spend table: what the conversations of each agent have cost, by the day. Days are those of UTC, `2026-01-31`."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from bot.gateway.usage import Usage


@dataclass(frozen=True)
class Spent:
    """What a session has cost on a day; money in millionths of a US dollar."""

    agent: str
    session: str
    requests: int
    usd_micros: int

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Spent:
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


def add(db: sqlite3.Connection, day: str, *, agent: str, session: str, usage: Usage, usd_micros: int) -> None:
    """One more request."""
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    db.execute(
        "INSERT INTO spend VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (day, agent, session) DO UPDATE SET"
        " requests = requests + 1, input_tokens = input_tokens + ?4, output_tokens = output_tokens + ?5,"
        " cache_write_tokens = cache_write_tokens + ?6, cache_read_tokens = cache_read_tokens + ?7,"
        " usd_micros = usd_micros + ?8",
        (
            *(day, agent, session, usage.input_tokens, usage.output_tokens),
            *(written, usage.cache_read_tokens, usd_micros),
        ),
    )


def of_day(db: sqlite3.Connection, day: str) -> list[Spent]:
    """Everything of a day."""
    rows = db.execute("SELECT agent, session, requests, usd_micros FROM spend WHERE day = ?", (day,))
    return [Spent.from_row(row) for row in rows]


def forget(db: sqlite3.Connection, before: str) -> None:
    """Removes the days before that one."""
    db.execute("DELETE FROM spend WHERE day < ?", (before,))
