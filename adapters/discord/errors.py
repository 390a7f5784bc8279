"""What goes wrong with Discord, told as adapters.base wants it. The one place where the library's errors are caught.

SendFailed                  see adapters.base
  x ChannelGone             there is no such channel or thread, or it is not for us to see
  x MessageGone             there is no such message
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
import discord

from adapters.base import Absent, SendFailed

BANNED_SECONDS: Final = 600.0
"""A 429 without `Via` comes from Cloudflare, which counts 10,000 refused requests in 10 minutes. Discord's
documentation, Rate Limits, Invalid Request Limit."""
UNAUTHORIZED_SECONDS: Final = 300.0

OPENING_SECONDS: Final = 60.0
"""Before the next direct conversation is begun, of which Discord lets a bot begin only so many. Documentation, Create
DM."""

UNKNOWN_CHANNEL: Final = 10003
UNKNOWN_MESSAGE: Final = 10008
UNKNOWN_USER: Final = 10013
OPENED_TOO_FAST: Final = 40003
MISSING_ACCESS: Final = 50001
DM_CLOSED: Final = 50007
NOTHING_IN_COMMON: Final = 50278
MISSING_PERMISSIONS: Final = 50013
ARCHIVED: Final = 50083
TOO_LARGE: Final = 40005
NO_HISTORY: Final = 160002
HAS_THREAD: Final = 160004
LOCKED: Final = 160005
"""Discord's documentation, Opcodes and Status Codes, JSON."""

UNAUTHORIZED: Final = (
    "Discord does not take the bot's token: make a new one in the developer portal (Bot, Reset Token), put it where"
    " [discord] says, and start Roost again."
)
UNREACHED: Final = "Discord cannot be reached from this machine"
SENTENCES: Final = {
    UNKNOWN_CHANNEL: "the channel or thread is not there any more",
    UNKNOWN_MESSAGE: "the message is not there any more",
    MISSING_ACCESS: "the bot may not see this channel; an admin has to give it View Channel there",
    UNKNOWN_USER: "there is no such person on Discord",
    NOTHING_IN_COMMON: "this person is in no server with the bot, which can write to nobody else",
    DM_CLOSED: "this person takes no direct messages from the bot",
    MISSING_PERMISSIONS: "the bot lacks a permission in this channel; `roost discord check` says which",
    ARCHIVED: "the thread is locked; a moderator has to unlock it",
    LOCKED: "the thread is locked; a moderator has to unlock it",
    TOO_LARGE: "the file is larger than this server takes",
}


class ChannelGone(SendFailed):
    """Raised when there is no such channel or thread."""


class MessageGone(SendFailed):
    """Raised when there is no such message."""


@contextmanager
def translated() -> Iterator[None]:
    """What the library raises inside rises as SendFailed."""
    try:
        yield
    except discord.RateLimited as exc:
        raise SendFailed("Discord asked for a pause", retry_after=exc.retry_after) from exc
    except discord.HTTPException as exc:
        raise refusal(exc) from exc
    except aiohttp.ClientConnectorError as exc:
        # Nothing has left this machine: the next connection says when to try again.
        raise Absent(UNREACHED) from exc
    except (TimeoutError, aiohttp.ClientError, OSError) as exc:
        # Nobody knows whether it was taken.
        raise SendFailed(f"Discord cannot be reached ({type(exc).__name__})", retry_after=0) from exc


def refusal(exc: discord.HTTPException) -> SendFailed:
    """What an answer of Discord's means."""
    said = (
        SENTENCES.get(exc.code) or f"Discord refused it: {exc.text or exc.status} ({exc.status}, {exc.code})"
    )
    if exc.status == 401:
        return SendFailed(UNAUTHORIZED, retry_after=UNAUTHORIZED_SECONDS, everywhere=True)
    if exc.status == 429:
        banned = not exc.response.headers.get("Via")
        return SendFailed(
            "Discord asked for a pause", retry_after=BANNED_SECONDS if banned else 5.0, everywhere=banned
        )
    if exc.code == OPENED_TOO_FAST:
        return SendFailed("Discord asked for a pause", retry_after=OPENING_SECONDS)
    if exc.status >= 500:
        return SendFailed(f"Discord is in trouble ({exc.status})", retry_after=0)
    if exc.code == UNKNOWN_CHANNEL:
        return ChannelGone(said, retry_after=None)
    if exc.code == UNKNOWN_MESSAGE:
        return MessageGone(said, retry_after=None)
    return SendFailed(said, retry_after=None)


def code_of(exc: BaseException) -> int | None:
    """Discord's own code behind a SendFailed."""
    cause = exc.__cause__
    return cause.code if isinstance(cause, discord.HTTPException) else None


def status_of(exc: SendFailed) -> int | None:
    """The HTTP status behind it."""
    cause = exc.__cause__
    return cause.status if isinstance(cause, discord.HTTPException) else None
