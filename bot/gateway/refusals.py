"""What the gateway does not do: how that is said to the agent, written to the log and counted.

Refusal                     a request is not carried out; it has the form of an error of the Messages API
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from agent.protocol.pace import Bucket
from bot import log
from bot.metrics import Metrics

Reason = Literal[
    "address",
    "body",
    "connections",
    "headers",
    "host",
    "http",
    "model",
    "path",
    "rate",
    "server_tool",
    "size",
    "sni",
    "spend",
    "token",
    "upstream",
    "vault",
]
LOGGED_AT_ONCE: Final = 50
LOGGED_A_SECOND: Final = 0.5
"""Of one session in the long run: what an agent may cause as often as it likes must not fill the log."""

_log = log.get("roost.gateway")


class Refusal(Exception):
    """Raised when a request is not carried out. `kind` is one of the API's own ("Errors" of its reference), `message`
    is for the agent and what people may come to read; `detail` is for the log alone."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        reason: Reason,
        detail: str = "",
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.reason: Reason = reason
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds

    @property
    def body(self) -> bytes:
        """As the Messages API says it."""
        error: dict[str, Any] = {"type": self.kind, "message": self.message}
        return json.dumps({"type": "error", "error": error}, ensure_ascii=False).encode()

    @property
    def headers(self) -> dict[str, str]:
        """Beside the body: the client heeds x-should-retry before everything else."""
        headers = {"Content-Type": "application/json"}
        if self.retry_after_seconds is not None:
            headers["retry-after"] = str(self.retry_after_seconds)
        elif self.status < 500 and self.status != 429:
            headers["x-should-retry"] = "false"
        return headers


class Refusals:
    """Of one session: writes each down, but not so many that nothing else can be found."""

    def __init__(self, metrics: Metrics, *, session: str, agent: str) -> None:
        self._session = session
        self._agent = agent
        self._metrics = metrics
        self._lines = Bucket(a_second=LOGGED_A_SECOND, at_once=LOGGED_AT_ONCE)
        self._unsaid = 0

    def note(self, refusal: Refusal, host: str) -> None:
        """`host` is where it was to go."""
        self._metrics.gateway_refusals.labels(refusal.reason).inc()
        if self._lines.take():
            self._unsaid += 1
            return
        more = {"unsaid": self._unsaid} if self._unsaid else {}
        self._unsaid = 0
        _log.warning(
            "the gateway refused a request: %s",
            refusal.detail or refusal.message,
            session=self._session,
            agent=self._agent,
            host=host[:300],
            reason=refusal.reason,
            **more,
        )
