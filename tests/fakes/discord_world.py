"""The world of the fake Discord: who and what there is, and what every change of it is told as.

`World` changes it, and tells the gateway (`tell`) and whoever waits (`changed`); what may be done is decided by who
calls it: the routes for the bot (discord_rest.py), Discord's client for people (discord_people.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from agent.protocol.clock import Clock
from tests.fakes import discord_wire as wire
from tests.fakes.discord_intents import PRIVILEGED, Intent
from tests.fakes.discord_news import News
from tests.fakes.discord_things import (
    Attachment,
    Guild,
    Member,
    Message,
    Overwrite,
    Pings,
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
    Snowflakes,
)

MADE_UP_TOKEN: Final = "made-up.bot-token.for-tests"  # noqa: S105 - it opens nothing

UNRESTRICTED: Final = {"parse": ["users", "roles", "everyone"], "replied_user": True}
"""Whom a message without `allowed_mentions` reaches."""


class Tell(Protocol):
    """Hands an event to the gateway."""

    def __call__(
        self, event: str, data: Mapping[str, Any], *, intent: int | None, guild_id: str | None = None
    ) -> None: ...


class World:
    """Everything there is, by id. It is the `GatewayWorld` that the gateway asks."""

    def __init__(self, clock: Clock, news: News) -> None:
        self.clock = clock
        self.news = news
        self.changed = news.tell
        self.ids = Snowflakes(clock)
        self.token = MADE_UP_TOKEN
        self.switched_on = int(PRIVILEGED)
        self.cdn_url = ""
        self.application_id = self.ids.new()
        self.users: dict[str, User] = {}
        self.guilds: dict[str, Guild] = {}
        self.places: dict[str, Place] = {}
        self.files: dict[str, Attachment] = {}
        """What was uploaded, by its path on the CDN."""
        self._nonces: dict[tuple[str, str], Message] = {}
        self._gateway: Tell | None = None
        self.bot = self.add_user(User(self.application_id, "roost", bot=True))
        self.owner = self.add_user(User(self.ids.new(), "the-owner"))

    def connect(self, gateway: Tell) -> None:
        """Events go there from now on."""
        self._gateway = gateway

    # ---------------------------------------------------------------- what the gateway asks

    def bot_user(self) -> Mapping[str, Any]:
        """The bot, as READY has it."""
        return wire.own_user(self.bot)

    def partial_application(self) -> Mapping[str, Any]:
        """The application, as READY has it."""
        return {"id": self.application_id, "flags": self.application_flags()}

    def application_flags(self) -> int:
        """Which privileged intents are on: the "limited" bits of a bot in fewer than 100 guilds."""
        bits = {
            Intent.GUILD_PRESENCES: 1 << 13,
            Intent.GUILD_MEMBERS: 1 << 15,
            Intent.MESSAGE_CONTENT: 1 << 19,
        }
        return sum(bit for intent, bit in bits.items() if self.switched_on & intent)

    def guild_ids(self) -> Sequence[str]:
        """The guilds that the bot is in."""
        return [guild.id for guild in self.guilds.values() if self.bot.id in guild.members]

    def guild_create(self, guild_id: str) -> Mapping[str, Any] | None:
        """All of a guild that a bot is told."""
        guild = self.guilds[guild_id]
        if guild.is_unavailable:
            return None
        # A bot is told of every channel, also of those that it cannot look into; of threads only where it can.
        seen = [place for place in guild.places.values() if not place.is_thread or place.seen_by(self.bot)]
        return wire.guild_create(guild, seen, self.bot)

    def guild_members(self, guild_id: str) -> Sequence[Mapping[str, Any]]:
        """Who is in a guild."""
        return [wire.member(each) for each in self.guilds[guild_id].members.values()]

    # ---------------------------------------------------------------- telling

    def tell(
        self, event: str, data: Mapping[str, Any], *, intent: int | None, guild: Guild | None = None
    ) -> None:
        """Tells the gateway, and whoever waits."""
        unseen = guild is not None and (guild.is_unavailable or self.bot.id not in guild.members)
        if self._gateway is not None and not unseen:
            self._gateway(event, data, intent=intent, guild_id=guild.id if guild else None)
        self.changed()

    def tell_place(
        self,
        event: str,
        place: Place,
        data: Mapping[str, Any],
        *,
        intent: Intent,
        direct: Intent | None = None,
    ) -> None:
        """Tells of something in a place, where the bot sees it; in a private one by the intent for `direct` ones."""
        bit = direct if place.guild is None else intent
        if bit is not None and place.seen_by(self.bot):
            self.tell(event, data, intent=int(bit), guild=place.guild)
        self.changed()

    def tell_message(self, event: str, message: Message) -> None:
        """MESSAGE_CREATE or MESSAGE_UPDATE; nobody is told of what only one person sees."""
        if message.is_ephemeral:
            self.changed()
            return
        data = wire.message_event(message, self.bot)
        self.tell_place(
            event, message.place, data, intent=Intent.GUILD_MESSAGES, direct=Intent.DIRECT_MESSAGES
        )

    # ---------------------------------------------------------------- users, guilds, roles, members

    def add_user(self, user: User) -> User:
        """Somebody is on Discord."""
        self.users[user.id] = user
        return user

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
