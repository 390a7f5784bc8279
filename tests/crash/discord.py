"""Discord as a round has it: the fake one, in the process of the judge, with a person who talks to the bot.

A place of a round is a conversation: `dm` is the private one, and any other is begun by a mention in the channel and
goes on in the thread that the bot has opened for it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from adapters.discord import ids
from tests.crash.books import TOKEN
from tests.crash.platform import UNHEARD, Moods, Said, Sent
from tests.crash.service import DISCORD
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place

DM: Final = "dm"
YES: Final = "yes"
"""What everybody answers to a question with options."""
_RECORDED: Final = (
    "SELECT platform_id, out_id, part FROM deliveries"
    " WHERE state = 'sent' AND kind IS NOT 'action' AND platform_id IS NOT NULL ORDER BY seq, part"
)


class Discord:
    """Implements tests.crash.platform.Scene. What was shown is what stands on the server; which reply that is, the
    books of the service say, and what they do not know is nobody's reply."""

    def __init__(self, root: Path) -> None:
        self.life = 0
        self.moods = Moods()
        self.events: dict[str, Said] = {}
        self.ids: Mapping[tuple[str, int], str] = {}
        self.server = DiscordServer(limits="none")
        self.lab = self.server.guild("Lab")
        self.general = self.lab.channel("general")
        self.ada = self.server.person("Ada")
        self.lab.join(self.ada)
        self._root = root
        self._begun = 0
        """How many sessions of the gateway there were when the present life began."""
        self._messages: dict[str, Message] = {}
        self._openers: dict[str, Message] = {}
        self._pressed: dict[str, int] = {}
        """In which life the answer to a question was last given."""

    @property
    def connected(self) -> int:
        """The life of the service that was connected last."""
        return self.life if len(self.server.hub.sessions) > self._begun else self.life - 1

    @property
    def at_work(self) -> int:
        """How often the bot has said that it types."""
        return sum(len(place.typed) for place in self.server.world.places.values())

    async def open(self) -> None:
        """Begins to serve."""
        await self.server.start()
        where = {name: getattr(self.server, name) for name in ("rest_url", "gateway_url", "token")}
        (self._root / DISCORD).write_text(json.dumps(where))

    async def close(self) -> None:
        """Ends that."""
        await self.server.stop()

    def begin(self, *, gone: int | None) -> None:
        """A new service is about to connect."""
        self.life += 1
        self._begun = len(self.server.hub.sessions)

    def say(self, event: Said) -> None:
        """Ada does something. Of an edit or a deletion Discord tells once, and nobody may be there to hear it."""
        if event.kind == "message":
            self._say(event)
            return
        message = self._messages[event.about]
        if message.is_deleted:
            return
        event.receipt = UNHEARD
        self.events[event.id] = event
        if event.kind == "delete":
            self.events[event.about].receipt = UNHEARD
            self.ada.delete(message)
        else:
            # Whatever was asked for, what it has become is answered in few words.
            named = f"{self.server.bot.mention} " if message.place is self.general else ""
            (token,) = TOKEN.findall(event.text)
            self.ada.edit(message, f"{named}again {token}")

    def taken(self) -> Sequence[Sent]:
        """What stands there, as parts of replies. Raises sqlite3.Error."""
        recorded: dict[str, list[tuple[str, int]]] = defaultdict(list)
        with closing(sqlite3.connect(f"file:{self._root / 'data' / 'bot.db'}?mode=ro", uri=True)) as db:
            for platform_id, out_id, part in db.execute(_RECORDED):
                recorded[platform_id].append((out_id, part))
        return [
            _sent(message, out_id, part)
            for message in self.standing()
            for out_id, part in recorded.get(_part_id(message), [(f"message {message.id}", 0)])
        ]

    def standing(self) -> list[Message]:
        """What the bot has said and can be read, in the order in which it was said."""
        bot = self.server.bot
        places = self.server.world.places.values()
        said = (each for place in places for each in place.messages if each.author is bot)
        return sorted((each for each in said if not each.is_deleted), key=lambda each: int(each.id))

    def asked(self) -> list[Message]:
        """Questions that can be answered."""
        return [each for each in self.standing() if each.components]

    def press(self) -> None:
        """Ada answers every question, once in each life of the service that can hear her."""
        for question in self.asked() if self.connected == self.life else ():
            if self._pressed.get(question.id) != self.life:
                self._pressed[question.id] = self.life
                self.ada.click(question, YES)

    def belongs(self, event: Said) -> str:
        """Where the answer to a message is to stand, as the books name it."""
        message = self._messages[event.id]
        if message.place is self.general:
            return f"{self.general.id}/{message.id}"
        return where(message.place)

    def _say(self, event: Said) -> None:
        place = self._place(event.place)
        files = [(name, text.encode(), "text/plain") for name, text in event.files]
        opens = place is self.general
        mention = [self.server.bot] if opens else []
        message = self.ada.say(place, event.text, mention=mention, files=files)
        if opens:
            self._openers[event.place] = message
        event.id = ids.event_id(int(place.id), int(message.id))
        event.receipt = "accepted"
        self.events[event.id] = event
        self._messages[event.id] = message

    def _place(self, name: str) -> Place:
        if name == DM:
            return self.server.dm(self.ada)
        opener = self._openers.get(name)
        return self.general if opener is None or opener.thread is None else opener.thread


def where(place: Place) -> str:
    """A place as the books name it."""
    return place.id if place.parent is None else f"{place.parent.id}/{place.id}"


def _part_id(message: Message) -> str:
    return ids.part_id(int(message.place.id), int(message.id))


def _sent(message: Message, out_id: str, part: int) -> Sent:
    return Sent(
        out_id=out_id,
        part=part,
        place=where(message.place),
        text=message.content,
        file=message.attachments[0].name if message.attachments else None,
        question=None,
        answers=None,
        notice=False,
        life=0,
        outcome="taken",
        answered=True,
    )
