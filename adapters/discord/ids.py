"""Discord's ids, and the ids and routes that are made of them. Pure.

An event of a message is known by its channel and its id, so that a reply finds it again; so is a part that was sent. A
thread that is opened on a message has that message's id (Discord's documentation, Threads): where an answer will stand
is known before the thread is there.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from agent.protocol.messages import Route

NAME: Final = "discord"
EPOCH_MS: Final = 1_420_070_400_000
"""The first millisecond that an id can stand for: 2015 began. Discord's documentation, Reference, Snowflakes."""
NONCE_CHARS: Final = 25
"""Discord's documentation, Create Message."""


def event_id(channel: int, message: int) -> str:
    """The id of the event that a message is."""
    return f"{NAME}:{channel}:{message}"


def message_of(event: str) -> tuple[int, int] | None:
    """The channel and the message of such an event; None for one of another kind."""
    name, _, rest = event.partition(":")
    return part_of(rest) if name == NAME else None


def referred(event: str | None, place: int) -> int | None:
    """The message that an answer in `place` can refer to: Discord refers to messages of the same channel only."""
    said = message_of(event) if event else None
    return said[1] if said is not None and said[0] == place else None


def part_id(channel: int, message: int) -> str:
    """What a part that was sent is known by."""
    return f"{channel}:{message}"


def part_of(part: str) -> tuple[int, int] | None:
    """The channel and the message of such a part."""
    channel, _, message = part.partition(":")
    return (int(channel), int(message)) if channel.isdecimal() and message.isdecimal() else None


def route(channel: int, thread: int | None = None) -> Route:
    """A channel, or a thread in it."""
    return Route(channel=NAME, platform_id=str(channel), thread_id=None if thread is None else str(thread))


def target(place: Route) -> int:
    """The channel or thread that a route leads to. Raises ValueError for what cannot be one of Discord's."""
    return int(place.thread_id or place.platform_id)


def made_at(snowflake: int) -> int:
    """When an id was made, in epoch milliseconds."""
    return (snowflake >> 22) + EPOCH_MS


def first_at(at: int) -> int:
    """The smallest id that can have been made at a time, in epoch milliseconds."""
    return max(0, at - EPOCH_MS) << 22


def nonce(*key: str) -> str:
    """What Discord knows a second try for one by, for some minutes: the same for the same key."""
    digest = hashlib.sha256(":".join(key).encode()).digest()
    return base64.b32encode(digest).decode()[:NONCE_CHARS]
