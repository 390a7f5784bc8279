"""A round before people: the world of world.py, a real adapter, and what the judge sees on the server."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from agent.protocol.clock import now_ms
from bot.db import notes, people
from bot.db.engine import migrate
from tests.crash import judge, stories
from tests.crash.books import TOKEN, books
from tests.crash.chat import Chat
from tests.crash.discord import Discord
from tests.crash.nursery import Nursery
from tests.crash.plan import Act, Life, Round, Trick
from tests.crash.service import ADDRESS
from tests.crash.slack import Slack
from tests.crash.stories import BEGINNING, END
from tests.crash.world import END_SECONDS, World

Scene = TypeVar("Scene", bound=Chat[Any])
WORD: Final = re.compile(r"\bw[0-9]+\b")
REPORT: Final = b"a report"
"""What is in every file that the agent sends."""


class Town(World, Generic[Scene]):
    """Made for one round before `chat`."""

    chat: Scene
    make: Callable[[Path], Scene]

    def __init__(self, plan: Round, root: Path, nursery: Nursery) -> None:
        self.chat = type(self).make(root)
        super().__init__(plan, root, nursery)

    def scene(self) -> Scene:
        """See World."""
        return self.chat

    def settle_in(self) -> None:
        """See World. Ada is known from the beginning: what a stranger says is not heard."""
        ada, noted = self.chat.known()
        super().settle_in()
        with closing(sqlite3.connect(self.data / "bot.db", isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            migrate(db, 0)
            people.grant(db, channel=self.chat.name, user_id=ada, role="owner", now=now_ms())
            for key, value in noted:
                notes.put(db, key, value, now=now_ms())

    async def start(self, life: Life | None = None) -> None:
        """See World. What was said before a bot was there for the first time is nothing to it."""
        where = {"platform": self.chat.name, **self.chat.address()}
        (self.root / ADDRESS).write_text(json.dumps(where))
        await super().start(life)
        if self.chat.life == 1:
            await self.until(lambda: self.over() or self.chat.connected == 1, END_SECONDS)

    def holds(self, what: str) -> bool:
        """See World."""
        match what:
            case "begun":
                return any(END not in self.chat.text(each) for each in self.chat.standing())
            case "asked":
                return bool(self.chat.asked())
            case "acknowledged":
                return not self._unheard()
            case "connected":
                return self.chat.connected == self.chat.life
        return super().holds(what)

    def missing(self) -> list[str]:
        """See World."""
        self.chat.press()
        try:
            # What is heard after this look is in the books at the next one.
            unheard = self._unheard()
            return [
                *unheard,
                *super().missing(),
                *(f"{self.chat.part_id(each)} is a question" for each in self.chat.asked()),
            ]
        except sqlite3.Error as exc:
            return [f"a database cannot be read: {exc}"]

    def verdict(self) -> list[str]:
        """See World."""
        return [*super().verdict(), *violations(self.chat, self.data)]

    def _unheard(self) -> list[str]:
        """What was said and is not in the books. Raises sqlite3.Error."""
        known = {row.event_id for row in books(self.data).rows}
        events = self.chat.events.values()
        return [
            f"{each.text!r} was not heard"
            for each in events
            if each.receipt == "accepted" and each.id not in known
        ]


class DiscordTown(Town[Discord]):
    """Before Discord."""

    make = Discord
    script: Sequence[Mapping[str, Any]] = stories.script(stories.DISCORD_TALE)


class SlackTown(Town[Slack]):
    """Before Slack."""

    make = Slack
    script: Sequence[Mapping[str, Any]] = stories.script(stories.SLACK_TALE)

    async def act(self, act: Act) -> None:
        """See World."""
        if isinstance(act, Trick):
            await self.chat.play(act)
        else:
            await super().act(act)

    async def leave(self) -> list[str]:
        """See World. A status that an earlier life has left is taken back after a while."""
        await self.until(lambda: not self._left(), END_SECONDS, self._left)
        return await super().leave()

    def _left(self) -> list[str]:
        try:
            return list(self.chat.left(_noted(self.chat, self.data)))
        except sqlite3.Error as exc:
            return [f"a database cannot be read: {exc}"]


def violations(chat: Chat[Any], data: Path) -> Iterator[str]:
    """What is not as it was promised on the server, besides what the judge finds on every platform."""
    yield from chat.left(_noted(chat, data))
    yield from _whole(chat)
    yield from _right_places(chat)
    for message in chat.standing():
        if any(held != REPORT for _, held in chat.files(message)):
            yield f"a file of {chat.part_id(message)} is not what was sent"


def _noted(chat: Chat[Any], data: Path) -> Mapping[str, str]:
    """Raises sqlite3.Error."""
    with closing(sqlite3.connect(data / "bot.db")) as db:
        db.row_factory = sqlite3.Row
        return notes.all_of(db, f"{chat.name}:")


def _whole(chat: Chat[Any]) -> Iterator[str]:
    """An answer has its beginning, all its words and its end."""
    texts: dict[str, str] = {}
    for sent in chat.taken():
        texts[sent.out_id] = f"{texts.get(sent.out_id, '')} {sent.text}".strip()
    answers = {out_id for each in judge.answers(chat).values() for out_id in each}
    for out_id in sorted(answers):
        text = texts[out_id]
        begun, ended = text.count(BEGINNING), re.findall(rf"{END}([0-9]+)", text)
        wanted = [f"w{number}" for number in range(int(ended[-1]) if ended else 0)]
        if begun != 1 or len(ended) != 1 or WORD.findall(text) != wanted:
            yield f"{out_id} is not whole: {text[:60]!r} ... {text[-60:]!r}"


def _right_places(chat: Chat[Any]) -> Iterator[str]:
    """An answer stands where it was asked for."""
    places = {sent.out_id: sent.place for sent in chat.taken()}
    shown = judge.answers(chat)
    for event in chat.events.values():
        token = TOKEN.search(event.text)
        if event.receipt != "accepted" or token is None:
            continue
        for out_id in shown.get(token[0], ()):
            if places[out_id] != chat.belongs(event):
                yield f"{token[0]} was answered in {places[out_id]}"
