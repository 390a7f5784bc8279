"""Direct conversations that the service begins: a place that names a person becomes the channel that leads to them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from adapters.base import DIRECT, Part
from adapters.discord import ids
from adapters.discord.rest import Rest

MAX_KNOWN: Final = 10_000


class Directs:
    """Remembers the channels: somebody has one with the bot, and always the same. `opened` is told of each, as Discord
    does not list them."""

    def __init__(self, rest: Rest, opened: Callable[[int], Awaitable[None]]) -> None:
        self._rest = rest
        self._opened = opened
        self._channels: OrderedDict[str, int] = OrderedDict()

    async def led(self, part: Part) -> Part:
        """The part on its way to a channel, where its place names a person. Raises SendFailed, ValueError for what
        cannot be somebody's id."""
        place = part.outgoing.route.platform_id
        if not place.startswith(DIRECT):
            return part
        channel = await self._channel(place)
        return replace(part, outgoing=replace(part.outgoing, route=ids.route(channel)))

    async def _channel(self, place: str) -> int:
        known = self._channels.get(place)
        if known is not None:
            self._channels.move_to_end(place)
            return known
        channel = await self._rest.open_direct(int(place.removeprefix(DIRECT)))
        self._channels[place] = channel
        if len(self._channels) > MAX_KNOWN:
            self._channels.popitem(last=False)
        await self._opened(channel)
        return channel
