"""One message of Slack's, read where something names it by its place alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from adapters.base import SendFailed
from adapters.slack.web import Web

_log = logging.getLogger("roost.slack")


async def message(web: Web, channel: str, ts: str, thread: str | None = None) -> Mapping[str, Any] | None:
    """The message as it stands now, with its thread; None where it is gone, or not for the bot to read."""
    try:
        told = await web.call(
            "conversations.replies",
            channel=channel,
            ts=thread or ts,
            oldest=ts,
            latest=ts,
            inclusive=True,
            limit=2,
        )
    except SendFailed as exc:
        _log.info("a message cannot be read: %s", exc)
        return None
    found = (each for each in told.get("messages") or () if isinstance(each, Mapping))
    return next((each for each in found if each.get("ts") == ts), None)
