"""Slack's ids, and the ids and routes that are made of them. Pure.

A message is known by its channel and its `ts`, which is its time and unique in the channel (Slack's documentation,
chat.postMessage); so is the thread that begins with it. An event of a message is known by these as well, and not by the
event's own id: the same message comes as a `message`, as an `app_mention`, and out of a channel's history.
"""

from __future__ import annotations

import re
from typing import Final

from agent.protocol.messages import Route

NAME: Final = "slack"
_TS: Final = re.compile(r"\d{1,12}\.\d{1,6}", re.ASCII)
_ID: Final = re.compile(r"[A-Z][A-Z0-9]{1,40}", re.ASCII)


def event_id(channel: str, ts: str) -> str:
    """The id of the event that a message is."""
    return f"{NAME}:{channel}:{ts}"


def message_of(event: str) -> tuple[str, str] | None:
    """The channel and the ts of such an event; None for one of another kind."""
    name, _, rest = event.partition(":")
    return part_of(rest) if name == NAME else None


def part_id(channel: str, ts: str) -> str:
    """What a part that was sent is known by."""
    return f"{channel}:{ts}"


def part_of(part: str) -> tuple[str, str] | None:
    """The channel and the ts of such a part."""
    channel, _, ts = part.partition(":")
    return (channel, ts) if is_id(channel) and is_ts(ts) else None


def is_ts(text: str) -> bool:
    """Whether it can be the ts of a message."""
    return _TS.fullmatch(text) is not None


def is_id(text: str) -> bool:
    """Whether it can be an id of Slack's: of a channel, a person, a team, a file."""
    return _ID.fullmatch(text) is not None


def is_direct(channel: str) -> bool:
    """Whether a channel is a conversation with one person. One with several (whose ids begin with G or C) is a channel
    like any other. Slack's documentation, Conversations API."""
    return channel.startswith("D")


def route(channel: str, thread: str | None = None) -> Route:
    """A channel, or a thread in it."""
    return Route(channel=NAME, platform_id=channel, thread_id=thread)


def made_at(ts: str) -> int:
    """When a message was said, in epoch milliseconds."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1000 + int(fraction.ljust(6, "0")[:6] or 0) // 1000


def first_at(at: int) -> str:
    """The smallest ts that a message of a time, in epoch milliseconds, can have."""
    return f"{max(0, at) // 1000}.{max(0, at) % 1000:03d}000"
