"""From a reaction that Discord tells of to an event of ours. Pure."""

from __future__ import annotations

from typing import Final

import discord

from adapters.base import Event, Sender
from adapters.discord import ids, normalize
from adapters.discord.members import groups_of
from adapters.discord.normalize import place_of
from adapters.text import shown_name

NO_NAME: Final = "emoji"


def reaction_event(
    reaction: discord.RawReactionActionEvent, channel: normalize.Where, me: discord.ClientUser, now: int
) -> Event | None:
    """A reaction on a message of the bot's; None for one on somebody else's. Of one that is taken away Discord does
    not say whose message it was on."""
    taken_back = reaction.event_type == "REACTION_REMOVE"
    place = place_of(channel, reaction.message_id, threads=False)
    if place is None or (not taken_back and reaction.message_author_id != me.id):
        return None
    part = ids.part_id(reaction.channel_id, reaction.message_id)
    emoji = reaction.emoji
    member = reaction.member
    return Event(
        # Discord gives it no id, and tells of it once; the same may be done again.
        id=f"{ids.NAME}:reaction:{part}:{reaction.user_id}:{emoji.id or emoji.name}:{now}",
        kind="reaction",
        route=place.route,
        sender=Sender(
            str(reaction.user_id),
            normalize.person_name(member.display_name if member is not None else ""),
            is_bot=member is not None and member.bot,
            groups=groups_of(member) if member is not None else (),
        ),
        created_at=now,
        text=_shown(emoji),
        about=part,
        taken_back=taken_back,
    )


def _shown(emoji: discord.PartialEmoji) -> str:
    """Discord does not name one that its server has deleted."""
    if emoji.name and emoji.id is None:
        return emoji.name
    return f":{shown_name(emoji.name) or NO_NAME}:"
