"""The calls to Slack's Web API, at a pace that Slack bears. Each raises SendFailed; a live one Busy.

Slack has a limit for each method and workspace, its tier, and one for each channel that is written to; it says for how
long a method is to rest, and whoever calls it meanwhile looks like one who does not listen. What is shown of an answer
that is still being written never takes all of it: the answers themselves go first.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.base import SendFailed
from adapters.slack.errors import (
    PAUSE,
    RATE_LIMITED,
    RIGHTS,
    TOKEN_ERRORS,
    error_of,
    status_of,
    translated,
)
from adapters.slack.methods import METHODS
from agent.protocol.pace import Bucket

OFFLINE: Final = "the bot is not logged in to Slack"
FORM: Final = frozenset(
    {
        "conversations.history",
        "conversations.info",
        "conversations.replies",
        "files.getUploadURLExternal",
        "files.info",
        "usergroups.list",
        "users.conversations",
        "users.info",
    }
)
"""Methods that take no JSON. Slack's documentation, Content types of each."""
MINUTE_SECONDS: Final = 62.0
"""Slack counts when a call arrives, and we when it leaves."""
RESERVE: Final = 5
"""Calls of a method in a minute that are left to what is needed, where nobody knows better."""
POSTS_A_SECOND: Final = 1.0
POSTS_AT_ONCE: Final = 3
"""In one channel. Slack's documentation, Rate limits, Posting messages: one a second, and bursts for a short time."""
POSTING: Final = "chat.postMessage"
PATIENCE_SECONDS: Final = 3.0
"""A method that rests for longer fails at once, and whoever called it says when it is to be tried again."""
MAX_PLACES: Final = 2_000
"""Channels of which the pace is remembered; that of one comes back long before so many others had one."""
REFUSALS: Final = 300
"""Slack counts the answers that an app does not listen to, and may disable it (documentation, Rate limits): after so
many refusals in REFUSALS_SECONDS it rests."""
REFUSALS_SECONDS: Final = 600.0
REFUSALS_OF_ONE: Final = 60
"""Of these in one channel, which rests alone: nobody who is refused there again and again silences the others."""
REST_SECONDS: Final = 60.0
REFUSED_HERE: Final = "Slack has refused so much in this channel that the bot rests there"
TOO_MANY_REFUSALS: Final = "Slack has refused so much that the bot rests before its app is disabled"
BUSY: Final = "too much is being shown at once"
UPLOAD_REFUSED: Final = "Slack did not take the file ({status}); try a smaller one, or again later"


class Busy(SendFailed):
    """Raised for what is not needed, while there is room only for what is."""


class Web:
    """Calls by the library's `client` while it is logged in. After `refusals` at once it rests."""

    def __init__(self, *, refusals: int = REFUSALS) -> None:
        self._client: AsyncWebClient | None = None
        self.me = ""
        """The bot's own user id, known when auth.test was called."""
        self._denied = asyncio.Event()
        self._minutes: dict[str, _Minute] = {}
        self._posts: OrderedDict[str, Bucket] = OrderedDict()
        """By the channel."""
        self._resting: dict[tuple[str, str], float] = {}
        """Until when, on the steady clock: a method in a channel, or in any where that is ""."""
        self._refusals = Bucket(a_second=refusals / REFUSALS_SECONDS, at_once=refusals)
        self._refused: OrderedDict[str, Bucket] = OrderedDict()
        """By the channel."""

    def use(self, client: AsyncWebClient | None) -> None:
        """By what to call from now on; None: by nothing. The client must not try again by itself."""
        self._client = client
        self._denied.clear()

    @property
    def is_denied(self) -> bool:
        """Whether Slack takes the bot's token no more."""
        return self._denied.is_set()

    async def until_denied(self) -> None:
        """Returns when that is so."""
        await self._denied.wait()

    def spare(self, method: str, *, place: str = "", needed: int = RESERVE) -> float:
        """In how many seconds a call may be made that is not needed, by `live`; 0: now. So many calls of this method
        that are `needed` must find room after it."""
        rests = max(self._rest_of(method, place), self._minute(method).wait(needed))
        if method == POSTING:
            rests = max(rests, self._pace_of_place(place).wait())
        return max(rests, self._refusals.wait())

    async def call(
        self,
        method: str,
        *,
        place: str | None = None,
        live: bool = False,
        needed: int = RESERVE,
        **arguments: Any,
    ) -> dict[str, Any]:
        """One call of a method of METHODS; arguments that are None are left out. `place` is the channel whose own limit
        it counts for, where it posts there. A `live` one is made at once or not at all: see `spare`. Returns Slack's
        answer, which is ok."""
        assert method in METHODS, method  # noqa: S101 - or the manifest would not cover it
        where = place or ""
        self._check_refusals(where)
        if live and (wait := self.spare(method, place=where, needed=needed)):
            raise Busy(BUSY, retry_after=wait)
        await self._turn(method, where)
        client = self._client
        if client is None:
            raise SendFailed(OFFLINE, retry_after=1.0)
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            with translated():
                # The library leaves the time of a call to the session, where it was given one.
                async with asyncio.timeout(client.timeout):
                    if method in FORM:
                        answer = await client.api_call(method, data=_form(given))
                    else:
                        answer = await client.api_call(method, json=given)
        except SendFailed as exc:
            self._note_failure(method, where, exc)
            raise
        data = answer.data if isinstance(answer.data, dict) else {}
        if method == "auth.test":
            self.me = str(data.get("user_id") or "")
        return data

    async def upload(self, url: str, data: bytes) -> None:
        """Brings the bytes of a file to where files.getUploadURLExternal says."""
        client = self._client
        if client is None:
            raise SendFailed(OFFLINE, retry_after=1.0)
        with translated():
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=client.timeout)) as session,
                session.post(url, data=data, proxy=client.proxy, ssl=client.ssl or True) as answer,
            ):
                status = answer.status
                await answer.read()
        if status >= 500 or status == 429:
            # The file is nobody's before files.completeUploadExternal: it can be brought again.
            raise SendFailed(UPLOAD_REFUSED.format(status=status), retry_after=5.0)
        if status != 200:
            raise SendFailed(UPLOAD_REFUSED.format(status=status), retry_after=None)

    def _check_refusals(self, place: str) -> None:
        if self._refusals.wait():
            raise SendFailed(TOO_MANY_REFUSALS, retry_after=REST_SECONDS, everywhere=True)
        here = self._refused.get(place)
        if here is not None and here.wait():
            raise SendFailed(REFUSED_HERE, retry_after=REST_SECONDS)

    async def _turn(self, method: str, place: str) -> None:
        """Returns when the method may be called."""
        while True:
            rest = self._rest_of(method, place)
            if rest > PATIENCE_SECONDS:
                raise SendFailed(PAUSE, retry_after=rest)
            # A channel's own pace first: what waits for that holds up nobody else.
            wait = rest or (self._pace_of_place(place).wait() if method == POSTING else 0.0)
            wait = wait or self._minute(method).take()
            if not wait:
                if method == POSTING:
                    self._pace_of_place(place).take()
                return
            await asyncio.sleep(wait)

    def _rest_of(self, method: str, place: str) -> float:
        now = time.monotonic()
        until = max(self._resting.get((method, where), 0.0) for where in {place, ""})
        return max(0.0, until - now)

    def _minute(self, method: str) -> _Minute:
        return self._minutes.setdefault(method, _Minute(METHODS[method].a_minute))

    def _pace_of_place(self, place: str) -> Bucket:
        bucket = self._posts.pop(place, None) or Bucket(a_second=POSTS_A_SECOND, at_once=POSTS_AT_ONCE)
        self._posts[place] = bucket
        while len(self._posts) > MAX_PLACES:
            self._posts.popitem(last=False)
        return bucket

    def _note_failure(self, method: str, place: str, exc: SendFailed) -> None:
        error, status = error_of(exc), status_of(exc)
        if error in TOKEN_ERRORS:
            self._denied.set()
        if error == RATE_LIMITED or status == 429:
            self._pause(method, place, exc.retry_after or REST_SECONDS)
        elif error not in TOKEN_ERRORS | RIGHTS and status not in (401, 403):
            return
        self._refusals.take()
        if place:
            bucket = self._refused.pop(place, None) or Bucket(
                a_second=REFUSALS_OF_ONE / REFUSALS_SECONDS, at_once=REFUSALS_OF_ONE
            )
            bucket.take()
            self._refused[place] = bucket
            while len(self._refused) > MAX_PLACES:
                self._refused.popitem(last=False)

    def _pause(self, method: str, place: str, seconds: float) -> None:
        # Only that of posting is a channel's: Slack's documentation, Rate limits.
        where = place if method == POSTING else ""
        now = time.monotonic()
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        self._resting[method, where] = now + seconds


class _Minute:
    """What was called within the last minute, of which there may be `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: deque[float] = deque()

    def wait(self, reserve: int = 0) -> float:
        """In how many seconds there is room for one more than a reserve; 0: now."""
        now = time.monotonic()
        while self._times and self._times[0] <= now - MINUTE_SECONDS:
            self._times.popleft()
        over = len(self._times) + reserve - self._limit
        if over < 0:
            return 0
        return self._times[over] + MINUTE_SECONDS - now if over < len(self._times) else MINUTE_SECONDS

    def take(self) -> float:
        """Counts a call and returns 0; or in how many seconds there may be one."""
        wait = self.wait()
        if not wait:
            self._times.append(time.monotonic())
        return wait


def _form(arguments: Mapping[str, Any]) -> dict[str, str]:
    return {name: _field(value) for name, value in arguments.items()}


def _field(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)
