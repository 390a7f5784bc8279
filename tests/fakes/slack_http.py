"""Signed HTTP in the fake Slack: events with retries at their times, commands and interactions. Slack's documentation,
Verifying requests from Slack, and Events API, Retries."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from agent.protocol.clock import Clock
from tests.fakes.slack_interactions import Given

RETRY_SECONDS: Final = (0.0, 60.0, 300.0)
"""After which a delivery that failed is tried again."""
ANSWER_SECONDS: Final = 3.0


@dataclass
class Delivery:
    """An event that was delivered: the answers that it met with, in their order; 0 is none."""

    body: dict[str, Any]
    answers: list[int] = field(default_factory=list)
    due: float | None = None


class Push:
    """Delivers to `url`. Time passes when the test says so (`pass_time`), and the first retry comes at once."""

    def __init__(self, secret: str, clock: Clock, changed: Callable[[], None]) -> None:
        self.url = ""
        self.deliveries: list[Delivery] = []
        self.skew_seconds = 0.0
        """By how much the time of a request is wrong."""
        self._secret = secret
        self._clock = clock
        self._changed = changed
        self._passed = 0.0
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def stop(self) -> None:
        """Ends what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def event(self, body: dict[str, Any]) -> None:
        """Delivers an event."""
        delivery = Delivery(body)
        self.deliveries.append(delivery)
        self._begin(self._event(delivery))

    def deliver(self, kind: str, payload: dict[str, Any], given: Given | None) -> None:
        """Delivers a command or an interaction, once."""
        self._begin(self._interaction(kind, payload, given))

    async def pass_time(self, seconds: float) -> None:
        """So much later: what is due by then is delivered again."""
        self._passed += seconds
        due = [each for each in self.deliveries if each.due is not None and each.due <= self._passed]
        await asyncio.gather(*(self._event(each) for each in due))

    async def verify(self) -> tuple[int, str]:
        """Asks the address whether it is the app's."""
        body = json.dumps({"type": "url_verification", "token": "not-used", "challenge": "are-you-there"})
        return await self.post(body, "application/json")

    async def post(
        self,
        body: str,
        kind: str,
        *,
        signature: str | None = None,
        timestamp: int | None = None,
        more: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """One signed request, or one with another signature. The answer's status and text."""
        at = str(timestamp if timestamp is not None else int(self._clock() / 1000 + self.skew_seconds))
        headers = {
            "Content-Type": kind,
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": signature or self.signature(at, body),
        } | {f"X-Slack-{name}": value for name, value in (more or {}).items()}
        if self._session is None:
            self._session = aiohttp.ClientSession()
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with self._session.post(
            self.url, data=body.encode(), headers=headers, timeout=timeout
        ) as answer:
            return answer.status, await answer.text()

    def signature(self, at: str, body: str) -> str:
        """The one that Slack computes."""
        return "v0=" + hmac.new(self._secret.encode(), f"v0:{at}:{body}".encode(), hashlib.sha256).hexdigest()

    async def _event(self, delivery: Delivery) -> None:
        delivery.due = None
        tries = len(delivery.answers)
        more = {"Retry-Num": str(tries), "Retry-Reason": "http_error"} if tries else {}
        status = 0
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            status, _ = await self.post(json.dumps(delivery.body), "application/json", more=more)
        delivery.answers.append(status)
        if not 200 <= status < 300 and tries < len(RETRY_SECONDS):
            wait = RETRY_SECONDS[tries]
            if wait:
                delivery.due = self._passed + wait
            else:
                self._begin(self._event(delivery))
        self._changed()

    async def _interaction(self, kind: str, payload: Mapping[str, Any], given: Given | None) -> None:
        fields = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
        body = urllib.parse.urlencode(dict(fields))
        try:
            status, text = await self.post(body, "application/x-www-form-urlencoded")
        except (aiohttp.ClientError, TimeoutError, OSError):
            status, text = 0, ""
        if status == 200 and given is not None:
            try:
                answer = json.loads(text) if text else None
            except ValueError:
                answer = {"text": text}
            given.answered(answer if isinstance(answer, dict) else None)
        self._changed()

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
