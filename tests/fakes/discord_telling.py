"""How the world of the fake Discord is asked by the gateway, and how the gateway and whoever waits are told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from agent.protocol.clock import Clock
from tests.fakes import discord_wire as wire
from tests.fakes.changes import News
from tests.fakes.discord_intents import PRIVILEGED, Intent
from tests.fakes.discord_things import Attachment, Guild, Message, Place, User
from tests.fakes.discord_values import Snowflakes

MADE_UP_TOKEN: Final = "made-up.bot-token.for-tests"  # noqa: S105 - it opens nothing


class Tell(Protocol):
    """Hands an event to the gateway."""

    def __call__(
        self, event: str, data: Mapping[str, Any], *, intent: int | None, guild_id: str | None = None
    ) -> None: ...


class Telling:
    """Everything there is, by id, and whom to tell of it. It is the `GatewayWorld` that the gateway asks."""

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
        self._gateway: Tell | None = None
        self.bot = self.add_user(User(self.application_id, "roost", bot=True))
        self.owner = self.add_user(User(self.ids.new(), "the-owner"))

    def add_user(self, user: User) -> User:
        """Somebody is on Discord."""
        self.users[user.id] = user
        return user

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
