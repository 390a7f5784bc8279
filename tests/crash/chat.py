"""A platform of people as a round has it, whichever it is: a fake one in the process of the judge, and Ada who talks to
the bot. What they have in common is here; what a message is there, each of them says.

A place of a round is a conversation: `dm` is the private one, and any other is begun by a mention in the channel and
goes on in the thread of that.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from tests.crash.books import TOKEN
from tests.crash.platform import UNHEARD, Moods, Said, Sent

Message = TypeVar("Message")
DM: Final = "dm"
YES: Final = "yes"
"""What everybody answers to a question with options."""
_RECORDED: Final = (
    "SELECT platform_id, out_id, part FROM deliveries"
    " WHERE state = 'sent' AND kind IS NOT 'action' AND platform_id IS NOT NULL ORDER BY seq, part"
)


class Chat(ABC, Generic[Message]):
    """Implements tests.crash.platform.Scene. What was shown is what stands on the server; which reply that is, the
    books of the service say, and what they do not know is nobody's reply."""

    name: str
    """The adapter's."""

    def __init__(self, root: Path) -> None:
        self.life = 0
        self.moods = Moods()
        self.events: dict[str, Said] = {}
        self.ids: Mapping[tuple[str, int], str] = {}
        self.root = root
        self.messages: dict[str, Message] = {}
        """What people have said, by the id of its event."""
        self._begun = 0
        """How many connections there were when the present life began."""
        self._pressed: dict[str, int] = {}
        """In which life the answer to a question was last given."""

    @property
    def connected(self) -> int:
        """The life of the service that was connected last."""
        return self.life if self.connections > self._begun else self.life - 1

    def begin(self, *, gone: int | None) -> None:
        """A new service is about to connect."""
        self.life += 1
        self._begun = self.connections

    def say(self, event: Said) -> None:
        """Ada does something. Of an edit or a deletion the platform tells once, and nobody may be there to hear it."""
        if event.kind == "message":
            message, event.id = self.post(event)
            event.receipt = "accepted"
            self.messages[event.id] = message
            self.events[event.id] = event
            return
        message = self.messages[event.about]
        if self.is_gone(message) or (event.kind == "delete" and self.stays(message)):
            return
        event.receipt = UNHEARD
        self.events[event.id] = event
        if event.kind == "delete":
            self.events[event.about].receipt = UNHEARD
            self.take_away(message)
        else:
            # Whatever was asked for, what it has become is answered in few words.
            (token,) = TOKEN.findall(event.text)
            self.rewrite(message, f"again {token}")

    def taken(self) -> Sequence[Sent]:
        """What stands there, as parts of replies. Raises sqlite3.Error."""
        recorded: dict[str, list[tuple[str, int]]] = defaultdict(list)
        with closing(sqlite3.connect(f"file:{self.root / 'data' / 'bot.db'}?mode=ro", uri=True)) as db:
            for platform_id, out_id, part in db.execute(_RECORDED):
                recorded[platform_id].append((out_id, part))
        return [
            self._sent(message, out_id, part)
            for message in self.standing()
            for out_id, part in recorded.get(self.part_id(message), [(f"message {self.part_id(message)}", 0)])
        ]

    def press(self) -> None:
        """Ada answers every question, once in each life of the service that can hear her, and again when she was told
        that it went wrong."""
        for question in self.asked() if self.connected == self.life else ():
            key = self.part_id(question)
            if self._pressed.get(key) != self.life or self.went_wrong(question):
                self._pressed[key] = self.life
                self.click(question)

    def asked(self) -> list[Message]:
        """Questions that can be answered."""
        return [each for each in self.standing() if self.is_question(each)]

    def stays(self, message: Message) -> bool:
        """Whether Ada deletes it in no case."""
        return False

    def went_wrong(self, message: Message) -> bool:
        """Whether Ada was told so of her last answer to a question."""
        return False

    def _sent(self, message: Message, out_id: str, part: int) -> Sent:
        files = self.files(message)
        return Sent(
            out_id=out_id,
            part=part,
            place=self.where(message),
            text=self.text(message),
            file=files[0][0] if files else None,
            question=None,
            answers=None,
            notice=False,
            life=0,
            outcome="taken",
            answered=True,
        )

    # ---------------------------------------------------------------- what each platform does for itself

    @property
    @abstractmethod
    def connections(self) -> int:
        """How many there have been."""

    @property
    @abstractmethod
    def at_work(self) -> int:
        """How often the bot has said that it works."""

    @abstractmethod
    def address(self) -> Mapping[str, Any]:
        """Where a service finds it, and by which secrets."""

    @abstractmethod
    async def open(self) -> None:
        """Begins to serve."""

    @abstractmethod
    async def close(self) -> None:
        """Ends that."""

    @abstractmethod
    def known(self) -> tuple[str, Iterable[tuple[str, str]]]:
        """The id of Ada, and notes that lie there before the first service."""

    @abstractmethod
    def post(self, event: Said) -> tuple[Message, str]:
        """Ada says it. The message, and the id of its event."""

    @abstractmethod
    def rewrite(self, message: Message, text: str) -> None:
        """Ada edits it; where it named the bot it still does."""

    @abstractmethod
    def take_away(self, message: Message) -> None:
        """Ada deletes it."""

    @abstractmethod
    def click(self, message: Message) -> None:
        """Ada answers YES to a question."""

    @abstractmethod
    def standing(self) -> list[Message]:
        """What the bot has said and can be read, in the order in which it was said."""

    @abstractmethod
    def is_gone(self, message: Message) -> bool:
        """Whether it was deleted."""

    @abstractmethod
    def is_question(self, message: Message) -> bool:
        """Whether something can be pressed there."""

    @abstractmethod
    def part_id(self, message: Message) -> str:
        """What the books know it by."""

    @abstractmethod
    def text(self, message: Message) -> str:
        """What stands in it."""

    @abstractmethod
    def files(self, message: Message) -> Sequence[tuple[str, bytes]]:
        """The files of it, with their names."""

    @abstractmethod
    def where(self, message: Message) -> str:
        """Its place as the books name it."""

    @abstractmethod
    def belongs(self, event: Said) -> str:
        """Where the answer to a message is to stand, as the books name it."""

    @abstractmethod
    def left(self, notes: Mapping[str, str]) -> Iterable[str]:
        """What is not as it was promised there, besides what is asked of every platform; `notes` are the adapter's."""
