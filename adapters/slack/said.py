"""What the bot itself has said in a place, read back: nothing is said twice after a try whose end nobody saw."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.base import Part, SendFailed
from adapters.slack import ids
from adapters.slack.errors import ChannelGone
from adapters.slack.web import Web

EVENT_TYPE: Final = "roost_part"
LIVE_TYPE: Final = "roost_live"
"""Of a message that shows an answer which is still being written, where that is done by edits."""
MARGIN_MS: Final = 30_000
"""Clocks differ."""
PAGES: Final = 3
"""How far a place is read at most."""
PAGE: Final = 200
"""Messages. Slack's documentation, conversations.replies: at most 1,000, and no more than 200 are recommended."""

_log = logging.getLogger("roost.slack")


def metadata(part: Part, *, piece: int = 0) -> dict[str, Any]:
    """What a message carries that is a part, or a further `piece` of one that had to be cut: by this it is known again.
    Slack's documentation, Message metadata."""
    out = part.outgoing
    number: int | str = f"{part.index}.{piece}" if piece else part.index
    return {
        "event_type": EVENT_TYPE,
        "event_payload": {"session": out.session, "out": out.id, "part": number},
    }


def live_metadata(turn_id: str) -> dict[str, Any]:
    """What a message carries that shows the text of a turn by edits."""
    return {"event_type": LIVE_TYPE, "event_payload": {"turn": turn_id}}


def carried(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The metadata of a message, where it has any."""
    found = message.get("metadata")
    return found if isinstance(found, Mapping) and found.get("event_type") else None


async def ours(web: Web, channel: str, thread: str | None, *, since: int) -> Sequence[Mapping[str, Any]]:
    """What the bot has said in a channel, or in a thread of it, since a time in epoch milliseconds: no more than some
    pages of it, with metadata. Raises SendFailed."""
    oldest, cursor = ids.first_at(since - MARGIN_MS), None
    found: list[Mapping[str, Any]] = []
    for _ in range(PAGES):
        page = await web.call(
            "conversations.history" if thread is None else "conversations.replies",
            channel=channel,
            ts=thread,
            oldest=oldest,
            limit=PAGE,
            cursor=cursor,
            include_all_metadata=True,
        )
        messages = page.get("messages")
        found += [each for each in messages or () if _is_ours(web, each, oldest)]
        following = page.get("response_metadata")
        cursor = following.get("next_cursor") if isinstance(following, Mapping) else None
        if not cursor:
            break
    return found


async def readable(web: Web, channel: str, thread: str | None, *, since: int) -> Sequence[Mapping[str, Any]]:
    """The same, and nothing where the bot may not read: then nobody knows more, and a thing is said at least once.
    Raises SendFailed."""
    try:
        return await ours(web, channel, thread, since=since)
    except SendFailed as exc:
        if exc.retry_after is not None or isinstance(exc, ChannelGone):
            raise
        _log.warning("channel %s cannot be read before something is said again: %s", channel, exc)
        return ()


def _is_ours(web: Web, message: Any, oldest: str) -> bool:
    if not isinstance(message, Mapping) or not ids.is_ts(str(message.get("ts", ""))):
        return False
    # The root of a thread comes with its replies, whatever its time.
    return float(message["ts"]) >= float(oldest) and (not web.me or message.get("user") == web.me)
