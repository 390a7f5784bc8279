"""Members: the roles of people, where Discord has not sent them along.

What the gateway tells of messages and of commands says which roles their person has. What is read of a channel
afterwards does not, nor what is told of a reaction that is taken away. Roles are looked up then, or are none: who has
none may do no more than anybody.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any, Final

import discord

from adapters.base import SendFailed
from adapters.discord.rest import Rest
from agent.protocol.clock import Clock

KEPT_MS: Final = 60_000
"""So old may be what is known of somebody: roles are taken away as well."""
MAX_KNOWN: Final = 10_000

_log = logging.getLogger("roost.discord")


def groups_of(user: discord.abc.User) -> tuple[str, ...]:
    """The roles that Discord has sent along with somebody, by their ids. The role of everybody, which has the server's
    id, is nobody's own."""
    if not isinstance(user, discord.Member):
        return ()
    # The library's `roles` leaves out what its cache does not know, as of a server that has an outage.
    return tuple(str(role) for role in user._roles if role != user.guild.id)


class Members:
    """Remembers the roles of people for a minute."""

    def __init__(self, rest: Rest, *, clock: Clock) -> None:
        self._rest = rest
        self._clock = clock
        self._known: OrderedDict[tuple[int, int], tuple[int, tuple[str, ...]]] = OrderedDict()
        """By server and person: since when it is known, and the roles."""

    def heard(self, user: discord.abc.User) -> None:
        """Discord has told of somebody, with the roles that they have now."""
        if isinstance(user, discord.Member):
            self._note(user.guild.id, user.id, groups_of(user))

    def lately(self, server: int, user: int) -> tuple[str, ...]:
        """The roles that somebody had within the last minute, as far as is known. Asks nobody."""
        since, roles = self._known.get((server, user), (0, ()))
        return roles if self._clock() - since < KEPT_MS else ()

    async def groups(self, server: int, user: int) -> tuple[str, ...]:
        """The roles that somebody has; none where they cannot be had."""
        known = self._known.get((server, user))
        if known is not None and self._clock() - known[0] < KEPT_MS:
            return known[1]
        try:
            roles = _roles(await self._rest.member(server, user), server)
        except SendFailed as exc:
            # Who has left has none either; what failed for another reason is tried again a minute later.
            _log.info("the roles of a member are not known: %s", exc)
            roles = ()
        self._note(server, user, roles)
        return roles

    def _note(self, server: int, user: int, roles: tuple[str, ...]) -> None:
        self._known[server, user] = (self._clock(), roles)
        self._known.move_to_end((server, user))
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)


def _roles(member: Any, server: int) -> tuple[str, ...]:
    found = member.get("roles") if isinstance(member, dict) else None
    return tuple(str(each) for each in found or () if str(each) != str(server))
