"""A connection that is open proves nothing: after a while without an event it is asked for one.

Every server can be asked for the bot's own member, which it answers by an event on the same connection (Discord's
documentation, Gateway Events, Request Guild Members). One that answers heartbeats and nothing else is closed, and
resumed, which gives what it has kept back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import discord

from adapters.discord.client import Client, Timing

RESUMABLE: Final = 4000
"""A close code that keeps the session. Discord's documentation, Gateway Close Event Codes."""

_log = logging.getLogger("roost.discord")


async def watch(client: Client, timing: Timing) -> None:
    """Until cancelled."""
    while True:
        quiet = {shard: client.quiet_seconds(shard) for shard in client.shards}
        longest = max(quiet.values(), default=0.0)
        if longest < timing.silence:
            await asyncio.sleep(timing.silence - longest)
            continue
        due = [shard for shard, seconds in quiet.items() if seconds >= timing.silence]
        await asyncio.gather(*(_probe(client, shard, timing) for shard in due))
        # One that cannot be asked is let be for a while, and so are those beside it.
        await asyncio.sleep(timing.silence / 4)


async def _probe(client: Client, shard: int, timing: Timing) -> None:
    me = client.user
    guild = next((each for each in client.guilds if each.shard_id == shard and not each.unavailable), None)
    if guild is None or me is None or client.shards[shard].is_closed():
        return
    try:
        async with asyncio.timeout(timing.probe):
            await guild.query_members(user_ids=[me.id], cache=False)
    except TimeoutError:
        _log.warning(
            "the connection to Discord is open and says nothing; it is made anew", extra={"shard": shard}
        )
        socket = client._get_websocket(shard_id=shard)
        await socket.close(code=RESUMABLE)
    except (discord.DiscordException, OSError, RuntimeError) as exc:
        # It is being made anew already.
        _log.debug("the connection could not be tried: %s", exc)
