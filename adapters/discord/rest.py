"""The calls to Discord's REST that Roost makes, at a pace that Discord bears. Each raises SendFailed.

The library keeps Discord's limits per route, by the headers of each answer. What it does not keep is the limit over
all routes, and a refusal there costs everybody a pause.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast
from weakref import WeakValueDictionary

import aiohttp
from discord.http import HTTPClient
from discord.http import Route as Call

from adapters.base import OutgoingFile, SendFailed
from adapters.discord.draft import Draft
from adapters.discord.errors import BANNED_SECONDS, NO_HISTORY, code_of, status_of, translated
from agent.protocol.pace import Bucket

CALLS_A_SECOND: Final = 40
"""Discord's documentation, Rate Limits: 50 a second for a bot. Some are left to the library's own calls."""
CALLS_AT_ONCE: Final = 10
REFUSALS: Final = 2_000
"""Of the 10,000 in 10 minutes after which Discord bans the address. Discord's documentation, Invalid Request Limit."""
REFUSALS_SECONDS: Final = 600.0
REFUSED: Final = (401, 403, 429)
REFUSALS_OF_ONE: Final = 200
"""Of these in one channel, which rests alone: nobody who is refused there again and again silences the others."""
MAX_REFUSED: Final = 1_000
"""Channels with refusals that are remembered."""
REST_SECONDS: Final = 60.0
REFUSED_HERE: Final = "Discord has refused so much in this channel that the bot rests there"
TOO_MANY_REFUSALS: Final = "Discord has refused so much that the bot rests before it is banned"
OFFLINE: Final = "the bot is not logged in to Discord"
PAGE: Final = 100
"""The most messages that one call gives. Discord's documentation, Get Channel Messages."""


class Rest:
    """Calls by the library's `http` while it is logged in. After `refusals` at once it rests."""

    def __init__(self, *, refusals: int = REFUSALS) -> None:
        self._http: HTTPClient | None = None
        self._pace = Bucket(a_second=CALLS_A_SECOND, at_once=CALLS_AT_ONCE)
        self._refusals = Bucket(a_second=refusals / REFUSALS_SECONDS, at_once=refusals)
        self._refused: OrderedDict[object, Bucket] = OrderedDict()
        """By the channel."""
        self._denied = asyncio.Event()
        self._opening: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def use(self, http: HTTPClient | None) -> None:
        """By what to call from now on; None: by nothing."""
        self._http = http
        self._denied.clear()

    def trace(self) -> aiohttp.TraceConfig:
        """What counts refusals where they arrive: the library asks again by itself, and calls on its own account."""

        async def ended(_session: Any, _context: Any, told: aiohttp.TraceRequestEndParams) -> None:
            if told.response.status in REFUSED and told.response.headers.get("X-RateLimit-Scope") != "shared":
                self._refusals.take()

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(ended)
        return trace

    @property
    def is_denied(self) -> bool:
        """Whether Discord takes the bot's token no more."""
        return self._denied.is_set()

    async def until_denied(self) -> None:
        """Returns when that is so."""
        await self._denied.wait()

    async def post(
        self, channel: int, draft: Draft, *, nonce: str | None = None, answers: int | None = None
    ) -> int:
        """Posts a message, as an answer to another one of the channel where that is still there and the bot may read
        it. Returns its id. The same `nonce` within some minutes gives the same message. Discord's documentation,
        Create Message."""
        body = replace(draft, reference=None, replaces=None).body()
        if nonce is not None:
            body |= {"nonce": nonce, "enforce_nonce": True}
        if answers is not None:
            body["message_reference"] = {
                "message_id": str(answers),
                "channel_id": str(channel),
                "fail_if_not_exists": False,
            }
        call = Call("POST", "/channels/{channel_id}/messages", channel_id=channel)
        try:
            return int((await self._send(call, body, draft.file))["id"])
        except SendFailed as exc:
            if code_of(exc) != NO_HISTORY or body.pop("message_reference", None) is None:
                raise
        return int((await self._send(call, body, draft.file))["id"])

    async def edit(self, channel: int, message: int, draft: Draft) -> None:
        """Puts another text, other embeds and other components in the place of what is there."""
        call = Call(
            "PATCH",
            "/channels/{channel_id}/messages/{message_id}",
            channel_id=channel,
            message_id=message,
        )
        await self._send(call, replace(draft, reference=None, replaces=str(message)).body())

    async def delete(self, channel: int, message: int) -> None:
        """Takes one of our messages away."""
        await self._send(
            Call(
                "DELETE",
                "/channels/{channel_id}/messages/{message_id}",
                channel_id=channel,
                message_id=message,
            )
        )

    async def react(self, channel: int, message: int, emoji: str) -> None:
        """Puts an emoji on a message: one of Unicode, or name:id."""
        await self._send(
            Call(
                "PUT",
                "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me",
                channel_id=channel,
                message_id=message,
                emoji=emoji,
            )
        )

    async def typing(self, channel: int) -> None:
        """Shows for ten seconds, or until a message of ours, that the bot is typing."""
        await self._send(Call("POST", "/channels/{channel_id}/typing", channel_id=channel))

    async def open_thread(self, channel: int, message: int, name: str, *, rest_minutes: int) -> int:
        """Opens a thread on a message, which Discord archives after so many minutes of silence."""
        call = Call(
            "POST",
            "/channels/{channel_id}/messages/{message_id}/threads",
            channel_id=channel,
            message_id=message,
        )
        # One after the other in a channel: the library counts wrongly what is under way at once.
        async with self._opening.setdefault(channel, asyncio.Lock()):
            return int((await self._send(call, {"name": name, "auto_archive_duration": rest_minutes}))["id"])

    async def reopen(self, thread: int) -> None:
        """Opens a thread again that is archived. Whoever may write in it may do so, unless it is locked: Discord's
        documentation, Modify Channel, Thread."""
        await self._send(Call("PATCH", "/channels/{channel_id}", channel_id=thread), {"archived": False})

    async def message(self, channel: int, message: int) -> Mapping[str, Any]:
        """One message."""
        call = Call(
            "GET",
            "/channels/{channel_id}/messages/{message_id}",
            channel_id=channel,
            message_id=message,
        )
        return cast(Mapping[str, Any], await self._send(call))

    async def member(self, server: int, user: int) -> Mapping[str, Any]:
        """Somebody as a member of a server, with their roles."""
        call = Call("GET", "/guilds/{guild_id}/members/{user_id}", guild_id=server, user_id=user)
        return cast(Mapping[str, Any], await self._send(call))

    async def open_direct(self, user: int) -> int:
        """The direct conversation with somebody, which is made where there is none. Discord's documentation, Create
        DM."""
        return int((await self._send(Call("POST", "/users/@me/channels"), {"recipient_id": str(user)}))["id"])

    async def latest(self, channel: int, *, before: int | None = None) -> Sequence[Mapping[str, Any]]:
        """The newest PAGE messages of a channel, the newest first; or those before one."""
        query = {"limit": PAGE} if before is None else {"limit": PAGE, "before": before}
        call = Call("GET", "/channels/{channel_id}/messages", channel_id=channel)
        return cast(Sequence[Mapping[str, Any]], await self._send(call, query=query))

    async def earliest(self, channel: int) -> Sequence[Mapping[str, Any]]:
        """The first message of a channel, where there is one."""
        call = Call("GET", "/channels/{channel_id}/messages", channel_id=channel)
        query = {"limit": 1, "after": 0}
        return cast(Sequence[Mapping[str, Any]], await self._send(call, query=query))

    async def respond(
        self, interaction: int, token: str, kind: int, data: Mapping[str, Any] | None = None
    ) -> None:
        """The first answer to an interaction, which Discord waits three seconds for. Documentation, Receiving and
        Responding to Interactions."""
        # By these names the library knows that each has limits of its own.
        call = Call(
            "POST",
            "/interactions/{webhook_id}/{webhook_token}/callback",
            webhook_id=interaction,
            webhook_token=token,
        )
        body = {"type": kind} if data is None else {"type": kind, "data": data}
        await self._send(call, body, paced=False)

    async def follow_up(
        self, application: int, token: str, data: Mapping[str, Any], file: OutgoingFile | None = None
    ) -> None:
        """One more answer to an interaction, within fifteen minutes."""
        call = Call(
            "POST", "/webhooks/{webhook_id}/{webhook_token}", webhook_id=application, webhook_token=token
        )
        await self._send(call, data, file, paced=False)

    async def complete(
        self, application: int, token: str, data: Mapping[str, Any], file: OutgoingFile | None = None
    ) -> None:
        """The answer to an interaction that was put off."""
        call = Call(
            "PATCH",
            "/webhooks/{webhook_id}/{webhook_token}/messages/@original",
            webhook_id=application,
            webhook_token=token,
        )
        await self._send(call, data, file, paced=False)

    async def commands(self, application: int, guild: int | None) -> Sequence[Mapping[str, Any]]:
        """The commands that are registered, everywhere or for one server."""
        return cast(Sequence[Mapping[str, Any]], await self._send(_commands("GET", application, guild)))

    async def register(
        self, application: int, guild: int | None, commands: Sequence[Mapping[str, Any]]
    ) -> None:
        """Puts these commands in the place of all that are registered."""
        await self._send(_commands("PUT", application, guild), commands)

    async def _send(
        self,
        call: Call,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        file: OutgoingFile | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        paced: bool = True,
    ) -> Any:
        if self._refusals.wait():
            raise SendFailed(TOO_MANY_REFUSALS, retry_after=BANNED_SECONDS / 10, everywhere=True)
        here = self._refused.get(call.channel_id)
        if here is not None and here.wait():
            raise SendFailed(REFUSED_HERE, retry_after=REST_SECONDS)
        while paced and (wait := self._pace.take()):  # noqa: ASYNC110 - a bucket fills by the clock
            await asyncio.sleep(wait)
        http = self._http
        if http is None:
            raise SendFailed(OFFLINE, retry_after=1.0)
        more: dict[str, Any] = {}
        if query is not None:
            more["params"] = query
        if file is not None:
            more["form"] = _form(cast(Mapping[str, Any], body), file)
        elif body is not None:
            more["json"] = body
        try:
            with translated():
                return await http.request(call, **more)
        except SendFailed as exc:
            # What belongs to an interaction has a token of its own.
            if paced and status_of(exc) == 401:
                self._denied.set()
            if status_of(exc) in REFUSED:
                self._note_refusal(call.channel_id)
            raise

    def _note_refusal(self, channel: object) -> None:
        if channel is None:
            return
        bucket = self._refused.pop(channel, None)
        if bucket is None:
            bucket = Bucket(a_second=REFUSALS_OF_ONE / REFUSALS_SECONDS, at_once=REFUSALS_OF_ONE)
        bucket.take()
        self._refused[channel] = bucket
        while len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)


def _commands(method: str, application: int, guild: int | None) -> Call:
    if guild is None:
        return Call(method, "/applications/{application_id}/commands", application_id=application)
    return Call(
        method,
        "/applications/{application_id}/guilds/{guild_id}/commands",
        application_id=application,
        guild_id=guild,
    )


def _form(body: Mapping[str, Any], file: OutgoingFile) -> list[dict[str, Any]]:
    """Discord's documentation, Reference, Uploading Files."""
    told = {**body, "attachments": [{"id": 0, "filename": file.name}]}
    return [
        {"name": "payload_json", "value": json.dumps(told), "content_type": "application/json"},
        {
            "name": "files[0]",
            "value": file.data,
            "filename": file.name,
            "content_type": file.media_type,
        },
    ]
