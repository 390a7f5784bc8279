"""Context: what was said in a thread before a message of it, for an agent that is called into the thread."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import discord

from adapters.base import Said, SendFailed
from adapters.discord import normalize
from adapters.discord.client import Client
from adapters.discord.rest import PAGE, Rest

MAX_BEFORE: Final = 30
"""Messages that are told: the first, which says what the thread is about, and the last before the call."""

_log = logging.getLogger("roost.discord")


async def before(rest: Rest, client: Client, message: discord.Message) -> list[Said]:
    """The oldest first, without what the bot has said and Discord's own remarks; nothing where it cannot be had."""
    thread = message.channel
    try:
        page = await rest.latest(thread.id, before=message.id)
        first = await rest.earliest(thread.id) if len(page) >= PAGE else []
    except SendFailed as exc:
        _log.info("what was said in a thread before cannot be read: %s", exc)
        return []
    known = {str(data["id"]): data for data in (*reversed(first), *reversed(page))}
    try:
        said = list(_told(list(known.values()), client, message))
    except (KeyError, TypeError, ValueError):
        _log.exception("what was said in a thread before cannot be understood")
        return []
    return said if len(said) <= MAX_BEFORE else [said[0], *said[1 - MAX_BEFORE :]]


def _told(found: Sequence[Mapping[str, Any]], client: Client, message: discord.Message) -> Iterator[Said]:
    me = client.user
    for data in found:
        raw: Any = data
        each: Any = discord.Message(state=client._connection, channel=message.channel, data=raw)
        if each.type is discord.MessageType.thread_starter_message:
            # It stands for the message in the channel on which the thread was opened.
            each = each.reference.resolved if each.reference is not None else None
        said = normalize.said(each, me) if isinstance(each, discord.Message) and me is not None else None
        if said is not None:
            yield said
