"""Discord as a round has it: the fake one, with a channel, and a thread that the bot opens for each mention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.discord import ids
from adapters.discord.gaps import DIRECT
from adapters.discord.streams import KEY
from tests.crash.chat import DM, YES, Chat
from tests.crash.platform import Said
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place


class Discord(Chat[Message]):
    """See Chat."""

    name = ids.NAME

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.server = DiscordServer(limits="none")
        self.lab = self.server.guild("Lab")
        self.general = self.lab.channel("general")
        self.ada = self.server.person("Ada")
        self.lab.join(self.ada)
        self._openers: dict[str, Message] = {}

    @property
    def connections(self) -> int:
        """See Chat."""
        return len(self.server.hub.sessions)

    @property
    def at_work(self) -> int:
        """See Chat. It types."""
        return sum(len(place.typed) for place in self.server.world.places.values())

    def address(self) -> Mapping[str, Any]:
        """See Chat."""
        return {name: getattr(self.server, name) for name in ("rest_url", "gateway_url", "token")}

    async def open(self) -> None:
        """See Chat."""
        await self.server.start()

    async def close(self) -> None:
        """See Chat."""
        await self.server.stop()

    def known(self) -> tuple[str, Sequence[tuple[str, str]]]:
        """See Chat. What is said in a direct conversation of which the bot knows nothing yet is not heard while it is
        away."""
        return self.ada.id, [(f"{DIRECT}{self.server.dm(self.ada).id}", "")]

    def post(self, event: Said) -> tuple[Message, str]:
        """See Chat."""
        place = self._place(event.place)
        files = [(name, text.encode(), "text/plain") for name, text in event.files]
        opens = place is self.general
        mention = [self.server.bot] if opens else []
        message = self.ada.say(place, event.text, mention=mention, files=files)
        if opens:
            self._openers[event.place] = message
        return message, ids.event_id(int(place.id), int(message.id))

    def rewrite(self, message: Message, text: str) -> None:
        """See Chat."""
        named = f"{self.server.bot.mention} " if message.place is self.general else ""
        self.ada.edit(message, named + text)

    def take_away(self, message: Message) -> None:
        """See Chat."""
        self.ada.delete(message)

    def click(self, message: Message) -> None:
        """See Chat."""
        self.ada.click(message, YES)

    def standing(self) -> list[Message]:
        """See Chat."""
        bot = self.server.bot
        places = self.server.world.places.values()
        said = (each for place in places for each in place.messages if each.author is bot)
        return sorted((each for each in said if not each.is_deleted), key=lambda each: int(each.id))

    def is_gone(self, message: Message) -> bool:
        """See Chat."""
        return message.is_deleted

    def is_question(self, message: Message) -> bool:
        """See Chat."""
        return bool(message.components)

    def part_id(self, message: Message) -> str:
        """See Chat."""
        return ids.part_id(int(message.place.id), int(message.id))

    def text(self, message: Message) -> str:
        """See Chat."""
        return message.content

    def files(self, message: Message) -> Sequence[tuple[str, bytes]]:
        """See Chat."""
        return [(each.name, each.data) for each in message.attachments]

    def where(self, message: Message) -> str:
        """See Chat."""
        return _named(message.place)

    def belongs(self, event: Said) -> str:
        """See Chat."""
        message = self.messages[event.id]
        if message.place is self.general:
            return f"{self.general.id}/{message.id}"
        return _named(message.place)

    def left(self, notes: Mapping[str, str]) -> Iterator[str]:
        """See Chat."""
        yield from (f"the wire: {each}" for each in self.server.violations)
        yield from (f"{key} is still noted" for key in notes if key.startswith(KEY))

    def _place(self, name: str) -> Place:
        if name == DM:
            return self.server.dm(self.ada)
        opener = self._openers.get(name)
        return self.general if opener is None or opener.thread is None else opener.thread


def _named(place: Place) -> str:
    return place.id if place.parent is None else f"{place.parent.id}/{place.id}"
