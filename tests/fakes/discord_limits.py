"""How much the fake Discord takes before it answers 429 ("Rate Limits").

The numbers of the buckets are what the real one was seen to send; its documentation names only the global one and that
of invalid requests, and forbids to build on the others: a client has to read the headers.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from agent.protocol.clock import Clock, steady_ms

Strictness = Literal["discord", "none"]
Scope = Literal["user", "global", "shared", "cloudflare"]
"""Whose limit it is: the bot's for a route or for everything, one that it shares, or that of who bans."""

GLOBAL_PER_SECOND: Final = 50
INVALID_REQUESTS: Final = 10_000
INVALID_SECONDS: Final = 600
INVALID_STATUSES: Final = (401, 403, 429)
VIA: Final = {"Via": "1.1 google"}
"""Every answer of Discord's own has it. One of Cloudflare's, who have banned somebody, has not."""


@dataclass(frozen=True)
class Bucket:
    """So many requests in so many seconds, for each major parameter of its own."""

    name: str
    limit: int
    seconds: float

    @property
    def hash(self) -> str:
        """The opaque name that the headers have for it."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:32]


MESSAGE_CREATE: Final = Bucket("message-create", 5, 5)
MESSAGE_EDIT: Final = Bucket("message-edit", 5, 5)
MESSAGE_DELETE: Final = Bucket("message-delete", 5, 1)
MESSAGE_READ: Final = Bucket("message-read", 5, 1)
TYPING: Final = Bucket("typing", 5, 5)
REACTION: Final = Bucket("reaction", 1, 0.25)
THREAD_CREATE: Final = Bucket("thread-create", 10, 10)
CHANNEL_EDIT: Final = Bucket("channel-edit", 5, 15)
CHANNEL_RENAME: Final = Bucket("channel-rename", 2, 600)
"""The hidden one within CHANNEL_EDIT: name and topic of a channel change twice in ten minutes."""
COMMANDS: Final = Bucket("commands", 5, 20)
WEBHOOK: Final = Bucket("webhook", 5, 2)
READ: Final = Bucket("read", 30, 1)
DM_OPEN: Final = Bucket("dm-open", 5, 5)


@dataclass(frozen=True)
class Denial:
    """A 429: its headers and body, and why."""

    headers: Mapping[str, str]
    body: Mapping[str, Any] | str
    scope: Scope
    seconds: float


@dataclass
class _Window:
    """What was taken of a bucket since it was opened, in milliseconds of a steady clock."""

    opened: int
    taken: int = 0


@dataclass
class Limits:
    """Counts the requests of one bot. `global_per_second` and `invalid_requests` may be changed by a test."""

    wall: Clock
    strictness: Strictness = "discord"
    now: Clock = steady_ms
    global_per_second: int = GLOBAL_PER_SECOND
    invalid_requests: int = INVALID_REQUESTS
    _windows: dict[tuple[str, str], _Window] = field(default_factory=dict)
    _invalid: deque[int] = field(default_factory=deque)

    def banned(self) -> Denial | None:
        """What Cloudflare answers to who has made too many invalid requests: nothing of Discord's."""
        oldest = self.now() - INVALID_SECONDS * 1000
        while self._invalid and self._invalid[0] < oldest:
            self._invalid.popleft()
        if self.strictness == "none" or len(self._invalid) < self.invalid_requests:
            return None
        seconds = (self._invalid[0] - oldest) / 1000
        return _cloudflare(seconds)

    def count(self, status: int, scope: str = "") -> None:
        """Remembers an answer that counts as an invalid request; a shared limit does not."""
        if status in INVALID_STATUSES and scope != "shared":
            self._invalid.append(self.now())

    def take(
        self, bucket: Bucket | None, major: str, *, is_global: bool = True
    ) -> tuple[dict[str, str], Denial | None]:
        """Takes a place in the bucket, and in the global one unless the route is free of it. Returns the headers of
        the answer, and the 429 where there is no place."""
        if self.strictness == "none":
            return {}, None
        if is_global:
            left = self._take("global", "", self.global_per_second, 1.0)
            if left[0] < 0:
                return {}, self._denial({}, "global", left[1])
        if bucket is None:
            return {}, None
        remaining, seconds = self._take(bucket.name, major, bucket.limit, bucket.seconds)
        headers = {
            "X-RateLimit-Limit": str(bucket.limit),
            "X-RateLimit-Remaining": str(max(0, remaining)),
            "X-RateLimit-Reset": f"{self.wall() / 1000 + seconds:.3f}",
            "X-RateLimit-Reset-After": f"{seconds:.3f}",
            "X-RateLimit-Bucket": bucket.hash,
        }
        return headers, self._denial(headers, "user", seconds) if remaining < 0 else None

    def deny(self, seconds: float, *, scope: Scope = "user") -> Denial:
        """A 429 without a bucket of its own."""
        return _cloudflare(seconds) if scope == "cloudflare" else self._denial({}, scope, seconds)

    def _take(self, name: str, major: str, limit: int, seconds: float) -> tuple[int, float]:
        """How many are left after this one (-1: it has no place), and in how many seconds the window ends."""
        now = self.now()
        window = self._windows.setdefault((name, major), _Window(now))
        if now - window.opened >= seconds * 1000:
            window.opened, window.taken = now, 0
        # A millisecond more: the clock counts whole ones, and who waits so long must find a place.
        left = seconds - (now - window.opened) / 1000 + 0.001
        if window.taken >= limit:
            return -1, left
        window.taken += 1
        return limit - window.taken, left

    @staticmethod
    def _denial(headers: Mapping[str, str], scope: Scope, seconds: float) -> Denial:
        told = {**headers, "Retry-After": str(math.ceil(seconds)), "X-RateLimit-Scope": scope}
        if scope == "global":
            told["X-RateLimit-Global"] = "true"
        body = {
            "message": "You are being rate limited.",
            "retry_after": round(seconds, 3),
            "global": scope == "global",
        }
        return Denial(told, body, scope, seconds)


def _cloudflare(seconds: float) -> Denial:
    headers = {"Content-Type": "text/plain; charset=UTF-8", "Retry-After": str(math.ceil(seconds))}
    return Denial(headers, "error code: 1015", "cloudflare", seconds)
