"""Context: what was said in a thread before a message of it, for an agent that is called into the thread."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from adapters.base import Said, SendFailed
from adapters.slack import normalize
from adapters.slack.normalize import Me, Message
from adapters.slack.people import People
from adapters.slack.shapes import is_told
from adapters.slack.web import Web

MAX_BEFORE: Final = 30
"""Messages that are told: the first, which says what the thread is about, and the last before the call."""
PAGE: Final = 1_000
"""Slack's documentation, conversations.replies: the most in a page, of which each begins with the oldest."""
PAGES: Final = 5
"""Of a thread that is longer, the end is not told."""

_log = logging.getLogger("roost.slack")


async def before(
    web: Web, people: People, me: Me, channel: str, thread: str, until: str | None = None
) -> list[Said]:
    """The oldest first, without Slack's own remarks and what the bot has said, unless the thread begins with it;
    `until` is the ts of the message, None for all of the thread. Nothing where it cannot be had."""
    try:
        kept = await _read(web, me, channel, thread, until)
        known = await people.of(user for each in kept for user in normalize.named_in(each))
    except SendFailed as exc:
        _log.info("what was said in a thread before cannot be read: %s", exc)
        return []
    return [normalize.said(each, me, known) for each in kept]


async def _read(web: Web, me: Me, channel: str, thread: str, until: str | None) -> list[Message]:
    """Raises SendFailed."""
    first: list[Message] = []
    last: deque[Message] = deque(maxlen=MAX_BEFORE - 1)
    cursor: str | None = None
    for _ in range(PAGES):
        page = await web.call(
            "conversations.replies", channel=channel, ts=thread, latest=until, limit=PAGE, cursor=cursor
        )
        for each in page.get("messages") or ():
            if not is_told(each) or str(each.get("ts")) == until:
                continue
            if each.get("ts") == thread:
                # It comes on every page again.
                first = [each] if _is_said(each) else []
            elif _is_said(each) and not normalize.is_mine(each, me):
                last.append(each)
        cursor = _next(page)
        if cursor is None:
            break
    return [*first, *last]


def _is_said(message: Message) -> bool:
    spoken = str(message.get("subtype") or "") in normalize.SPOKEN
    return spoken and bool(message.get("text") or message.get("files") or message.get("blocks"))


def _next(page: Mapping[str, Any]) -> str | None:
    return (page.get("response_metadata") or {}).get("next_cursor") or None
