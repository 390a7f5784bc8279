"""What there is in the fake Discord: users, guilds, roles, members, places, messages, files.

A test holds these as handles. What is written here changes nothing by itself but through `World`, which tells of it.
Times are epoch milliseconds of the world's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.discord_intents import Intent
from tests.fakes.discord_values import (
    ALL_PERMISSIONS,
    EPOCH_MS,
    EVERYONE,
    THREADS,
    UPLOAD_BYTES,
    WRITTEN,
    Flag,
    Kind,
    MessageKind,
    Permission,
)

if TYPE_CHECKING:
    from tests.fakes.discord_world import World


@dataclass(eq=False)
class User:
    """Somebody with an account, a bot as well. Who does not take direct messages has `takes_dms` false."""

    id: str
    name: str
    bot: bool = False
    takes_dms: bool = True

    @property
    def mention(self) -> str:
        """What names this user in a text."""
        return f"<@{self.id}>"

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(eq=False)
class Role:
    """A role of a guild; that of everybody has the guild's id. `bot_id` says whose own role it is."""

    id: str
    name: str
    permissions: int
    position: int
    is_mentionable: bool = False
    bot_id: str | None = None


@dataclass(eq=False)
class Member:
    """A user in a guild."""

    user: User
    guild: Guild = field(repr=False)
    joined_at: int
    roles: list[Role] = field(default_factory=list)
    nick: str | None = None

    @property
    def permissions(self) -> int:
        """What this member may do, before a channel says otherwise ("Permissions", Permission Overwrites)."""
        if self.user is self.guild.owner:
            return ALL_PERMISSIONS
        allowed = self.guild.roles[self.guild.id].permissions
        for role in self.roles:
            allowed |= role.permissions
        return ALL_PERMISSIONS if allowed & Permission.ADMINISTRATOR else allowed


@dataclass(frozen=True)
class Overwrite:
    """What a channel allows or denies a role or a member beside what they may anyway."""

    id: str
    is_member: bool
    allow: int = 0
    deny: int = 0


@dataclass(frozen=True)
class Pings:
    """Who was really notified by a message."""

    users: tuple[User, ...] = ()
    roles: tuple[str, ...] = ()
    everyone: bool = False


@dataclass(frozen=True)
class Attachment:
    """A file that was uploaded. `promised` is the size that is told of it, where that is not the real one."""

    id: str
    name: str
    data: bytes = field(repr=False)
    media_type: str | None
    place_id: str
    cdn_url: str
    description: str | None = None
    promised: int | None = None
    is_voice: bool = False

    @property
    def path(self) -> str:
        """Where the CDN has it."""
        return f"/attachments/{self.place_id}/{self.id}/{self.name}"

    @property
    def url(self) -> str:
        """The signed address that a message has of it."""
        return f"{self.cdn_url}{self.path}?ex=7fffffff&is=60000000&hm={'ab' * 32}&"


@dataclass(eq=False)
class Message:
    """A message, with all that became of it. `edits` has every text that stood here with its time, the first one as
    well; `pings` who was notified; `is_deleted` stays false for as long as it can be read."""

    id: str
    place: Place = field(repr=False)
    author: User
    content: str
    created_at: int
    kind: MessageKind = MessageKind.DEFAULT
    edits: list[tuple[int, str]] = field(default_factory=list)
    edited_at: int | None = None
    reference: Message | None = field(default=None, repr=False)
    attachments: list[Attachment] = field(default_factory=list)
    embeds: list[Mapping[str, Any]] = field(default_factory=list)
    components: list[Mapping[str, Any]] = field(default_factory=list)
    stickers: list[Mapping[str, Any]] = field(default_factory=list)
    flags: int = 0
    reactions: dict[str, list[User]] = field(default_factory=dict)
    nonce: str | None = None
    pings: Pings = Pings()
    names: tuple[User, ...] = ()
    """Whom the `mentions` of the message list."""
    thread: Place | None = field(default=None, repr=False)
    webhook_id: str | None = None
    seen_only_by: User | None = None
    asked_by: Mapping[str, Any] | None = None
    """The interaction that this is the answer to (`interaction_metadata`)."""
    is_deleted: bool = False
    deleted_at: int | None = None

    @property
    def is_ephemeral(self) -> bool:
        """Only one person sees it."""
        return bool(self.flags & Flag.EPHEMERAL)

    @property
    def is_loading(self) -> bool:
        """An answer that is still thought about."""
        return bool(self.flags & Flag.LOADING)

    @property
    def text(self) -> str:
        """What stands there now."""
        return self.content


@dataclass(eq=False)
class Place:
    """A channel, a thread or a private conversation."""

    id: str
    world: World = field(repr=False)
    kind: Kind
    name: str
    guild: Guild | None = field(default=None, repr=False)
    parent: Place | None = field(default=None, repr=False)
    topic: str | None = None
    position: int = 0
    overwrites: dict[str, Overwrite] = field(default_factory=dict)
    recipients: list[User] = field(default_factory=list)
    owner: User | None = None
    created_at: int = 0
    archived_at: int = 0
    archive_minutes: int = 1440
    is_archived: bool = False
    is_locked: bool = False
    is_deleted: bool = False
    tags: list[str] = field(default_factory=list)
    joined: dict[str, int] = field(default_factory=dict)
    """Who is a member of the thread, and since when."""
    history: list[Message] = field(default_factory=list, repr=False)
    """Every message that there ever was, the platform's own remarks and those that only one person sees as well."""
    sent: int = 0
    typed: list[int] = field(default_factory=list)
    """When the bot has said that it types."""
    typed_until: int = 0

    @property
    def messages(self) -> list[Message]:
        """What people and bots have written and everybody sees, in its order; what was deleted is among it."""
        return [each for each in self.history if each.kind in WRITTEN and not each.is_ephemeral]

    @property
    def texts(self) -> list[str]:
        """What can be read here now."""
        return [each.content for each in self.messages if not each.is_deleted]

    @property
    def typing(self) -> bool:
        """People see that the bot types."""
        return self.world.clock() < self.typed_until

    @property
    def threads(self) -> list[Place]:
        """The threads in this channel."""
        return [each for each in self.world.places.values() if each.parent is self]

    @property
    def is_thread(self) -> bool:
        """It is a thread, a post of a forum as well."""
        return self.kind in THREADS

    @property
    def upload_bytes(self) -> int:
        """The largest file."""
        return UPLOAD_BYTES[self.guild.tier if self.guild is not None else 0]

    def find(self, message_id: str) -> Message | None:
        """A message that is there, and that everybody sees."""
        for message in reversed(self.history):
            if message.id == message_id and not message.is_deleted and not message.is_ephemeral:
                return message
        return None

    def permissions(self, user: User) -> int:
        """What somebody may do here: the guild's roles, then the channel's overwrites for everybody, for their roles,
        for themselves ("Permissions", Permission Overwrites). A thread has those of its channel."""
        if self.guild is None:
            return int(EVERYONE) if user in self.recipients else 0
        member = self.guild.members.get(user.id)
        if member is None:
            return 0
        if self.parent is not None:
            return self.parent.permissions(user)
        allowed = member.permissions
        if allowed == ALL_PERMISSIONS:
            return allowed
        allowed = _overwritten(allowed, [self.overwrites.get(self.guild.id)])
        allowed = _overwritten(allowed, [self.overwrites.get(role.id) for role in member.roles])
        allowed = _overwritten(allowed, [self.overwrites.get(user.id)])
        return allowed if allowed & Permission.VIEW_CHANNEL else 0

    def allows(self, user: User, permission: Permission) -> bool:
        """Somebody may do this here."""
        return self.permissions(user) & permission == permission

    def seen_by(self, user: User) -> bool:
        """Somebody sees that this is here, and what is said in it."""
        if self.guild is None:
            return user in self.recipients
        if self.kind is Kind.PRIVATE_THREAD and user.id not in self.joined:
            return self.allows(user, Permission.MANAGE_THREADS)
        return self.allows(user, Permission.VIEW_CHANNEL)

    def role_can_be_pinged(self, role_id: str, author: User) -> bool:
        """A mention of this role reaches who has it."""
        role = self.guild.roles.get(role_id) if self.guild is not None else None
        return role is not None and (role.is_mentionable or self.everyone_can_be_pinged(author))

    def everyone_can_be_pinged(self, author: User) -> bool:
        """A mention of everybody by this author reaches anybody."""
        return self.guild is not None and self.allows(author, Permission.MENTION_EVERYONE)

    # ---------------------------------------------------------------- what a test changes

    def allow(self, who: User | Role, permissions: Permission) -> None:
        """Allows somebody, or a role, what they may not do elsewhere."""
        self._overwrite(who, allow=int(permissions))

    def deny(self, who: User | Role, permissions: Permission) -> None:
        """Denies somebody, or a role, what they may do elsewhere."""
        self._overwrite(who, deny=int(permissions))

    def _overwrite(self, who: User | Role, *, allow: int = 0, deny: int = 0) -> None:
        old = self.overwrites.get(who.id) or Overwrite(who.id, isinstance(who, User))
        new = Overwrite(who.id, old.is_member, old.allow & ~deny | allow, old.deny & ~allow | deny)
        self.overwrites[who.id] = new
        self.world.tell_update(self)

    def rename(self, name: str) -> None:
        """Gives it another name."""
        self.name = name
        self.world.tell_update(self)

    def archive(self, *, locked: bool = False) -> None:
        """Archives the thread."""
        self.world.archive(self, True, locked=locked)

    def delete(self) -> None:
        """Deletes the channel with its threads, or the thread."""
        self.world.remove_place(self)


@dataclass(eq=False)
class Guild:
    """A guild, which people call a server."""

    id: str
    name: str
    world: World = field(repr=False)
    owner: User
    is_large: bool = False
    tier: int = 0
    roles: dict[str, Role] = field(default_factory=dict, repr=False)
    members: dict[str, Member] = field(default_factory=dict, repr=False)
    places: dict[str, Place] = field(default_factory=dict, repr=False)
    webhooks: dict[str, Webhook] = field(default_factory=dict, repr=False)
    is_unavailable: bool = False

    @property
    def everyone(self) -> Role:
        """The role that everybody has."""
        return self.roles[self.id]

    @property
    def created_at(self) -> int:
        """Since when there is this guild."""
        return (int(self.id) >> 22) + EPOCH_MS

    def channel(
        self, name: str, kind: str = "text", *, topic: str | None = None, overwrites: Sequence[Overwrite] = ()
    ) -> Place:
        """Makes a channel: text, announcement, forum, voice or category."""
        return self.world.add_channel(self, name, kind, topic=topic, overwrites=overwrites)

    def role(self, name: str, permissions: int = 0, *, mentionable: bool = False) -> Role:
        """Makes a role."""
        return self.world.add_role(self, name, int(permissions), mentionable=mentionable)

    def permit(self, role: Role, permissions: int) -> None:
        """Has a role allow these, and no others, from now on."""
        self.world.change_role(self, role, int(permissions))

    def join(self, user: User, roles: Sequence[Role] = ()) -> Member:
        """Somebody comes in, or has other roles from now on. The bot keeps the role of its own."""
        own = [each for each in self.roles.values() if each.bot_id == user.id]
        return self.world.add_member(self, user, [*own, *roles])

    def leave(self, user: User) -> None:
        """Somebody goes, or is removed. For the bot the guild is gone."""
        self.world.remove_member(self, user)

    def webhook(self, name: str, place: Place) -> Webhook:
        """Makes a webhook that posts in a place."""
        webhook = Webhook(self.world.ids.new(), name, place)
        self.webhooks[webhook.id] = webhook
        return webhook

    def unavailable(self) -> None:
        """The guild has an outage."""
        self.world.tell(
            "GUILD_DELETE", {"id": self.id, "unavailable": True}, intent=int(Intent.GUILDS), guild=self
        )
        self.is_unavailable = True

    def available(self) -> None:
        """The outage is over."""
        self.is_unavailable = False
        created = self.world.guild_create(self.id)
        assert created is not None
        self.world.tell("GUILD_CREATE", created, intent=int(Intent.GUILDS), guild=self)


@dataclass(eq=False)
class Webhook:
    """Something outside that posts in a place."""

    id: str
    name: str
    place: Place = field(repr=False)

    def say(self, text: str) -> Message:
        """Posts a text."""
        world = self.place.world
        message = world.draft(self.place, User(self.id, self.name, bot=True), text)
        message.webhook_id = self.id
        return world.post(message)


def _overwritten(allowed: int, overwrites: Sequence[Overwrite | None]) -> int:
    """Denials first, then what is allowed."""
    for each in overwrites:
        allowed &= ~each.deny if each is not None else ALL_PERMISSIONS
    for each in overwrites:
        allowed |= each.allow if each is not None else 0
    return allowed
