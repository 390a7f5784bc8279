"""The service's own buttons at a terminal: open ones are numbered lists, pressed by number or label.

A card is open until the service puts something else in its place, and is kept over a restart; what a command offers
beneath its answer is open until something else is said."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Final

from adapters.base import CARD, Notes, NotSaved, Question
from adapters.terminal import wire
from agent.protocol.clock import Clock

NOTES: Final = "terminal:card:"
MAX_OPEN: Final = 64
"""Of all conversations; the oldest give way, and their commands can still be given in words."""

_log = logging.getLogger("roost.terminal")


@dataclass(frozen=True)
class Open:
    """A card that can be pressed in a conversation; `part` is the id of the part that shows it."""

    conversation: str
    question: Question
    part: str


def is_card(question: Question | None) -> bool:
    """Whether these are buttons of the service's own."""
    return question is not None and question.id.startswith(CARD)


class Cards:
    """Which of them are open. Until `recall` nothing is kept, and it is made up for there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, Open] = {}
        self._offered: dict[str, Question] = {}
        """By the conversation: what the last command has offered there."""
        self._notes: Notes | None = None

    async def recall(self, notes: Notes) -> list[Open]:
        """Those that an earlier service has shown."""
        self._notes = notes
        found = []
        try:
            kept = await notes.all(NOTES)
        except NotSaved:
            _log.warning("the cards that are open at terminals are not known", exc_info=True)
            return []
        for key, text in kept.items():
            card = _read(text)
            if card is None or self._is_over(card.question):
                await self._drop(key)
            elif card.question.id not in self._open:
                self._open[card.question.id] = card
                found.append(card)
        return found

    async def show(self, card: Open) -> None:
        """It was shown."""
        self._open[card.question.id] = card
        await self._put(card)
        while len(self._open) > MAX_OPEN:
            await self._close(next(iter(self._open)))

    async def replaced(self, part: str) -> None:
        """Something else stands in the place of a part."""
        for card in [each for each in self._open.values() if each.part == part]:
            await self._close(card.question.id)

    def offer(self, conversation: str, question: Question | None) -> None:
        """What a command offers, until something else is said there."""
        if question is None:
            self._offered.pop(conversation, None)
        else:
            self._offered[conversation] = question

    def of(self, conversation: str) -> Iterator[Question]:
        """The cards that are open in a conversation, the oldest first."""
        for card in self._open.values():
            if card.conversation == conversation and not self._is_over(card.question):
                yield card.question

    def pressed(self, conversation: str, text: str) -> tuple[Question, int] | None:
        """Which card, and which of its buttons, somebody means by what they say."""
        offered = self._offered.get(conversation)
        newest = list(self.of(conversation))[::-1]
        for question in [*([offered] if offered is not None else []), *newest]:
            label = wire.match_answer(text, question.options) if question.options else None
            if label is not None and not self._is_over(question):
                return question, list(question.options).index(label)
        return None

    def _is_over(self, question: Question) -> bool:
        return question.expires_at is not None and question.expires_at <= self._clock()

    async def _close(self, card_id: str) -> None:
        self._open.pop(card_id, None)
        await self._drop(NOTES + card_id)

    async def _put(self, card: Open) -> None:
        if self._notes is None:
            return
        try:
            await self._notes.put(NOTES + card.question.id, json.dumps(asdict(card)))
        except NotSaved:
            _log.warning("a card at a terminal cannot be pressed after a restart", exc_info=True)

    async def _drop(self, key: str) -> None:
        if self._notes is None:
            return
        try:
            await self._notes.drop(key)
        except NotSaved:
            _log.warning("a card that is over is kept", exc_info=True)


def _read(text: str) -> Open | None:
    """None for what an older or a newer Roost has kept in another way."""
    try:
        given = json.loads(text)
        question = Question(**given.pop("question"))
        return Open(question=replace(question, options=tuple(question.options)), **given)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
