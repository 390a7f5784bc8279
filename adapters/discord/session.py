"""Staying connected: what only the operator can mend is told in one sentence, and tried again rarely."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
import discord

from adapters.base import NoSecret, NotSaved
from adapters.discord.errors import UNAUTHORIZED

BAD_TOKEN: Final = 4004
"""Discord's documentation, Gateway Close Event Codes; so are the others."""
NO_INTENT: Final = (
    "Discord does not let the bot read messages: switch on Message Content Intent in the developer portal (Bot,"
    " Privileged Gateway Intents)."
)
CLOSED: Final = "Discord has closed the connection for good (code {code}); `roost discord check` may say why."
UNREACHABLE: Final = "Discord cannot be reached ({reason}); it is tried again and again."
UNSAVED: Final = (
    "what the connection to Discord has to remember cannot be read or kept: bot.db does not work now."
)

_log = logging.getLogger("roost.discord")


async def outcome(connect: Callable[[], Awaitable[None]]) -> tuple[str | None, bool]:
    """What has ended a connection, for the operator, and whether only the operator can mend it."""
    try:
        await connect()
    except discord.LoginFailure:
        return UNAUTHORIZED, True
    except discord.PrivilegedIntentsRequired:
        return NO_INTENT, True
    except discord.ConnectionClosed as exc:
        return (UNAUTHORIZED if exc.code == BAD_TOKEN else CLOSED.format(code=exc.code)), True
    except NoSecret as exc:
        return str(exc), True
    except NotSaved:
        return UNSAVED, False
    except (discord.DiscordException, aiohttp.ClientError, OSError) as exc:
        reason = str(exc) or type(exc).__name__
        _log.warning("the connection to Discord has ended: %s", reason)
        return UNREACHABLE.format(reason=reason), False
    return None, False
