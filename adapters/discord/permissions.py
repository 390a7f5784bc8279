"""What the bot has to be allowed on Discord, what it is allowed somewhere, and the link that asks for it. Pure.

The bits and how they add up are those of Discord's documentation, "Permissions".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

VIEW_CHANNEL: Final = 1 << 10
ADMINISTRATOR: Final = 1 << 3
ALL: Final = (1 << 64) - 1
INVITE: Final = (
    "https://discord.com/oauth2/authorize"
    "?client_id={application}&scope=bot+applications.commands&permissions={permissions}"
)
"""Discord's documentation, OAuth2, Bot Authorization Flow."""


@dataclass(frozen=True)
class Permission:
    """One that is asked for. Without one that is `needed` the bot cannot answer; without another it does without."""

    name: str
    bit: int
    needed: bool
    reason: str
    """What it is for, as the documents have it."""


VIEW: Final = Permission("View Channel", VIEW_CHANNEL, True, "to hear what is said in a channel")
SEND: Final = Permission("Send Messages", 1 << 11, True, "to answer in a channel")
SEND_IN_THREADS: Final = Permission("Send Messages in Threads", 1 << 38, True, "to answer in a thread")
CREATE_THREADS: Final = Permission(
    "Create Public Threads",
    1 << 35,
    False,
    "to open a thread for what is asked in a channel; without it the answer stands in the channel",
)
HISTORY: Final = Permission(
    "Read Message History",
    1 << 16,
    True,
    "to reply to a question, and to read what was said while the bot was away",
)
REACT: Final = Permission(
    "Add Reactions", 1 << 6, False, "for the agent to react; without it the agent is told that it may not"
)
ATTACH: Final = Permission(
    "Attach Files",
    1 << 15,
    True,
    "for files, and for an answer that is long; without it people are told that a file is missing",
)
EMBED: Final = Permission("Embed Links", 1 << 14, False, "for cards; without it a card is shown as text")
ASKED: Final = (VIEW, SEND, SEND_IN_THREADS, CREATE_THREADS, HISTORY, REACT, ATTACH, EMBED)
"""All that the invite link asks for, and nothing else."""
INVITE_PERMISSIONS: Final = 309237763136
"""ASKED as Discord's links have it."""


@dataclass(frozen=True)
class Overwrite:
    """What a channel allows or denies a role or a member, by its id, beside what holds in the server."""

    id: int
    allow: int
    deny: int


def invite_link(application: int) -> str:
    """Where somebody adds the bot to a server, with exactly the permissions that it needs."""
    return INVITE.format(application=application, permissions=INVITE_PERMISSIONS)


def in_server(roles: Mapping[int, int], held: Collection[int], *, server: int, owner: bool) -> int:
    """What a member may do in a server, before a channel says otherwise: `roles` are the permissions of the server's
    roles by their ids, `held` the member's own. The role of everybody has the server's id."""
    allowed = roles.get(server, 0)
    for role in held:
        allowed |= roles.get(role, 0)
    return ALL if owner or allowed & ADMINISTRATOR else allowed


def in_channel(
    base: int, overwrites: Iterable[Overwrite], held: Collection[int], *, server: int, member: int
) -> int:
    """What a member who may do `base` in the server may do in a channel: everybody's overwrite, then those of the
    roles together, then the member's own. Who does not see a channel may do nothing there."""
    if base == ALL:
        return ALL
    known = {each.id: each for each in overwrites}
    roles = [known[role] for role in held if role in known and role != server]
    for step in (
        [known[server]] if server in known else [],
        roles,
        [known[member]] if member in known else [],
    ):
        for each in step:
            base &= ~each.deny
        for each in step:
            base |= each.allow
    return base if base & VIEW_CHANNEL else 0


def missing(allowed: int, wanted: Sequence[Permission] = ASKED) -> list[Permission]:
    """Those of `wanted` that are not among what is allowed. Without sight of the channel that is the one to name."""
    if not allowed & VIEW_CHANNEL:
        return [VIEW]
    return [each for each in wanted if not allowed & each.bit]
