"""Whom a message of the fake Discord reaches: a pure decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.fakes import discord_wire as wire
from tests.fakes.discord_things import Message, Pings, Place, User

UNRESTRICTED: Final = {"parse": ["users", "roles", "everyone"], "replied_user": True}
"""Whom a message without `allowed_mentions` reaches."""


def pings(
    place: Place, author: User, text: str, allowed: Mapping[str, Any] | None, quoted: Message | None
) -> Pings:
    """Whom a text reaches ("Allowed Mentions Object"): whom it names and the sender allows, and the author of what it
    quotes."""
    named = wire.named(text)
    rules: Mapping[str, Any] = UNRESTRICTED if allowed is None else allowed
    parse = rules.get("parse") or []
    users = set(named.users if "users" in parse else ()) | (
        named.users & set(map(str, rules.get("users") or ()))
    )
    roles = set(named.roles if "roles" in parse else ()) | (
        named.roles & set(map(str, rules.get("roles") or ()))
    )
    if quoted is not None and rules.get("replied_user"):
        users.add(quoted.author.id)
    known = place.world.users
    return Pings(
        users=tuple(known[each] for each in sorted(users) if each in known),
        roles=tuple(sorted(each for each in roles if place.role_can_be_pinged(each, author))),
        everyone=named.everyone and "everyone" in parse and place.everyone_can_be_pinged(author),
    )
