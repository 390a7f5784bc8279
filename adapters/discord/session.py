"""Staying connected: what only the operator can mend is told in one sentence, and tried again rarely."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
import discord

from adapters.base import NoSecret, NotSaved
from adapters.discord.errors import UNAUTHORIZED

FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 60.0
MENDED_SECONDS: Final = 300.0
"""Between two tries of what an operator has to mend: Discord allows 1,000 sessions a day."""
BAD_TOKEN: Final = 4004
"""Discord's documentation, Gateway Close Event Codes; so are the others."""
NO_INTENT: Final = (
    "Discord does not let the bot read messages: switch on Message Content Intent in the developer portal (Bot,"
    " Privileged Gateway Intents)."
)
CLOSED: Final = "Discord has closed the connection for good (code {code}); `roost discord check` may say why."
UNREACHABLE: Final = "Discord cannot be reached ({reason}); it is tried again and again."

_log = logging.getLogger("roost.discord")


async def keep_connected(connect: Callable[[], Awaitable[None]], trouble: Callable[[str], None]) -> None:
    """Connects again and again until cancelled. A crash of ours rises."""
    wait = FIRST_WAIT_SECONDS
    while True:
        began = asyncio.get_running_loop().time()
        text, lasting = await _outcome(connect)
        if asyncio.get_running_loop().time() - began > LONGEST_WAIT_SECONDS:
            wait = FIRST_WAIT_SECONDS
        if text is not None:
            trouble(text)
        await asyncio.sleep(MENDED_SECONDS if lasting else wait)
        wait = min(LONGEST_WAIT_SECONDS, wait * 2)


async def _outcome(connect: Callable[[], Awaitable[None]]) -> tuple[str | None, bool]:
    """What has ended a connection, for the operator, and whether only the operator can mend it."""
    try:
        await connect()
    except NoSecret as exc:
        return str(exc), False
    except discord.LoginFailure:
        return UNAUTHORIZED, True
    except discord.PrivilegedIntentsRequired:
        return NO_INTENT, True
    except discord.ConnectionClosed as exc:
        return (UNAUTHORIZED if exc.code == BAD_TOKEN else CLOSED.format(code=exc.code)), True
    except (discord.DiscordException, aiohttp.ClientError, OSError, NotSaved) as exc:
        _log.warning("the connection to Discord has ended", exc_info=True)
        return UNREACHABLE.format(reason=str(exc) or type(exc).__name__), False
    return None, False
