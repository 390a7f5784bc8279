"""Signed HTTP in the fake Slack: events with retries at their times, commands and interactions. Slack's documentation,
Verifying requests from Slack, and Events API, Retries."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import urllib.parse
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from agent.protocol.clock import Clock
from tests.fakes.slack_interactions import Given
from tests.fakes.slack_later import RETRY_SECONDS, Later

ANSWER_SECONDS: Final = 3.0
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


@dataclass
class Delivery:
    """An event that was delivered: the answers that it met with, in their order; 0 is none. `reasons` has why each
    after the first was made."""

    body: dict[str, Any]
    answers: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    over: bool = False
    """Taken, or given up."""


@dataclass(frozen=True)
class Sent:
    """A request that was made, as it went out."""

    body: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What came back. `failure` is Slack's name for what went wrong; "" is nothing."""

    status: int
    text: str = ""
    failure: str = ""
    wants_no_retry: bool = False


class Push:
    """Delivers to `url`. Time passes when the test says so (`pass_time`), and the first retry comes at once."""

    def __init__(
        self,
        secret: str,
        clock: Clock,
        changed: Callable[[], None],
        *,
        answer_seconds: float = ANSWER_SECONDS,
        later: Later | None = None,
    ) -> None:
        self.url = ""
        self.deliveries: list[Delivery] = []
        self.sent: list[Sent] = []
        """Every request that was made."""
        self.skew_seconds = 0.0
        """By how much the time of a request is wrong."""
        self._secret = secret
        self._clock = clock
        self._changed = changed
        self._answer_seconds = answer_seconds
        self._later = later if later is not None else Later()
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

    # ---------------------------------------------------------------- what is delivered

    def event(self, body: dict[str, Any]) -> None:
        """Delivers an event."""
        self.deliveries.append(Delivery(body))
        self._begin(self._event(self.deliveries[-1]))

    def again(self, delivery: Delivery) -> None:
        """Delivers an event once more, taken or not."""
        self._begin(self._event(delivery))

    def deliver(self, kind: str, payload: dict[str, Any], given: Given | None) -> None:
        """Delivers a command or an interaction, once."""
        self._begin(self._interaction(kind, payload, given))

    async def pass_time(self, seconds: float) -> None:
        """So much later: what is due by then is delivered again."""
        await self._later.pass_time(seconds)

    # ---------------------------------------------------------------- single requests

    async def verify(self) -> tuple[int, str]:
        """Asks the address whether it is the app's."""
        body = json.dumps({"type": "url_verification", "token": "not-used", "challenge": "are-you-there"})
        return await self.post(body, JSON)

    async def check_ssl(self) -> tuple[int, str]:
        """What Slack does now and then to the address of a command."""
        return await self.post(urllib.parse.urlencode({"ssl_check": "1", "token": "not-used"}), FORM)

    async def replay(self, sent: Sent | None = None) -> tuple[int, str]:
        """The last request once more, or another one, with the headers that it had: somebody has recorded it."""
        recorded = sent if sent is not None else self.sent[-1]
        async with self._opened().post(
            self.url, data=recorded.body.encode(), headers=recorded.headers
        ) as answer:
            return answer.status, await answer.text()

    async def post(
        self,
        body: str,
        kind: str,
        *,
        signature: str | None = None,
        timestamp: int | None = None,
        more: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """One signed request, or one with another signature or time. The answer's status and text. Raises what aiohttp
        does, and TimeoutError."""
        answer, text = await self._post(body, kind, signature=signature, timestamp=timestamp, more=more)
        return answer.status, text

    def signature(self, at: str, body: str) -> str:
        """The one that Slack computes."""
        return "v0=" + hmac.new(self._secret.encode(), f"v0:{at}:{body}".encode(), hashlib.sha256).hexdigest()

    async def _post(
        self,
        body: str,
        kind: str,
        *,
        signature: str | None = None,
        timestamp: int | None = None,
        more: Mapping[str, str] | None = None,
    ) -> tuple[aiohttp.ClientResponse, str]:
        at = str(timestamp if timestamp is not None else int(self._clock() / 1000 + self.skew_seconds))
        headers = {
            "Content-Type": kind,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": signature if signature is not None else self.signature(at, body),
        } | {f"X-Slack-{name}": value for name, value in (more or {}).items()}
        self.sent.append(Sent(body, headers))
        timeout = aiohttp.ClientTimeout(total=self._answer_seconds)
        async with self._opened().post(
            self.url, data=body.encode(), headers=headers, timeout=timeout, allow_redirects=False
        ) as answer:
            return answer, await answer.text()

    async def _ask(self, body: str, kind: str, more: Mapping[str, str] | None = None) -> Answer:
        """One request, whatever becomes of it."""
        try:
            answer, text = await self._post(body, kind, more=more)
        except TimeoutError:
            return Answer(0, failure="http_timeout")
        except (aiohttp.ClientError, OSError):
            return Answer(0, failure="connection_failed")
        fine = 200 <= answer.status < 300
        # Slack asks for this header, and looks at it, only where the answer is not a good one.
        no_retry = not fine and answer.headers.get("X-Slack-No-Retry") == "1"
        return Answer(answer.status, text, "" if fine else "http_error", no_retry)

    # ---------------------------------------------------------------- until it is taken

    async def _event(self, delivery: Delivery) -> None:
        tries = len(delivery.answers)
        more = {"Retry-Num": str(tries), "Retry-Reason": delivery.reasons[-1]} if delivery.reasons else {}
        answer = await self._ask(json.dumps(delivery.body), JSON, more)
        delivery.answers.append(answer.status)
        if not answer.failure or answer.wants_no_retry or tries >= len(RETRY_SECONDS):
            delivery.over = True
        else:
            delivery.reasons.append(answer.failure)
            if wait := RETRY_SECONDS[tries]:
                self._later.put(wait, lambda: self._event(delivery))
            else:
                self._begin(self._event(delivery))
        self._changed()

    async def _interaction(self, kind: str, payload: Mapping[str, Any], given: Given | None) -> None:
        fields = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
        answer = await self._ask(urllib.parse.urlencode(dict(fields)), FORM)
        if given is not None:
            if answer.status == 200:
                given.answered(_read(answer.text))
            else:
                given.fail()
        self._changed()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _read(text: str) -> dict[str, Any] | None:
    """What an app says when it takes a command: JSON, or plain words."""
    if not text:
        return None
    try:
        answer = json.loads(text)
    except ValueError:
        return {"text": text}
    return answer if isinstance(answer, dict) else {"text": text}
