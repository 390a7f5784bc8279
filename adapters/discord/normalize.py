"""From what Discord tells of messages to events of ours. Pure: nothing is asked but the library's cache."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import discord

from adapters.base import Event, RemoteFile, Said, Sender
from adapters.discord import ids
from adapters.discord.members import groups_of
from adapters.naming import file_name
from adapters.text import shown_name
from agent.protocol.messages import Route

SOMEBODY: Final = "somebody"
ANY_BYTES: Final = "application/octet-stream"
"""The media type of a file of which nobody says more."""
VOICE: Final = "voice message"
SPOKEN: Final = frozenset(
    {discord.MessageType.default, discord.MessageType.reply, discord.MessageType.chat_input_command}
)
"""Messages of people. The others are Discord's own words about what has happened."""

_MENTION: Final = re.compile(r"<(@!?|@&|#)(\d{1,20})>")
_EMOJI: Final = re.compile(r"<a?(:\w{2,32}:)\d{1,20}>")

Fetch = Callable[[str, Path, int], Awaitable[None]]
"""Fetches an address into a file, at most so many bytes."""
if TYPE_CHECKING:
    from discord.abc import MessageableChannel, PrivateChannel

    # The library has some of its names for type checkers alone.
    Where = MessageableChannel | PrivateChannel | discord.abc.GuildChannel | None


@dataclass(frozen=True)
class Place:
    """Where something was said. A message that `opens` a thread is answered in one that has its id; in a channel
    where that cannot be had it is answered in place."""

    route: Route
    opens: bool = False
    direct: bool = False


def place_of(channel: Where, message: int, *, threads: bool, group: bool = False) -> Place | None:
    """The place of a message; None for one in a channel that the bot does not know. `threads`: whether what is
    asked in a channel is to have a thread of its own; `group`: it is one for several people, outside of a server,
    which the library takes for one with a single person."""
    match channel:
        case discord.Thread():
            return Place(ids.route(channel.parent_id, channel.id))
        case discord.DMChannel() | discord.GroupChannel():
            alone = isinstance(channel, discord.DMChannel) and not group
            return Place(ids.route(channel.id), direct=alone)
        case discord.TextChannel() if threads and may_open(channel):
            return Place(ids.route(channel.id, message), opens=True)
        case None | discord.PartialMessageable():
            return None
        case _:
            return Place(ids.route(channel.id))


def may_open(channel: discord.TextChannel) -> bool:
    """Whether the bot may open a thread there, and write in it."""
    me: discord.Member | None = channel.guild.me
    if me is None:
        # Of a server that has an outage Discord has not told anything yet.
        return False
    granted = channel.permissions_for(me)
    return granted.create_public_threads and granted.send_messages_in_threads


def may_attach(channel: discord.abc.GuildChannel) -> bool:
    """Whether the bot may send files there, as far as is known."""
    me: discord.Member | None = channel.guild.me
    return me is None or channel.permissions_for(me).attach_files


def event(message: discord.Message, place: Place, me: discord.ClientUser, fetch: Fetch) -> Event | None:
    """The message as an event; None for one that nobody has said, or the bot itself."""
    if message.type not in SPOKEN or message.author.id == me.id:
        return None
    addressed = is_addressed(message, me)
    return Event(
        id=ids.event_id(message.channel.id, message.id),
        kind="message",
        route=place.route,
        sender=sender(message.author, webhook=message.webhook_id is not None),
        created_at=ids.made_at(message.id),
        text=text_of(message, me),
        direct=place.direct,
        opens=place.opens,
        mentions_bot=addressed,
        mentions_others=not addressed and any(user.id != me.id for user in message.mentions),
        reply_to=quote_of(message, me),
        remote=files_of(message, fetch),
    )


def said(message: discord.Message, me: discord.ClientUser) -> Said | None:
    """The same as something that was said before. Files are named and not fetched."""
    if message.type not in SPOKEN or message.author.id == me.id:
        return None
    names = [f"[file] {_file_name(each)}" for each in message.attachments]
    text = "\n".join(part for part in (text_of(message, me), *names) if part)
    return Said(sender(message.author, webhook=message.webhook_id is not None).name, text) if text else None


def edit(message: discord.Message, place: Place, me: discord.ClientUser) -> Event | None:
    """An edit of what somebody has said; None for a change that is none, such as the preview of a link."""
    at = message.edited_at
    if at is None or message.type not in SPOKEN or message.author.id == me.id:
        return None
    said = ids.event_id(message.channel.id, message.id)
    edited_at = int(at.timestamp() * 1000)
    return Event(
        id=f"{said}:edit:{edited_at}",
        kind="edit",
        route=place.route,
        sender=sender(message.author, webhook=message.webhook_id is not None),
        created_at=edited_at,
        text=text_of(message, me),
        direct=place.direct,
        about=said,
    )


def deletion(channel: int, message: int, now: int) -> Event:
    """Somebody, Discord does not say who, took a message away. Where it was answered is for its event to say."""
    said = ids.event_id(channel, message)
    return Event(
        id=f"{said}:delete",
        kind="delete",
        route=ids.route(channel),
        sender=Sender("", SOMEBODY),
        created_at=now,
        about=said,
    )


def sender(user: discord.abc.User, *, webhook: bool = False) -> Sender:
    """Who it was. What a webhook calls itself is up to whoever uses it."""
    return Sender(
        str(user.id),
        person_name(user.display_name),
        is_bot=user.bot or webhook,
        groups=() if webhook else groups_of(user),
    )


def person_name(name: str) -> str:
    """A name as it is told to an agent; there are some in which nothing can be seen."""
    return shown_name(name) or SOMEBODY


def is_addressed(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether it is said to the bot: by its name, by the role that Discord has made for it, or as a reply to it."""
    if any(user.id == me.id for user in message.mentions):
        return True
    if any(
        role.is_bot_managed() and role.tags and role.tags.bot_id == me.id for role in message.role_mentions
    ):
        return True
    replied = message.reference.resolved if message.reference is not None else None
    return isinstance(replied, discord.Message) and replied.author.id == me.id


def text_of(message: discord.Message, me: discord.ClientUser) -> str:
    """What was said, with names in the place of ids; a mention of the bot itself is left out."""
    parts = [_named(message.content, message, me)]
    for each in message.message_snapshots:
        parts.append("[forwarded] " + _EMOJI.sub(r"\1", each.content))
        parts += map(_card, each.embeds)
    if message.poll is not None:
        options = "; ".join(_option(answer) for answer in message.poll.answers)
        parts.append(f"[poll] {message.poll.question}: {options}")
    if message.author.bot or message.webhook_id is not None:
        parts += [_named(_card(each), message, me) for each in message.embeds]
    return "\n".join(part for part in parts if part)


def _card(embed: discord.Embed) -> str:
    """What a program has put on a card, which is often all that it says; the preview of a link is of another type.
    Discord's documentation, Embed Types."""
    if embed.type != "rich":
        return ""
    head = " ".join(each for each in (embed.title, embed.url) if each)
    fields = [f"{each.name}: {each.value}" for each in embed.fields]
    said = [embed.author.name, head, embed.description, *fields, embed.footer.text]
    text = "\n".join(each for each in said if each)
    return f"[card] {text}" if text else ""


def _option(answer: discord.PollAnswer) -> str:
    """Discord's documentation, Poll Media Object: the text may be missing some day, and then the emoji says it."""
    text: str | None = answer.text
    return text or (str(answer.emoji) if answer.emoji is not None else "?")


def _named(content: str, message: discord.Message, me: discord.ClientUser) -> str:
    users = {user.id: user.display_name for user in message.mentions}
    roles = {role.id: role for role in message.role_mentions}

    def name(found: re.Match[str]) -> str:
        kind, number = found[1], int(found[2])
        if kind == "#":
            channel = message.guild and message.guild.get_channel_or_thread(number)
            return (
                f"#{shown_name(channel.name)}" if channel and _sees(message.author, channel) else "#channel"
            )
        if kind == "@&":
            role = roles.get(number)
            if role is not None and role.tags is not None and role.tags.bot_id == me.id:
                return ""
            return f"@{shown_name(role.name)}" if role else "@role"
        return "" if number == me.id else f"@{person_name(users.get(number, ''))}"

    return _EMOJI.sub(r"\1", _MENTION.sub(name, content)).strip()


def _sees(author: discord.abc.User, channel: discord.abc.GuildChannel | discord.Thread) -> bool:
    """Whether somebody sees a channel, as far as is known: who named it is told no more by what the agent reads."""
    if isinstance(channel, discord.Thread):
        around = None if channel.is_private() else channel.parent
        return around is not None and _sees(author, around)
    return isinstance(author, discord.Member) and channel.permissions_for(author).view_channel


def quote_of(message: discord.Message, me: discord.ClientUser) -> tuple[str, str] | None:
    """Whom and what it replies to, where Discord has sent that along."""
    replied = message.reference.resolved if message.reference is not None else None
    if not isinstance(replied, discord.Message):
        return None
    return person_name(replied.author.display_name), text_of(replied, me)


def files_of(message: discord.Message, fetch: Fetch) -> Sequence[RemoteFile]:
    """What is attached, to be fetched when it is wanted; stickers are pictures as well."""

    def remote(name: str, media_type: str, size: int, url: str) -> RemoteFile:
        async def into(path: Path, limit: int) -> None:
            await fetch(url, path, limit)

        return RemoteFile(name, media_type, size, into)

    attached = [
        *message.attachments,
        *(file for forwarded in message.message_snapshots for file in forwarded.attachments),
    ]
    files = [
        remote(_file_name(each), each.content_type or ANY_BYTES, each.size, each.url) for each in attached
    ]
    for sticker in message.stickers:
        extension = sticker.format.file_extension
        media_type = "application/json" if extension == "json" else f"image/{extension}"
        files.append(remote(file_name(f"{sticker.name}.{extension}"), media_type, 0, sticker.url))
    return files


def _file_name(attached: discord.Attachment) -> str:
    name = file_name(attached.filename)
    return f"{VOICE} {name}" if attached.is_voice_message() else name
