"""Interactions: what a person does with a command, a button or a form, and what they see of the bot's answer.

The rules are those of "Receiving and Responding to Interactions": an answer within three seconds, one only, and what
follows it within fifteen minutes, by a token that needs no other.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from tests.fakes import discord_wire as wire
from tests.fakes.discord_things import Message, Place, User
from tests.fakes.discord_values import Kind

if TYPE_CHECKING:
    from tests.fakes.discord_world import World

DEADLINE_MS: Final = 3_000
TOKEN_MS: Final = 15 * 60 * 1000


class Asked(IntEnum):
    """What a person has done ("Interaction Type")."""

    COMMAND = 2
    COMPONENT = 3
    COMPLETE = 4
    MODAL = 5


class Callback(IntEnum):
    """How it was answered ("Interaction Callback Type")."""

    MESSAGE = 4
    THINKING = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    CHOICES = 8
    MODAL = 9


@dataclass(frozen=True)
class Shown:
    """What a person sees of an answer: a message (perhaps they alone), suggestions, or a form."""

    text: str = ""
    ephemeral: bool = False
    components: Sequence[Mapping[str, Any]] = ()
    embeds: Sequence[Mapping[str, Any]] = ()
    choices: Sequence[Mapping[str, Any]] = ()
    modal: Mapping[str, Any] | None = None
    message: Message | None = None


@dataclass(eq=False)
class Interaction:
    """One interaction. `original` is the message that answered it, or the one that was clicked where that was
    updated; `followups` are what was said afterwards. Times are epoch milliseconds."""

    id: str
    token: str
    kind: Asked
    user: User
    place: Place
    data: Mapping[str, Any]
    created_at: int
    world: World = field(repr=False)
    message: Message | None = None
    callback: Callback | None = None
    answered_at: int | None = None
    original: Message | None = None
    followups: list[Message] = field(default_factory=list)
    choices: Sequence[Mapping[str, Any]] = ()
    modal: Mapping[str, Any] | None = None
    was_touched: bool = False
    """The original was edited after the answer."""

    @property
    def is_late(self) -> bool:
        """Nobody has answered in time: the person was told that the application did not respond."""
        return self.world.clock() - self.created_at > DEADLINE_MS

    @property
    def is_over(self) -> bool:
        """Its token opens nothing any more."""
        return self.world.clock() - self.created_at > TOKEN_MS

    @property
    def is_thinking(self) -> bool:
        """The person sees that the bot thinks."""
        return self.callback is Callback.THINKING and self.original is not None and self.original.is_loading

    def shown(self) -> Shown | None:
        """What the person sees now; None while that is nothing, or that the bot thinks."""
        if self.callback is None or self.is_thinking:
            return None
        if self.callback is Callback.CHOICES:
            return Shown(choices=self.choices)
        if self.callback is Callback.MODAL:
            return Shown(modal=self.modal)
        if self.callback is Callback.DEFERRED_UPDATE and not self.was_touched:
            return _seen(self.followups[0]) if self.followups else None
        return _seen(self.original) if self.original is not None else None

    async def answer(self, seconds: float = 10.0) -> Shown:
        """What the person sees, once it is there; what is said while the bot thinks does not count. Raises
        TimeoutError."""
        await self.world.news.until(lambda: self.shown() is not None, seconds)
        shown = self.shown()
        assert shown is not None
        return shown

    async def acknowledged(self, seconds: float = 10.0) -> Callback:
        """How the bot has answered at first. Raises TimeoutError."""
        await self.world.news.until(lambda: self.callback is not None, seconds)
        assert self.callback is not None
        return self.callback

    async def followed(self, count: int = 1, seconds: float = 10.0) -> list[Message]:
        """The first messages that followed the answer. Raises TimeoutError."""
        await self.world.news.until(lambda: len(self.followups) >= count, seconds)
        return self.followups[:count]


def _seen(message: Message) -> Shown:
    return Shown(
        text="" if message.is_deleted else message.content,
        ephemeral=message.is_ephemeral,
        components=message.components,
        embeds=message.embeds,
        message=message,
    )


class Interactions:
    """All interactions, by id and by token."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.by_id: dict[str, Interaction] = {}
        self.by_token: dict[str, Interaction] = {}

    def begin(
        self,
        kind: Asked,
        user: User,
        place: Place,
        data: Mapping[str, Any],
        *,
        message: Message | None = None,
    ) -> Interaction:
        """Somebody does something, and the bot is told of it."""
        world = self._world
        token = secrets.token_urlsafe(120)
        made = Interaction(world.ids.new(), token, kind, user, place, data, world.clock(), world, message)
        self.by_id[made.id] = self.by_token[token] = made
        world.tell("INTERACTION_CREATE", event(made), intent=None, guild=place.guild)
        return made


def event(what: Interaction) -> dict[str, Any]:
    """INTERACTION_CREATE ("Interaction Structure")."""
    place, world = what.place, what.world
    data: dict[str, Any] = {
        "id": what.id,
        "application_id": world.application_id,
        "type": int(what.kind),
        "data": what.data,
        "token": what.token,
        "version": 1,
        "channel_id": place.id,
        "channel": {**wire.place(place, me=world.bot), "permissions": str(place.permissions(what.user))},
        "app_permissions": str(int(place.permissions(world.bot))),
        "locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": owners(place),
        "context": 0 if place.guild is not None else 1 if place.kind is Kind.DM else 2,
        "attachment_size_limit": place.upload_bytes,
    }
    if place.guild is not None:
        member = wire.member(place.guild.members[what.user.id])
        data |= {
            "guild_id": place.guild.id,
            "guild": {"id": place.guild.id, "locale": "en-US", "features": []},
            "guild_locale": "en-US",
            "member": {**member, "permissions": str(int(place.permissions(what.user)))},
        }
    else:
        data["user"] = wire.user(what.user)
    if what.message is not None:
        data["message"] = wire.message(what.message, world.bot)
    return data


def owners(place: Place) -> dict[str, str]:
    """By whom the application is installed there: by the guild, and in direct messages by itself."""
    return {"0": place.guild.id if place.guild is not None else "0"}


def metadata(what: Interaction) -> dict[str, Any]:
    """What the answer says of the interaction ("Message Interaction Metadata")."""
    kind = Asked.COMMAND if what.kind is Asked.MODAL else what.kind
    data: dict[str, Any] = {
        "id": what.id,
        "type": int(kind),
        "user": wire.user(what.user),
        "authorizing_integration_owners": owners(what.place),
    }
    if kind is Asked.COMPONENT and what.message is not None:
        data["interacted_message_id"] = what.message.id
    return data
