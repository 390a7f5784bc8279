"""Finds out how the bot is set up: reads only, and nobody on Slack notices.

Every call is a bounded one: of very many conversations some are looked at, and of what was said to the bot only by
whom.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters.base import SendFailed
from adapters.checkup import Named
from adapters.slack import facts, ids
from adapters.slack.errors import CHANNEL_ERRORS, error_of, translated
from adapters.slack.facts import Bot, Channel, Door, Facts, Greeting, Json, Place
from adapters.slack.hello import hello, knock
from agent.protocol.clock import Clock

CALL_SECONDS: Final = 15
AT_ONCE: Final = 3
PAGE: Final = 200
LOOKED_INTO: Final = 5
"""So many direct conversations are looked into, to see whether anybody has written there."""
READ: Final = 10
"""Messages of each."""
NO_THREAD: Final = frozenset({"thread_not_found", "invalid_ts", "invalid_arguments"})
ROTATING: Final = "xoxe"
"""What a token that expires begins with. Slack's documentation, Using token rotation."""
NO_STOPS: Final = "missing_agent_session_stopped_event_subscription"
"""Slack's documentation, agent_session_stopped."""

_log = logging.getLogger("roost.slack.check")


@dataclass(frozen=True)
class Wanted:
    """What is asked about: the tokens and how events come in, the places that the configuration names. `sockets` is how
    many connections the service keeps; `listen` and `path` are where it takes signed requests."""

    bot_token: str
    app_token: str | None
    signing_secret: str | None
    mode: Literal["socket", "http"]
    api_url: str
    sockets: int
    listen: tuple[str, int]
    path: str
    agent_view: bool
    places: Sequence[Named]


async def gather(wanted: Wanted, *, clock: Clock) -> Facts:
    """All that is to be judged. Raises SendFailed for what does not answer, or takes the bot's token not, and what
    facts.py raises for an answer that is none of Slack's."""
    async with _client(wanted) as client:
        return await _Examination(client, wanted, clock).facts()


@asynccontextmanager
async def _client(wanted: Wanted) -> AsyncIterator[AsyncWebClient]:
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout) as session:
        yield AsyncWebClient(
            wanted.bot_token,
            wanted.api_url,
            timeout=CALL_SECONDS,
            session=session,
            retry_handlers=[],
        )


class _Examination:
    def __init__(self, client: AsyncWebClient, wanted: Wanted, clock: Clock) -> None:
        self._client = client
        self._wanted = wanted
        self._clock = clock
        self._room = asyncio.Semaphore(AT_ONCE)

    async def facts(self) -> Facts:
        answer = await self._ask("auth.test")
        told: Any = answer.data
        sent_at = facts.sent_at(answer.headers)
        skew = 0.0 if sent_at is None else self._clock() / 1000 - sent_at
        me = facts.bot(told, await self._app(str(told["user_id"])))
        greeting, door = await self._ways_in() if me.bot else (None, None)
        directs = await self._conversations("im")
        channels = await self._conversations("public_channel,private_channel")
        agent, stops = await self._agent([*(directs or ()), *(channels or ())])
        return Facts(
            me,
            self._wanted.bot_token.startswith(ROTATING),
            facts.scopes(answer.headers),
            skew,
            greeting,
            door,
            agent,
            stops,
            await self._written(me, directs),
            await asyncio.gather(*map(self._place, self._wanted.places)),
            channels,
        )

    async def _app(self, user: str) -> str:
        found = await self._try("users.info", user=user)
        return facts.app_of_user(found) if found["ok"] else ""

    async def _ways_in(self) -> tuple[Greeting | None, Door | None]:
        wanted = self._wanted
        if wanted.mode == "socket" and wanted.app_token is not None:
            return await hello(self._client, wanted.app_token), None
        if wanted.mode == "http" and wanted.signing_secret is not None:
            assert self._client.session is not None  # noqa: S101 - it was made with one
            secret = wanted.signing_secret
            door = await knock(self._client.session, wanted.listen, wanted.path, secret, clock=self._clock)
            return None, door
        return None, None

    async def _conversations(self, kinds: str) -> list[Channel] | None:
        """Those that the bot is in, of one page; None where they cannot be seen."""
        found = await self._try("users.conversations", types=kinds, limit=PAGE, exclude_archived=True)
        if not found["ok"]:
            return None
        newest = sorted(found["channels"], key=lambda each: -int(each.get("updated") or 0))
        return [facts.channel(each) for each in newest]

    async def _agent(self, somewhere: Sequence[Channel]) -> tuple[str | None, bool]:
        """A session is of a thread, and none is named: Slack refuses it, and which way it does tells whether the app is
        an agent. Slack's documentation, agents.sessions.setStatus."""
        if not self._wanted.agent_view or not somewhere:
            return None, True
        found = await self._try("agents.sessions.setStatus", channel_id=somewhere[0].id, status="active")
        return str(found.get("error") or ""), NO_STOPS not in facts.warnings(found)

    async def _written(self, me: Bot, directs: Sequence[Channel] | None) -> bool | None:
        if directs is None:
            return None
        for each in directs[:LOOKED_INTO]:
            found = await self._try("conversations.history", channel=each.id, limit=READ)
            if not found["ok"]:
                return None
            if any(
                one.get("user") not in (None, me.user) and not one.get("bot_id") for one in found["messages"]
            ):
                return True
        return False

    async def _place(self, named: Named) -> Place:
        channel, thread = named.route.platform_id, named.route.thread_id
        if not ids.is_id(channel):
            return Place(named, "unknown")
        async with self._room:
            told = await self._try("conversations.info", channel=channel)
            if not told["ok"]:
                error = str(told["error"])
                return Place(named, "unknown" if error in CHANNEL_ERRORS else "unseen", error=error)
            found = facts.channel(told["channel"])
            if thread is None or not found.member:
                return Place(named, found)
            replies = await self._try("conversations.replies", channel=channel, ts=thread, limit=1)
        return Place(named, found, replies["ok"] or replies["error"] not in NO_THREAD)

    async def _try(self, method: str, **arguments: Any) -> Json:
        """Slack's answer, or its refusal. Raises SendFailed for what does not answer."""
        try:
            answer: Any = (await self._ask(method, **arguments)).data
        except SendFailed as exc:
            cause = exc.__cause__
            data = getattr(cause.response, "data", None) if isinstance(cause, SlackApiError) else None
            if not isinstance(data, dict) or not error_of(exc):
                raise
            return {**data, "ok": False}
        return {**answer, "ok": True}

    async def _ask(self, method: str, **arguments: Any) -> AsyncSlackResponse:
        """Raises SendFailed."""
        form = {name: _field(value) for name, value in arguments.items()}
        with translated():
            return await self._client.api_call(method, data=form)


def _field(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
