"""Registration: Discord is told of the commands when it has others, and not at every start."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.base import SendFailed
from adapters.discord import layout
from adapters.discord.rest import Rest

_log = logging.getLogger("roost.discord")


async def register(
    rest: Rest, application: int, wanted: Sequence[Mapping[str, Any]], *, guilds: Sequence[int]
) -> None:
    """Registers them everywhere, or, where `guilds` are named, in these alone, which takes effect at once. What Discord
    refuses is logged: everything else works without."""
    # What is registered everywhere as well stands twice in the lists of a server.
    everywhere: Sequence[Mapping[str, Any]] = () if guilds else wanted
    for guild, there in [(None, everywhere), *((each, wanted) for each in guilds)]:
        try:
            if not layout.same(there, await rest.commands(application, guild)):
                await rest.register(application, guild, list(there))
                _log.info(
                    "the commands are registered with Discord"
                    if there
                    else "no commands are registered everywhere"
                )
        except SendFailed as exc:
            _log.error("the commands could not be registered with Discord: %s", exc)
