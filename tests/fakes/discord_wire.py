"""How the things of the fake Discord go over the wire: one pure function for each of Discord's objects.

The shapes are those of Discord's documentation ("Resources") and its OpenAPI document. `me` is the bot, for what an
object says of the one who asks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.fakes.discord_things import Attachment, Guild, Member, Message, Place, Role, User
from tests.fakes.discord_values import Flag, Kind, MessageKind, iso

USER_MENTION: Final = re.compile(r"<@!?(\d+)>")
ROLE_MENTION: Final = re.compile(r"<@&(\d+)>")
EVERYONE_MENTION: Final = re.compile(r"@(everyone|here)\b")
CUSTOM_EMOJI: Final = re.compile(r"(?:a:)?(\w+):(\d+)")
EMPTY_GUILD_FIELDS: Final = (
    "icon",
    "description",
    "home_header",
    "splash",
    "discovery_splash",
    "banner",
    "application_id",
    "afk_channel_id",
    "system_channel_id",
    "widget_channel_id",
    "max_presences",
    "vanity_url_code",
    "rules_channel_id",
    "safety_alerts_channel_id",
    "public_updates_channel_id",
    "incidents_data",
)
LARGE_MEMBERS: Final = 1000


@dataclass(frozen=True)
class Named:
    """Whom a text names."""

    users: set[str]
    roles: set[str]
    everyone: bool


def named(text: str) -> Named:
    """Finds the mentions in a text."""
    return Named(
        users=set(USER_MENTION.findall(text)),
        roles=set(ROLE_MENTION.findall(text)),
        everyone=EVERYONE_MENTION.search(text) is not None,
    )


def user(who: User) -> dict[str, Any]:
    """A user object."""
    data: dict[str, Any] = {
        "id": who.id,
        "username": who.name.lower() if not who.bot else who.name,
        "discriminator": "0000" if who.bot else "0",
        "global_name": None if who.bot else who.name,
        "avatar": None,
        "banner": None,
        "accent_color": None,
        "public_flags": 0,
        "flags": 0,
        "primary_guild": None,
    }
    return data | ({"bot": True} if who.bot else {})


def own_user(who: User) -> dict[str, Any]:
    """The user object of the one who asks."""
    return {**user(who), "mfa_enabled": True, "locale": "en-US", "verified": True, "email": None}


def member(who: Member, *, with_user: bool = True) -> dict[str, Any]:
    """A guild member object. A message has one without its user."""
    data: dict[str, Any] = {
        "roles": [role.id for role in who.roles],
        "nick": who.nick,
        "avatar": None,
        "banner": None,
        "joined_at": iso(who.joined_at),
        "premium_since": None,
        "communication_disabled_until": None,
        "pending": False,
        "mute": False,
        "deaf": False,
        "flags": 0,
    }
    return data | ({"user": user(who.user)} if with_user else {})


def role(what: Role) -> dict[str, Any]:
    """A role object."""
    data: dict[str, Any] = {
        "id": what.id,
        "name": what.name,
        "permissions": str(int(what.permissions)),
        "position": what.position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": what.bot_id is not None,
        "mentionable": what.is_mentionable,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }
    return data | ({"tags": {"bot_id": what.bot_id}} if what.bot_id is not None else {})


def guild(what: Guild) -> dict[str, Any]:
    """A guild object, as REST has it."""
    nothing: dict[str, Any] = dict.fromkeys(EMPTY_GUILD_FIELDS)
    return nothing | {
        "id": what.id,
        "name": what.name,
        "owner_id": what.owner.id,
        "region": "deprecated",
        "features": [],
        "afk_timeout": 300,
        "system_channel_flags": 0,
        "widget_enabled": False,
        "verification_level": 0,
        "roles": [role(each) for each in what.roles.values()],
        "default_message_notifications": 1,
        "mfa_level": 0,
        "explicit_content_filter": 0,
        "max_members": 500_000,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "premium_tier": what.tier,
        "premium_subscription_count": 0,
        "preferred_locale": "en-US",
        "premium_progress_bar_enabled": False,
        "nsfw": False,
        "nsfw_level": 0,
        "emojis": [],
        "stickers": [],
    }


def member_count(what: Guild) -> int:
    """How many are told to be in a guild; those of a large one that a test has not named do nothing."""
    return len(what.members) + (LARGE_MEMBERS if what.is_large else 0)


def guild_create(what: Guild, seen: Sequence[Place], me: User) -> dict[str, Any]:
    """What GUILD_CREATE says; archived threads are not among it ("Gateway Events", Guild Create)."""
    return guild(what) | {
        "joined_at": iso(what.members[me.id].joined_at),
        "large": what.is_large,
        "unavailable": False,
        "member_count": member_count(what),
        "voice_states": [],
        "members": [member(each) for each in what.members.values()],
        "channels": [place(each) for each in seen if not each.is_thread],
        "threads": [place(each, me=me) for each in seen if each.is_thread and not each.is_archived],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def guild_id(where: Place) -> dict[str, Any]:
    """The guild's id for an event, where there is a guild: Discord never says that there is none."""
    return {"guild_id": where.guild.id} if where.guild is not None else {}


def place(what: Place, *, me: User | None = None) -> dict[str, Any]:
    """A channel object of any kind."""
    last = next((each.id for each in reversed(what.history) if not each.is_ephemeral), None)
    data: dict[str, Any] = {"id": what.id, "type": int(what.kind), "flags": 0, "last_message_id": last}
    if what.guild is None:
        return data | _private(what, me)
    data |= {"guild_id": what.guild.id, "name": what.name, "rate_limit_per_user": 0}
    data["parent_id"] = what.parent.id if what.parent is not None else None
    if what.is_thread:
        return data | _thread(what, me)
    data |= {
        "position": what.position,
        "topic": what.topic,
        "nsfw": False,
        "permission_overwrites": [
            {
                "id": each.id,
                "type": 1 if each.is_member else 0,
                "allow": str(int(each.allow)),
                "deny": str(int(each.deny)),
            }
            for each in what.overwrites.values()
        ],
    }
    if what.kind is Kind.VOICE:
        data |= {"bitrate": 64_000, "user_limit": 0, "rtc_region": None}
    if what.kind is Kind.FORUM:
        data |= {
            "available_tags": [],
            "default_reaction_emoji": None,
            "default_sort_order": None,
            "default_forum_layout": 0,
        }
    return data


def place_reference(what: Place, me: User) -> dict[str, Any]:
    """What is said of a place that is gone: of a thread no more than where it was."""
    if not what.is_thread:
        return place(what, me=me)
    data = {"id": what.id, "type": int(what.kind), **guild_id(what)}
    return data | ({"parent_id": what.parent.id} if what.parent is not None else {})


def _private(what: Place, me: User | None) -> dict[str, Any]:
    recipients = [user(each) for each in what.recipients if each is not me]
    if what.kind is Kind.DM:
        return {"recipients": recipients}
    owner = next(iter(what.recipients))
    return {"recipients": recipients, "name": what.name or None, "icon": None, "owner_id": owner.id}


def _thread(what: Place, me: User | None) -> dict[str, Any]:
    assert what.owner is not None
    said = [each for each in what.history if each.kind is not MessageKind.THREAD_STARTER_MESSAGE]
    data: dict[str, Any] = {
        "owner_id": what.owner.id,
        "thread_metadata": {
            "archived": what.is_archived,
            "archive_timestamp": iso(what.archived_at or what.created_at),
            "auto_archive_duration": what.archive_minutes,
            "locked": what.is_locked,
            "create_timestamp": iso(what.created_at),
        },
        "message_count": sum(not each.is_deleted for each in said),
        "member_count": len(what.joined),
        "total_message_sent": what.sent,
    }
    if what.parent is not None and what.parent.kind is Kind.FORUM:
        data["applied_tags"] = list(what.tags)
    if me is not None and me.id in what.joined:
        data["member"] = thread_member(what, me.id)
    return data


def thread_member(what: Place, user_id: str) -> dict[str, Any]:
    """Somebody who has joined a thread."""
    return {
        "id": what.id,
        "user_id": user_id,
        "join_timestamp": iso(what.joined[user_id]),
        "flags": 0,
    }


def threads(found: Sequence[Place], me: User, *, has_more: bool = False) -> dict[str, Any]:
    """A list of threads, with the bot's own memberships."""
    return {
        "threads": [place(each, me=me) for each in found],
        "members": [thread_member(each, me.id) for each in found if me.id in each.joined],
        "has_more": has_more,
    }


def attachment(file: Attachment) -> dict[str, Any]:
    """An attachment object."""
    data: dict[str, Any] = {
        "id": file.id,
        "filename": file.name,
        "size": len(file.data) if file.promised is None else file.promised,
        "url": file.url,
        "proxy_url": file.url,
    }
    if file.media_type is not None:
        data["content_type"] = file.media_type
    if file.description is not None:
        data["description"] = file.description
    if file.is_voice:
        data |= {"duration_secs": 1.5, "waveform": "AAAA"}
    return data


def emoji(text: str) -> dict[str, Any]:
    """An emoji as a reaction has it: Unicode by its text, one of a guild by name and id."""
    custom = CUSTOM_EMOJI.fullmatch(text)
    return {"id": custom[2], "name": custom[1]} if custom else {"id": None, "name": text}


def message(what: Message, me: User, *, quoting: bool = True) -> dict[str, Any]:
    """A message object, as REST has it. `quoting` says whether what it replies to is told in full."""
    data: dict[str, Any] = {
        "id": what.id,
        "channel_id": what.place.id,
        "type": int(what.kind),
        "author": user(what.author),
        "content": what.content,
        "timestamp": iso(what.created_at),
        "edited_timestamp": iso(what.edited_at) if what.edited_at is not None else None,
        "tts": False,
        "pinned": False,
        "mention_everyone": what.pings.everyone,
        "mentions": [user(each) for each in what.names],
        "mention_roles": list(what.pings.roles),
        "attachments": [attachment(file) for file in what.attachments],
        "embeds": [] if what.flags & Flag.SUPPRESS_EMBEDS else [dict(each) for each in what.embeds],
        "components": [dict(each) for each in what.components],
        "flags": int(what.flags),
    }
    if what.reactions:
        data["reactions"] = [_reaction(each, who, me) for each, who in what.reactions.items()]
    if what.nonce is not None:
        data["nonce"] = what.nonce
    if what.stickers:
        data["sticker_items"] = [dict(each) for each in what.stickers]
    if what.webhook_id is not None:
        data["webhook_id"] = what.webhook_id
    if what.thread is not None and not what.thread.is_deleted:
        data["thread"] = place(what.thread, me=me)
    if what.asked_by is not None:
        data |= {"interaction_metadata": what.asked_by, "application_id": me.id}
        data["webhook_id"] = me.id
    return data | _reference(what, me, quoting=quoting)


def _reference(what: Message, me: User, *, quoting: bool) -> dict[str, Any]:
    quoted = what.reference
    if quoted is None:
        return {}
    where = {"type": 0, "message_id": quoted.id, "channel_id": quoted.place.id, **guild_id(quoted.place)}
    data: dict[str, Any] = {"message_reference": where}
    if quoting and what.kind in (MessageKind.REPLY, MessageKind.THREAD_STARTER_MESSAGE):
        data["referenced_message"] = None if quoted.is_deleted else message(quoted, me, quoting=False)
    return data


def _reaction(text: str, who: Sequence[User], me: User) -> dict[str, Any]:
    return {
        "emoji": emoji(text),
        "count": len(who),
        "count_details": {"burst": 0, "normal": len(who)},
        "burst_colors": [],
        "me_burst": False,
        "me": me in who,
    }


def message_event(what: Message, me: User) -> dict[str, Any]:
    """A message as the gateway tells of it: with its guild and the author's membership ("Gateway Events")."""
    data = {**message(what, me), **guild_id(what.place)}
    members = what.place.guild.members if what.place.guild is not None else {}
    if what.author.id in members and what.webhook_id is None:
        data["member"] = member(members[what.author.id], with_user=False)
    for each in data["mentions"]:
        if each["id"] in members:
            each["member"] = member(members[each["id"]], with_user=False)
    if what.place.guild is None:
        data["channel_type"] = int(what.place.kind)
    return data


def reaction_event(what: Message, who: User, text: str, *, on: bool) -> dict[str, Any]:
    """MESSAGE_REACTION_ADD or _REMOVE."""
    data: dict[str, Any] = {
        "user_id": who.id,
        "channel_id": what.place.id,
        "message_id": what.id,
        "emoji": emoji(text),
        "burst": False,
        "type": 0,
        **guild_id(what.place),
    }
    if on:
        data["message_author_id"] = what.author.id
        if what.place.guild is not None and who.id in what.place.guild.members:
            data["member"] = member(what.place.guild.members[who.id])
    return data
