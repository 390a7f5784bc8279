"""A round before Discord: the world of world.py, the real adapter, and what the judge sees on the server."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from adapters.discord.gaps import DIRECT
from adapters.discord.streams import KEY
from agent.protocol.clock import now_ms
from bot.db import notes, people
from bot.db.engine import migrate
from tests.crash import judge
from tests.crash.books import TOKEN, books
from tests.crash.discord import Discord
from tests.crash.nursery import Nursery
from tests.crash.plan import Life, Round
from tests.crash.stories import BEGINNING, END, SCRIPT
from tests.crash.world import END_SECONDS, World

WORD: Final = re.compile(r"\bw[0-9]+\b")
REPORT: Final = b"a report"
"""What is in every file that the agent sends."""


class Town(World):
    """Made for one round before Discord."""

    script = SCRIPT

    def __init__(self, plan: Round, root: Path, nursery: Nursery) -> None:
        self.discord = Discord(root)
        super().__init__(plan, root, nursery)

    def scene(self) -> Discord:
        """See World."""
        return self.discord

    def settle_in(self) -> None:
        """See World. Ada is known from the beginning: what a stranger says is not heard, nor what is said in a direct
        conversation of which the bot knows nothing yet, while it is away."""
        direct = self.discord.server.dm(self.discord.ada)
        super().settle_in()
        with closing(sqlite3.connect(self.data / "bot.db", isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            migrate(db, 0)
            people.grant(db, channel="discord", user_id=self.discord.ada.id, role="owner", now=now_ms())
            notes.put(db, f"{DIRECT}{direct.id}", "", now=now_ms())

    async def start(self, life: Life | None = None) -> None:
        """See World. What was said before a bot was there for the first time is nothing to it."""
        await super().start(life)
        if self.discord.life == 1:
            await self.until(lambda: self.over() or self.discord.connected == 1, END_SECONDS)

    def holds(self, what: str) -> bool:
        """See World."""
        match what:
            case "begun":
                return any(END not in each.content for each in self.discord.standing())
            case "asked":
                return bool(self.discord.asked())
            case "acknowledged":
                return not self._unheard()
        return super().holds(what)

    def missing(self) -> list[str]:
        """See World."""
        self.discord.press()
        try:
            # What is heard after this look is in the books at the next one.
            unheard = self._unheard()
            return [
                *unheard,
                *super().missing(),
                *(f"{each.id} is a question" for each in self.discord.asked()),
            ]
        except sqlite3.Error as exc:
            return [f"a database cannot be read: {exc}"]

    def verdict(self) -> list[str]:
        """See World."""
        return [*super().verdict(), *violations(self.discord, self.data)]

    def _unheard(self) -> list[str]:
        """What was said and is not in the books. Raises sqlite3.Error."""
        known = {row.event_id for row in books(self.data).rows}
        events = self.discord.events.values()
        return [
            f"{each.text!r} was not heard"
            for each in events
            if each.receipt == "accepted" and each.id not in known
        ]


def violations(discord: Discord, data: Path) -> Iterator[str]:
    """What is not as it was promised on the server, besides what the judge finds on every platform."""
    yield from (f"the wire: {each}" for each in discord.server.violations)
    yield from _whole(discord)
    yield from _right_places(discord)
    for message in discord.standing():
        if [each.data for each in message.attachments if each.data != REPORT]:
            yield f"a file of {message.id} is not what was sent"
    with closing(sqlite3.connect(data / "bot.db")) as db:
        db.row_factory = sqlite3.Row
        for key in notes.all_of(db, KEY):
            yield f"{key} is still noted"


def _whole(discord: Discord) -> Iterator[str]:
    """An answer has its beginning, all its words and its end."""
    texts: dict[str, str] = {}
    for sent in discord.taken():
        texts[sent.out_id] = f"{texts.get(sent.out_id, '')} {sent.text}".strip()
    answers = {out_id for each in judge.answers(discord).values() for out_id in each}
    for out_id in sorted(answers):
        text = texts[out_id]
        begun, ended = text.count(BEGINNING), re.findall(rf"{END}([0-9]+)", text)
        wanted = [f"w{number}" for number in range(int(ended[-1]) if ended else 0)]
        if begun != 1 or len(ended) != 1 or WORD.findall(text) != wanted:
            yield f"{out_id} is not whole: {text[:60]!r} ... {text[-60:]!r}"


def _right_places(discord: Discord) -> Iterator[str]:
    """An answer stands where it was asked for."""
    places = {sent.out_id: sent.place for sent in discord.taken()}
    shown = judge.answers(discord)
    for event in discord.events.values():
        token = TOKEN.search(event.text)
        if event.receipt != "accepted" or token is None:
            continue
        for out_id in shown.get(token[0], ()):
            if places[out_id] != discord.belongs(event):
                yield f"{token[0]} was answered in {places[out_id]}"
