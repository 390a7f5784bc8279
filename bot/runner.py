"""A runner: a living container as the host sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.protocol.bell import BellHost, CloseInbound, Leave, Quiet
from bot.session import Session

QUIET_SECONDS: Final = 1.0
"""How long an agent may take to let go of inbound.db."""


@dataclass
class Runner:
    """A living container and what the host has heard of it, on the steady clock. An `outdated` one
    finishes its turn and is then replaced, and so does one whose `labels` tell of other settings than its agent has by
    now. One that was asked to leave may still answer what the session had been
    sent by then, up to the seq `leave_by`."""

    session: Session
    name: str
    bell: BellHost
    heard_at: int
    idle_since: int | None
    admitted_at: int
    labels: Mapping[str, str] = field(default_factory=dict)
    leave_by: int | None = None
    outdated: bool = False
    busy_with: str | None = None
    busy_since: int | None = None
    heartbeat: float = 0.0
    frozen: bool = False
    condemned: str | None = None
    """What is said in the channel when it was killed for what it does: another try would do the same."""
    watch: asyncio.Task[None] | None = field(default=None, repr=False)
    _quiet: asyncio.Future[bool] | None = field(default=None, repr=False)

    @property
    def overstays(self) -> bool:
        """Whether it goes on to new messages although it was asked to leave."""
        oldest = self.session.oldest()
        return self.leave_by is not None and oldest is not None and oldest.seq > self.leave_by

    def dismiss(self) -> None:
        """Asks it to leave when it has answered what it works on. Nothing happens while it cannot hear."""
        if self.leave_by is None and self.bell.ring(Leave()):
            self.leave_by = self.session.newest_in_seq

    async def let_go(self) -> bool:
        """Has the agent close inbound.db, and with it drop every lock on it. False when it is busy, or silent."""
        self._quiet = asyncio.get_running_loop().create_future()
        try:
            if not self.bell.ring(CloseInbound()):
                return False
            async with asyncio.timeout(QUIET_SECONDS):
                return await self._quiet
        except TimeoutError:
            return False
        finally:
            self._quiet = None

    def said(self, frame: Quiet) -> None:
        """The agent's answer to that."""
        if self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(not frame.busy)
