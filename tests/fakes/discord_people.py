"""What people do in the fake Discord, by the client that they have: at once, and told to the bot by the gateway.

What Discord's client would not let them do raises CannotDo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.fakes import discord_asking as asking
from tests.fakes.discord_asking import CannotDo
from tests.fakes.discord_commands import Commands
from tests.fakes.discord_interactions import Asked, Interaction, Interactions
from tests.fakes.discord_pings import pings
from tests.fakes.discord_things import Attachment, Message, Place, Role, User
from tests.fakes.discord_values import Flag, Kind, MessageKind, Permission

if TYPE_CHECKING:
    from tests.fakes.discord_world import World

__all__ = ["CannotDo", "File", "Person"]

File = tuple[str, bytes, str | None]
"""A file's name, its bytes and its media type."""


@dataclass(eq=False, repr=False)
class Person(User):
    """Somebody who uses Discord."""

    world: World = field(kw_only=True)
    commands: Commands = field(kw_only=True)
    interactions: Interactions = field(kw_only=True)
    place: Place | None = field(default=None, init=False)
    """Where they were last: commands are given there."""

    def say(
        self,
        place: Place,
        text: str = "",
        *,
        files: Sequence[File] = (),
        reply_to: Message | None = None,
        mention: Sequence[User | Role] = (),
        sticker: str | None = None,
        voice: bytes | None = None,
        promised: int | None = None,
        quietly: bool = False,
        embeds: Sequence[dict[str, Any]] = (),
    ) -> Message:
        """Says something. Mentions are put before the text; a `voice` message is an audio file alone. Of a file the
        size that is told can be `promised`. A message that is sent `quietly` notifies nobody."""
        self._needs(
            place, Permission.SEND_MESSAGES_IN_THREADS if place.is_thread else Permission.SEND_MESSAGES
        )
        if place.is_locked:
            raise CannotDo(f"{place.name} is locked")
        named = " ".join(each.mention if isinstance(each, User) else f"<@&{each.id}>" for each in mention)
        message = self.world.draft(place, self, f"{named} {text}".strip() if named else text)
        message.attachments = [self._upload(place, each, promised) for each in files]
        if voice is not None:
            file = self.world.store(place, "voice-message.ogg", voice, "audio/ogg")
            message.attachments.append(replace(file, is_voice=True))
            message.flags |= Flag.IS_VOICE_MESSAGE
        if sticker is not None:
            message.stickers = [{"id": self.world.ids.new(), "name": sticker, "format_type": 1}]
        message.flags |= Flag.SUPPRESS_NOTIFICATIONS if quietly else 0
        message.embeds = list(embeds)
        if reply_to is not None:
            message.reference, message.kind = reply_to, MessageKind.REPLY
        message.pings = pings(place, self, message.content, None, reply_to)
        message.names = message.pings.users
        return self.world.post(message)

    def edit(self, message: Message, text: str) -> None:
        """Puts another text in place of one of their own messages."""
        self._owns(message)
        self.world.rewrite(message, text)
        message.names = pings(message.place, self, text, None, message.reference).users
        self.world.edited(message)

    def delete(self, message: Message) -> None:
        """Takes a message away."""
        if message.author is not self and not message.is_ephemeral:
            self._needs(message.place, Permission.MANAGE_MESSAGES)
        self.world.remove(message)

    def react(self, message: Message, emoji: str) -> None:
        """Puts a reaction on a message: an emoji, or name:id of a guild's own."""
        self._needs(message.place, Permission.VIEW_CHANNEL)
        self.world.react(message, self, emoji, on=True)

    def unreact(self, message: Message, emoji: str) -> None:
        """Takes their reaction away."""
        self.world.react(message, self, emoji, on=False)

    def type(self, place: Place) -> None:
        """Types in a place, and says nothing yet."""
        self._needs(place, Permission.VIEW_CHANNEL)
        self.world.type_in(place, self)

    def thread(self, channel: Place, name: str, message: Message | None = None) -> Place:
        """Opens a thread, from a message or without one."""
        self._needs(channel, Permission.CREATE_PUBLIC_THREADS)
        if channel.kind not in (Kind.TEXT, Kind.ANNOUNCEMENT):
            raise CannotDo("There are no threads in a channel of this kind.")
        if message is not None and message.thread is not None:
            raise CannotDo("That message has a thread already.")
        return self.world.add_thread(channel, name, self, message=message)

    def post(self, forum: Place, title: str, text: str, *, files: Sequence[File] = ()) -> Place:
        """Opens a post in a forum."""
        self._needs(forum, Permission.SEND_MESSAGES)
        if forum.kind is not Kind.FORUM:
            raise CannotDo("this is no forum")
        message = self.world.draft(forum, self, text)
        message.attachments = [self._upload(forum, each, None) for each in files]
        message.pings = pings(forum, self, text, None, None)
        message.names = message.pings.users
        return self.world.add_post(forum, title, message)

    def sees(self, place: Place) -> list[Message]:
        """What they read in a place, with what only they see."""
        if not place.seen_by(self):
            return []
        return [
            each
            for each in place.history
            if not each.is_deleted and (not each.is_ephemeral or each.seen_only_by is self)
        ]

    # ---------------------------------------------------------------- commands, buttons, forms

    def command(self, name: str, place: Place | None = None, /, **options: Any) -> Interaction:
        """Gives a slash command, by its full name or as much of its end as names only one: "roost session show", or
        "session show". It is given where they were last, unless a place is named. An option is a text, a number, a
        truth, a user, a role or a channel."""
        place = self._here(place)
        data = asking.given(asking.find(self.commands, name, self, place), place, options)
        return self.interactions.begin(Asked.COMMAND, self, place, data)

    def complete(self, name: str, place: Place | None = None, /, **options: Any) -> Interaction:
        """Types a slash command as far as these options, and waits for suggestions for the last of them."""
        place = self._here(place)
        data = asking.completed(asking.find(self.commands, name, self, place), options)
        return self.interactions.begin(Asked.COMPLETE, self, place, data)

    def menu(self, name: str, target: Message | User, place: Place | None = None) -> Interaction:
        """Chooses an entry in the menu of a message, or of a user."""
        place = target.place if isinstance(target, Message) else self._here(place)
        data = asking.menu(self.commands, name, self, target, place)
        return self.interactions.begin(Asked.COMMAND, self, place, data)

    def click(self, message: Message, label_or_custom_id: str) -> Interaction:
        """Clicks a button."""
        self._reads(message)
        data = asking.clicked(message, label_or_custom_id)
        return self.interactions.begin(Asked.COMPONENT, self, message.place, data, message=message)

    def choose(self, message: Message, *values: str, custom_id: str | None = None) -> Interaction:
        """Chooses in a select, by values or labels."""
        self._reads(message)
        data = asking.chosen(message, values, custom_id)
        return self.interactions.begin(Asked.COMPONENT, self, message.place, data, message=message)

    def submit(self, interaction: Interaction, values: Mapping[str, str]) -> Interaction:
        """Fills in the form that an interaction was answered with: texts by custom id or label."""
        data = asking.submitted(interaction, values)
        return self.interactions.begin(
            Asked.MODAL, self, interaction.place, data, message=interaction.message
        )

    def _here(self, place: Place | None) -> Place:
        place = place or self.place
        if place is None:
            there = (each for each in self.world.places.values() if each.seen_by(self))
            place = next((each for each in there if each.kind is Kind.TEXT), None)
        if place is None:
            raise CannotDo(f"{self.name} is nowhere yet")
        return place

    def _reads(self, message: Message) -> None:
        if message not in self.sees(message.place):
            raise CannotDo(f"{self.name} does not see that message")

    # ---------------------------------------------------------------- parts

    def _upload(self, place: Place, file: File, promised: int | None) -> Attachment:
        stored = self.world.store(place, *file)
        if promised is None:
            return stored
        lying = replace(stored, promised=promised)
        self.world.files[stored.path] = lying
        return lying

    def _owns(self, message: Message) -> None:
        if message.author is not self:
            raise CannotDo("only the author can edit a message")

    def _needs(self, place: Place, permission: Permission) -> None:
        if place.is_deleted or not place.seen_by(self) or not place.allows(self, permission):
            raise CannotDo(f"{self.name} may not do that in {place.name or 'this conversation'}")
