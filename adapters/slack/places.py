"""Places: what people call the channels that the bot is in, for admins to read in a list. A name decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from adapters.base import Host, SendFailed
from adapters.slack import ids
from adapters.slack.web import Web
from adapters.text import shown_name

READ_SECONDS: Final = 6 * 3_600.0
"""Between two looks at all of them: Slack tells of each change but for those of a time when nobody listens."""
KINDS: Final = "public_channel,private_channel"
PAGE: Final = 200
PAGES: Final = 10
ARCHIVED: Final = "{name} (archived)"

_log = logging.getLogger("roost.slack")


class Places:
    """Of one workspace. Slack's documentation, users.conversations, channel_rename, channel_archive, channel_deleted,
    and the same of private channels, which it calls groups."""

    def __init__(self, web: Web) -> None:
        self._web = web

    async def keep(self, host: Host) -> None:
        """Tells of all of them, now and from time to time, until cancelled."""
        while True:
            try:
                await self._read(host)
            except SendFailed as exc:
                _log.info("the names of channels cannot be read: %s", exc)
            await asyncio.sleep(READ_SECONDS)

    def renamed(self, host: Host, told: Mapping[str, Any]) -> None:
        """One has another name."""
        channel = told.get("channel")
        if isinstance(channel, Mapping):
            _tell(host, channel)

    def deleted(self, host: Host, told: Mapping[str, Any]) -> None:
        """One is gone for good."""
        channel = told.get("channel")
        if isinstance(channel, str) and ids.is_id(channel):
            host.place(ids.NAME, channel, None, gone=True)

    async def look(self, host: Host, channel: str) -> None:
        """One was archived, or opened again: Slack does not say what it is called."""
        if not ids.is_id(channel):
            return
        try:
            found = (await self._web.call("conversations.info", channel=channel)).get("channel")
        except SendFailed as exc:
            _log.info("what has become of channel %s cannot be read: %s", channel, exc)
            return
        if isinstance(found, Mapping):
            _tell(host, found)

    async def _read(self, host: Host) -> None:
        """Raises SendFailed."""
        cursor: str | None = None
        for _ in range(PAGES):
            page = await self._web.call("users.conversations", types=KINDS, limit=PAGE, cursor=cursor)
            for each in page.get("channels") or ():
                if isinstance(each, Mapping):
                    _tell(host, each)
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return


def _tell(host: Host, channel: Mapping[str, Any]) -> None:
    channel_id, name = str(channel.get("id", "")), shown_name(str(channel.get("name") or ""))
    if ids.is_id(channel_id) and name and not ids.is_direct(channel_id):
        shown = f"#{name}"
        host.place(ids.NAME, channel_id, ARCHIVED.format(name=shown) if channel.get("is_archived") else shown)
