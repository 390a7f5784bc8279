"""The world of the fake Discord: who and what there is, and what every change of it is told as.

`World` changes it and tells of that (discord_telling.py); what may be done is decided by who
calls it: the routes for the bot (discord_rest.py), Discord's client for people (discord_people.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.protocol.clock import Clock
from tests.fakes import discord_wire as wire
from tests.fakes.changes import News
from tests.fakes.discord_intents import Intent
from tests.fakes.discord_telling import Telling
from tests.fakes.discord_things import (
    Attachment,
    Guild,
    Member,
    Message,
    Overwrite,
    Place,
    Role,
    User,
)
from tests.fakes.discord_values import (
    EVERYONE,
    KINDS,
    NONCE_SECONDS,
    Flag,
    Kind,
    MessageKind,
)


class World(Telling):
    """Changes what there is."""

    def __init__(self, clock: Clock, news: News) -> None:
        super().__init__(clock, news)
        self._nonces: dict[tuple[str, str], Message] = {}

    # ---------------------------------------------------------------- users, guilds, roles, members

    def add_guild(self, name: str, *, large: bool, tier: int, bot_permissions: int) -> Guild:
        """A guild with the bot in it, by a role of the bot's own."""
        guild = Guild(self.ids.new_for_guild(), name, self, owner=self.owner, is_large=large, tier=tier)
        guild.roles[guild.id] = Role(guild.id, "@everyone", int(EVERYONE), position=0)
        self.guilds[guild.id] = guild
        own = Role(self.ids.new(), self.bot.name, bot_permissions, position=1, bot_id=self.bot.id)
        guild.roles[own.id] = own
        guild.members[self.owner.id] = Member(self.owner, guild, self.clock())
        guild.members[self.bot.id] = Member(self.bot, guild, self.clock(), roles=[own])
        created = self.guild_create(guild.id)
        assert created is not None
        self.tell("GUILD_CREATE", created, intent=int(Intent.GUILDS), guild=guild)
        return guild

    def add_role(self, guild: Guild, name: str, permissions: int, *, mentionable: bool) -> Role:
        """A role of a guild."""
        role = Role(self.ids.new(), name, permissions, position=len(guild.roles), is_mentionable=mentionable)
        guild.roles[role.id] = role
        data = {"guild_id": guild.id, "role": wire.role(role)}
        self.tell("GUILD_ROLE_CREATE", data, intent=int(Intent.GUILDS), guild=guild)
        return role

    def change_role(self, guild: Guild, role: Role, permissions: int) -> None:
        """A role allows something else."""
        role.permissions = permissions
        data = {"guild_id": guild.id, "role": wire.role(role)}
        self.tell("GUILD_ROLE_UPDATE", data, intent=int(Intent.GUILDS), guild=guild)

    def add_member(self, guild: Guild, user: User, roles: Iterable[Role]) -> Member:
        """Somebody joins a guild, or has other roles there from now on."""
        known = guild.members.get(user.id)
        joined_at = known.joined_at if known else self.clock()
        guild.members[user.id] = now = Member(user, guild, joined_at, roles=list(roles))
        event = "GUILD_MEMBER_UPDATE" if known else "GUILD_MEMBER_ADD"
        data = {**wire.member(now), "guild_id": guild.id}
        self.tell(event, data, intent=int(Intent.GUILD_MEMBERS), guild=guild)
        return now

    def remove_member(self, guild: Guild, user: User) -> None:
        """Somebody leaves a guild. The bot is told of its own removal as of a guild that is gone."""
        if user is self.bot:
            self.tell("GUILD_DELETE", {"id": guild.id}, intent=int(Intent.GUILDS), guild=guild)
            del guild.members[user.id]
            return
        del guild.members[user.id]
        data = {"guild_id": guild.id, "user": wire.user(user)}
        self.tell("GUILD_MEMBER_REMOVE", data, intent=int(Intent.GUILD_MEMBERS), guild=guild)

    # ---------------------------------------------------------------- places

    def add_channel(
        self, guild: Guild, name: str, kind: str, *, topic: str | None, overwrites: Sequence[Overwrite]
    ) -> Place:
        """A channel of a guild."""
        place = Place(self.ids.new(), self, KINDS[kind], name, guild=guild, topic=topic)
        place.position = len(guild.places)
        place.overwrites = {each.id: each for each in overwrites}
        guild.places[place.id] = self.places[place.id] = place
        self.tell("CHANNEL_CREATE", wire.place(place), intent=int(Intent.GUILDS), guild=guild)
        return place

    def private(self, recipients: Sequence[User], *, name: str | None = None, group: bool = False) -> Place:
        """The conversation of these people, the bot among them or not; the one there is, or a new one."""
        wanted = {user.id for user in recipients}
        for place in self.places.values():
            if place.kind is Kind.DM and not group and {user.id for user in place.recipients} == wanted:
                return place
        kind = Kind.GROUP_DM if group else Kind.DM
        place = Place(self.ids.new(), self, kind, name or "", recipients=list(recipients))
        self.places[place.id] = place
        self.changed()
        return place

    def remove_place(self, place: Place) -> None:
        """Deletes a channel with its threads, or a thread."""
        if place.guild is None:
            return
        for thread in [each for each in place.guild.places.values() if each.parent is place]:
            self.remove_place(thread)
        gone = wire.place_reference(place, self.bot)
        if place.is_thread:
            self.tell_place("THREAD_DELETE", place, gone, intent=Intent.GUILDS)
        else:
            self.tell("CHANNEL_DELETE", gone, intent=int(Intent.GUILDS), guild=place.guild)
        place.is_deleted = True
        del place.guild.places[place.id]
        del self.places[place.id]
        self.changed()

    def tell_update(self, place: Place) -> None:
        """A channel or a thread is no longer what it was."""
        now = wire.place(place, me=self.bot)
        if place.is_thread:
            self.tell_place("THREAD_UPDATE", place, now, intent=Intent.GUILDS)
        else:
            self.tell("CHANNEL_UPDATE", now, intent=int(Intent.GUILDS), guild=place.guild)

    def add_thread(
        self,
        parent: Place,
        name: str,
        owner: User,
        *,
        message: Message | None = None,
        kind: Kind | None = None,
        minutes: int = 1440,
        tags: Sequence[str] = (),
    ) -> Place:
        """A thread from a message, whose id it has, or one without."""
        if kind is None:
            announced = parent.kind is Kind.ANNOUNCEMENT
            kind = Kind.ANNOUNCEMENT_THREAD if announced else Kind.PUBLIC_THREAD
        thread = Place(
            message.id if message else self.ids.new(),
            self,
            kind,
            name,
            guild=parent.guild,
            parent=parent,
            owner=owner,
            created_at=self.clock(),
            archive_minutes=minutes,
            tags=list(tags),
        )
        thread.joined[owner.id] = self.clock()
        assert parent.guild is not None
        parent.guild.places[thread.id] = self.places[thread.id] = thread
        data = {**wire.place(thread, me=self.bot), "newly_created": True}
        self.tell_place("THREAD_CREATE", thread, data, intent=Intent.GUILDS)
        if message is not None:
            message.thread = thread
            message.flags |= Flag.HAS_THREAD
            self.tell_message("MESSAGE_UPDATE", message)
            self.remark(thread, MessageKind.THREAD_STARTER_MESSAGE, message.author, about=message)
        elif parent.kind is not Kind.FORUM and kind is not Kind.PRIVATE_THREAD:
            self.remark(parent, MessageKind.THREAD_CREATED, owner, text=name)
        return thread

    def add_post(
        self, forum: Place, title: str, first: Message, *, minutes: int = 1440, tags: Sequence[str] = ()
    ) -> Place:
        """A post of a forum: a thread with the id of its first message."""
        thread = self.add_thread(forum, title, first.author, minutes=minutes, tags=tags)
        first.place, first.id = thread, thread.id
        self.post(first)
        return thread

    def join_thread(self, thread: Place, user: User) -> None:
        """Somebody is a member of a thread from now on."""
        if user.id in thread.joined:
            return
        thread.joined[user.id] = self.clock()
        self._tell_thread_members(thread, added=[wire.thread_member(thread, user.id)])

    def leave_thread(self, thread: Place, user: User) -> None:
        """Somebody is no longer a member of a thread."""
        if thread.joined.pop(user.id, None) is not None:
            self._tell_thread_members(thread, removed=[user.id])

    def _tell_thread_members(
        self, thread: Place, *, added: Sequence[Mapping[str, Any]] = (), removed: Sequence[str] = ()
    ) -> None:
        assert thread.guild is not None
        data: dict[str, Any] = {
            "id": thread.id,
            "guild_id": thread.guild.id,
            "member_count": len(thread.joined),
        }
        if added:
            data["added_members"] = list(added)
        if removed:
            data["removed_member_ids"] = list(removed)
        self.tell_place("THREAD_MEMBERS_UPDATE", thread, data, intent=Intent.GUILDS)

    # ---------------------------------------------------------------- messages

    def post(self, message: Message) -> Message:
        """A message is there: an archived thread wakes up, whoever typed has ended, the gateway is told."""
        place = message.place
        if place.is_thread:
            if place.is_archived:
                self.archive(place, False)
            self.join_thread(place, message.author)
        place.history.append(message)
        place.sent += 1
        if message.author is self.bot:
            place.typed_until = 0
        if message.nonce is not None:
            self._nonces[message.author.id, message.nonce] = message
        self.tell_message("MESSAGE_CREATE", message)
        return message

    def draft(self, place: Place, author: User, text: str = "") -> Message:
        """A message that is not there yet."""
        now = self.clock()
        return Message(self.ids.new(), place, author, text, now, edits=[(now, text)])

    def remark(
        self, place: Place, kind: MessageKind, author: User, *, text: str = "", about: Message | None = None
    ) -> None:
        """The platform itself says something in a place."""
        message = self.draft(place, author, text)
        message.kind = kind
        message.reference = about
        self.post(message)

    def same_nonce(self, author: User, nonce: str) -> Message | None:
        """What this author has sent with this nonce in the last few minutes."""
        message = self._nonces.get((author.id, nonce))
        if message is None or self.clock() - message.created_at > NONCE_SECONDS * 1000:
            return None
        return message

    def rewrite(self, message: Message, text: str) -> None:
        """Another text stands there now; the gateway is told by `edited`."""
        message.content = text
        message.edits.append((self.clock(), text))

    def edited(self, message: Message) -> None:
        """A message was edited."""
        message.edited_at = self.clock()
        self.tell_message("MESSAGE_UPDATE", message)

    def remove(self, message: Message) -> None:
        """Deletes a message; its handle remembers what it was."""
        message.is_deleted = True
        message.deleted_at = self.clock()
        if message.is_ephemeral:
            self.changed()
            return
        data = {"id": message.id, "channel_id": message.place.id, **wire.guild_id(message.place)}
        self.tell_place(
            "MESSAGE_DELETE",
            message.place,
            data,
            intent=Intent.GUILD_MESSAGES,
            direct=Intent.DIRECT_MESSAGES,
        )

    def react(self, message: Message, user: User, emoji: str, *, on: bool) -> None:
        """Puts a reaction on a message, or takes it away."""
        who = message.reactions.setdefault(emoji, [])
        if (user in who) is on:
            return
        if on:
            who.append(user)
        else:
            who.remove(user)
        if not who:
            del message.reactions[emoji]
        self.tell_place(
            "MESSAGE_REACTION_ADD" if on else "MESSAGE_REACTION_REMOVE",
            message.place,
            wire.reaction_event(message, user, emoji, on=on),
            intent=Intent.GUILD_MESSAGE_REACTIONS,
            direct=Intent.DIRECT_MESSAGE_REACTIONS,
        )

    def store(self, place: Place, name: str, data: bytes, media_type: str | None) -> Attachment:
        """Keeps a file where the CDN serves it."""
        file = Attachment(self.ids.new(), name, data, media_type, place.id, self.cdn_url)
        self.files[file.path] = file
        return file

    def archive(self, thread: Place, archived: bool, *, locked: bool | None = None) -> None:
        """Archives a thread, or opens it again."""
        thread.is_archived = archived
        thread.is_locked = thread.is_locked if locked is None else locked
        thread.archived_at = self.clock()
        self.tell_update(thread)

    def type_in(self, place: Place, user: User) -> None:
        """Somebody types."""
        now = self.clock()
        if user is self.bot:
            place.typed.append(now)
            place.typed_until = now + 10_000
        data: dict[str, Any] = {"channel_id": place.id, "user_id": user.id, "timestamp": now // 1000}
        if place.guild is not None:
            data |= {"guild_id": place.guild.id, "member": wire.member(place.guild.members[user.id])}
        self.tell_place(
            "TYPING_START",
            place,
            data,
            intent=Intent.GUILD_MESSAGE_TYPING,
            direct=Intent.DIRECT_MESSAGE_TYPING,
        )
