"""Registration: Discord is told of the commands when they have changed, and not at every start."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.base import Notes, NotSaved, SendFailed
from adapters.discord import commands, ids
from adapters.discord.rest import Rest

KEY: Final = f"{ids.NAME}:commands:"

_log = logging.getLogger("roost.discord")


async def register(
    rest: Rest,
    notes: Notes,
    application: int,
    wanted: Sequence[Mapping[str, Any]],
    *,
    guilds: Sequence[int],
) -> None:
    """Registers them everywhere, or, where `guilds` are named, in these alone, which takes effect at once. What Discord
    refuses is logged: everything else works without."""
    for guild in guilds or (None,):
        try:
            await _register(rest, notes, application, guild, wanted)
        except SendFailed as exc:
            _log.error("the commands could not be registered with Discord: %s", exc)
        except NotSaved:
            _log.warning("it is not kept that the commands are registered", exc_info=True)


async def _register(
    rest: Rest, notes: Notes, application: int, guild: int | None, wanted: Sequence[Mapping[str, Any]]
) -> None:
    key, digest = f"{KEY}{application}:{guild or 'everywhere'}", commands.digest(wanted)
    if await notes.get(key) == digest:
        return
    if not commands.same(wanted, await rest.commands(application, guild)):
        await rest.register(application, guild, wanted)
        _log.info("the commands are registered with Discord")
    await notes.put(key, digest)
