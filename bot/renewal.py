"""What has been kept of an agent's settings is taken anew when they change: its containers, its rights at the gateway,
where its sessions may write, and what is known of its troubles."""

from __future__ import annotations

from bot.containers import Containers
from bot.gateway.service import Gateway
from bot.metrics import Metrics
from bot.posting import Posting
from bot.roster import Roster
from bot.sessions import Sessions


class Renewal:
    """Listens to the roster for as long as the service runs."""

    def __init__(
        self,
        roster: Roster,
        sessions: Sessions,
        containers: Containers,
        posting: Posting,
        gateway: Gateway,
        metrics: Metrics,
    ) -> None:
        self._roster = roster
        self._sessions = sessions
        self._containers = containers
        self._posting = posting
        self._gateway = gateway
        self._metrics = metrics
        roster.changed.connect(self.agent_changed)

    def agent_changed(self, name: str) -> None:
        """The agent is set otherwise, may write to other places, is new or is gone."""
        self._gateway.renew(name)
        if name not in self._roster:
            self._metrics.agent_problem.labels(name).set(0)
        for session in self._sessions:
            # A session that sleeps, or nobody has loaded, finds everything as it is by then.
            if session.agent == name and (session.moved or self._containers.of(session.id) is not None):
                self._posting.kick(session.id)
