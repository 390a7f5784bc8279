"""The hosts that admins have let an agent reach in the chat, beside those of its configuration: looked up with every
connection, so that what was granted, or taken back, counts at once. What was granted once is used up durably.
"""

from __future__ import annotations

from agent.protocol.clock import Clock
from bot.db import egress
from bot.db.egress import Granted
from bot.db.engine import Database
from bot.gateway.hosts import BadHost, Host, Hosts


class Egress:
    """Asks bot.db."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def grant(self, agent: str, session: str, host: Host) -> Granted | None:
        """By what a session may connect there, what is for good before what is for once; None: by nothing. Raises
        DatabaseError."""
        now = self._clock()
        found = await self._db.read(lambda db: egress.of(db, agent, session, now=now))
        return next((each for each in found if _allows(each, host)), None)

    async def use(self, granted: Granted) -> bool:
        """Uses it for a connection; False when it was for one, and that was made already. Raises DatabaseError."""
        return not granted.once or await self._db.write(lambda db: egress.use_up(db, granted))


def _allows(granted: Granted, host: Host) -> bool:
    try:
        return Hosts(granted.patterns).allow(host)
    except BadHost:
        # Nobody but us writes these; one that cannot be read opens nothing.
        return False
