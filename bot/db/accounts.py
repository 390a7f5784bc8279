"""The accounts: what has become of everything that was asked. Whatever was accepted is in exactly one of them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from bot.db import tallies


@dataclass(frozen=True)
class Accounts:
    """How many messages that ask for a turn were accepted, and how many of them are

    delivered   answered: the turn has ended, and all that it wrote and bot.db knows of was sent
    failed      given up, and the channel was told; or a reply to it was refused, or dropped by an admin
    dead        a reply to it, or the notice of its failure, lies among the dead letters
    open        still under way, or a reply or notice waits for another try

    bot.db learns of the replies of a turn with the end of that turn, so that none counts as sent before it is.
    """

    accepted: int
    delivered: int
    failed: int
    dead: int
    open: int


_ACCOUNTS: Final = """
WITH alive AS MATERIALIZED (
    SELECT session, out_id, answers, turn_id FROM dead_letters WHERE state IN ('kept', 'replaying')
), unsent AS MATERIALIZED (
    SELECT session, turn_id, state FROM deliveries WHERE state != 'sent' AND turn_id IS NOT NULL
), others AS (
    SELECT id FROM inbox WHERE state IN ('accepted', 'posted')
    UNION SELECT id FROM inbox WHERE state = 'failed'
    UNION SELECT inbox.id FROM unsent JOIN inbox USING (session, turn_id)
    UNION SELECT inbox.id FROM alive JOIN inbox USING (session, turn_id)
    UNION SELECT inbox.id FROM alive JOIN inbox ON event_id = answers
)
SELECT CASE
    WHEN state IN ('accepted', 'posted') OR notice IN (SELECT id FROM notices)
        OR (session, turn_id) IN (SELECT session, turn_id FROM unsent WHERE state = 'waiting') THEN 'open'
    WHEN (session, turn_id) IN (SELECT session, turn_id FROM alive)
        OR (session, event_id) IN (SELECT session, answers FROM alive)
        OR (session, notice) IN (SELECT session, out_id FROM alive) THEN 'dead'
    WHEN state = 'failed'
        OR (session, turn_id) IN (SELECT session, turn_id FROM unsent) THEN 'failed'
    ELSE 'delivered'
END AS account, count(*)
FROM inbox WHERE id IN (SELECT id FROM others) AND trigger = 1 GROUP BY account
"""


def accounts(db: sqlite3.Connection) -> Accounts:
    """The accounts as of now. What it costs depends on what was not delivered: the rest is told by the tallies."""
    found = dict(db.execute(_ACCOUNTS).fetchall())
    accepted = tallies.of(db, "asked")
    failed, dead, still = (found.get(account, 0) for account in ("failed", "dead", "open"))
    return Accounts(
        accepted=accepted, delivered=accepted - failed - dead - still, failed=failed, dead=dead, open=still
    )
