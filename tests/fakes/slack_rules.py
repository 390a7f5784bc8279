"""Which scope and which pace each method of the fake Slack's has. From the page of each in Slack's documentation."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Final, Literal

Strictness = Literal["slack", "none"]
SCOPES: Final[Mapping[str, str]] = {
    "agents.sessions.setStatus": "chat:write",
    "agents.sessions.rename": "chat:write",
    "assistant.threads.setStatus": "chat:write",
    "assistant.threads.setTitle": "assistant:write",
    "assistant.threads.setSuggestedPrompts": "assistant:write",
    "chat.postMessage": "chat:write",
    "chat.postEphemeral": "chat:write",
    "chat.update": "chat:write",
    "chat.delete": "chat:write",
    "chat.startStream": "chat:write",
    "chat.appendStream": "chat:write",
    "chat.stopStream": "chat:write",
    "conversations.open": "im:write",
    "usergroups.list": "usergroups:read",
    "users.info": "users:read",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
    "files.info": "files:read",
    "reactions.add": "reactions:write",
    "reactions.remove": "reactions:write",
}
"""Of those that read a place the scope depends on its kind."""
A_MINUTE: Final[Mapping[str, int]] = {
    "apps.connections.open": 10,
    "agents.sessions.setStatus": 50,
    "assistant.threads.setSuggestedPrompts": 100,
    "chat.postMessage": 600,
    "agents.sessions.rename": 50,
    "chat.postEphemeral": 100,
    "chat.update": 50,
    "chat.delete": 50,
    "chat.startStream": 20,
    "chat.appendStream": 100,
    "chat.stopStream": 20,
    "conversations.history": 50,
    "conversations.replies": 50,
    "conversations.info": 50,
    "conversations.open": 50,
    "usergroups.list": 20,
    "users.conversations": 50,
    "users.info": 100,
    "files.getUploadURLExternal": 100,
    "files.completeUploadExternal": 100,
    "files.info": 100,
    "reactions.add": 50,
    "reactions.remove": 20,
    "views.open": 100,
    "views.update": 100,
    "views.publish": 100,
}
POSTS_AT_ONCE: Final = 5
"""In one channel, where one a second is the rule and short bursts are borne."""
MINUTE_SECONDS: Final = 60.0


class Limits:
    """Counts the calls of one app, on a steady clock. A test may let a method, or what is said in a place, wait."""

    def __init__(self, strictness: Strictness) -> None:
        self.strictness = strictness
        self._calls: dict[str, deque[float]] = {}
        self._posts: dict[str, tuple[float, float]] = {}
        self._shut: dict[str, float] = {}

    def shut(self, method: str, seconds: float) -> None:
        """The method takes nothing for so long."""
        self._shut[method] = time.monotonic() + seconds

    def wait(self, method: str, place: str) -> int:
        """In how many seconds this call may be made; 0: now, and it is counted."""
        now = time.monotonic()
        if self._shut and (left := self._shut.get(method, 0.0) - now) > 0:
            return math.ceil(left)
        if self.strictness == "none":
            return 0
        calls = self._calls.setdefault(method, deque())
        while calls and calls[0] <= now - MINUTE_SECONDS:
            calls.popleft()
        if len(calls) >= A_MINUTE.get(method, len(calls) + 1):
            return math.ceil(calls[0] + MINUTE_SECONDS - now)
        if method == "chat.postMessage" and (left := self._post(place, now)):
            return left
        calls.append(now)
        return 0

    def _post(self, place: str, now: float) -> int:
        tokens, at = self._posts.get(place, (float(POSTS_AT_ONCE), now))
        tokens = min(POSTS_AT_ONCE, tokens + now - at)
        if tokens < 1:
            self._posts[place] = (tokens, now)
            return math.ceil(1 - tokens)
        self._posts[place] = (tokens - 1, now)
        return 0
