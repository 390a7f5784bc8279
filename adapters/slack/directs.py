"""Directs: the direct conversation with somebody, opened when the service has something to say to them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from adapters.base import DIRECT, Part, SendFailed
from adapters.slack import ids
from adapters.slack.web import Web
from agent.protocol.messages import Route

MAX_KEPT: Final = 10_000
NOBODY: Final = "there is nobody on Slack with the id {id}"
NOT_OPENED: Final = "Slack has opened no direct conversation with {id}"


class Directs:
    """Each is asked for once. Slack's documentation, conversations.open: one that is there is given again."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._known: OrderedDict[str, str] = OrderedDict()

    async def resolved(self, part: Part) -> Part:
        """The part with the id of the conversation that it goes to. Raises SendFailed."""
        route = part.outgoing.route
        if not route.platform_id.startswith(DIRECT):
            return part
        place = await self._open(route.platform_id.removeprefix(DIRECT))
        there = Route(channel=route.channel, platform_id=place, thread_id=route.thread_id)
        return replace(part, outgoing=replace(part.outgoing, route=there))

    def forget(self, route: Route) -> None:
        """It was refused as one that is not there: the next one is asked for anew."""
        self._known.pop(route.platform_id.removeprefix(DIRECT), None)

    async def _open(self, user: str) -> str:
        if not ids.is_id(user):
            raise SendFailed(NOBODY.format(id=user), retry_after=None)
        known = self._known.get(user)
        if known is None:
            answer = await self._web.call("conversations.open", users=user)
            channel = answer.get("channel")
            known = str(channel.get("id") or "") if isinstance(channel, dict) else ""
            if not ids.is_id(known):
                raise SendFailed(NOT_OPENED.format(id=user), retry_after=None)
            self._known[user] = known
            while len(self._known) > MAX_KEPT:
                self._known.popitem(last=False)
        return known
